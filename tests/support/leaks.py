"""Patients' names where none belongs: every test that runs an archive looks for them in all that its log and metrics
said, whatever else it is about.

A name is what is written as DICOM and HL7 write one, words of two letters or more, large or small, around a caret
(`Doe^Jane`, `MÜLLER^JÖRG`, `山田^太郎`). A message is named with digits (`ORM^O01`). Who sent one (`RIS^HOSPITAL`) is
written like a name, and is none where a log says `source`, or `by` whom (`by hl7 RIS^HOSPITAL`). Not found: a name of
one word, one as people read it (`Doe, Jane`; AE titles in a list look the same), and one that is told as `source`.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_SENDER = re.compile(r'"source": "[^"^]+\^[^"^]+"|"by": "hl7 [^"^]+\^[^"^]+"|\bby hl7 [^\s^]+\^[^\s^]+')
_NAME = re.compile(
    r"(?<!\w)[^\W\d_]{2,}\^[^\W\d_]{2,}(?!\w)"
    # One letter, or a number behind it, where the case alone tells.
    r"|\w*[a-zß-ÿ]\^[A-ZÀ-Þ]\w*"
)


def require_no_names(where: str, text: str) -> None:
    """Fail where a name stands in what an archive wrote for others than its callers."""
    leaked = names_in(text)
    assert not leaked, f"a patient's name is in {where}:\n" + "\n".join(leaked[:5])


def names_in(text: str) -> list[str]:
    """The lines of a text that have a name."""
    return [line for line in text.splitlines() if _NAME.search(_SENDER.sub("", _read(line)))]


def _read(line: str) -> str:
    """A line with its letters, as JSON escapes them."""
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), line)
