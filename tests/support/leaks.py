"""Finds patients' names in logs and metrics: every test that runs an archive searches all of its output for them.

A name has the form of DICOM and HL7: words of two letters or more, in upper or lower case, around a caret (`Doe^Jane`,
`MÜLLER^JÖRG`, `山田^太郎`). Names of messages have digits (`ORM^O01`). The sender of a message (`RIS^HOSPITAL`) has the
form of a name; it is allowed as `source`, and after `by` (`by hl7 RIS^HOSPITAL`). It does not find names of one word,
names in readable form (`Doe, Jane`; lists of AE titles look the same), and names that are logged as `source`.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_SENDER = re.compile(r'"source": "[^"^]+\^[^"^]+"|"by": "hl7 [^"^]+\^[^"^]+"|\bby hl7 [^\s^]+\^[^\s^]+')
_NAME = re.compile(
    r"(?<!\w)[^\W\d_]{2,}\^[^\W\d_]{2,}(?!\w)"
    # One letter, or a number behind it, if only the case shows that it is no name.
    r"|\w*[a-zß-ÿ]\^[A-ZÀ-Þ]\w*"
)


def require_no_names(where: str, text: str) -> None:
    """Fail if a name is in output of an archive that is not for its callers."""
    leaked = names_in(text)
    assert not leaked, f"a patient's name is in {where}:\n" + "\n".join(leaked[:5])


def names_in(text: str) -> list[str]:
    """The lines of a text that contain a name."""
    return [line for line in text.splitlines() if _NAME.search(_SENDER.sub("", _read(line)))]


def _read(line: str) -> str:
    """A line with its JSON escapes decoded."""
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), line)
