"""Patients' names where none belongs. Every name that tests make up is written as DICOM writes it, a capital letter
behind a caret behind a small one (`Doe^Jane`), and nothing else in a log or a metric is: so every test that runs an
archive looks for them in all that it said, whatever else it is about."""

from __future__ import annotations

import re

_NAME = re.compile(r"\w*(?:[a-zß-ÿ]|\\u00[ef][0-9a-f])\^(?:[A-ZÀ-Þ]|\\u00[cd][0-9a-f])\w*")


def require_no_names(where: str, text: str) -> None:
    """Fail where a name stands in what an archive wrote for others than its callers."""
    found = [line for line in text.splitlines() if _NAME.search(line)]
    assert not found, f"a patient's name is in {where}:\n" + "\n".join(found[:5])
