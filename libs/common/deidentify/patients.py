"""Pseudonyms of patients that somebody gives: a CSV file with a line for each, Patient ID and pseudonym. Pure."""

from __future__ import annotations

import csv
import io

from gantry.common.errors import NotDeidentified

_LONGEST = 64
"""PS3.5 6.2: characters of a Patient ID."""


def pseudonyms_in(text: str) -> dict[str, str]:
    """The pseudonyms by Patient ID. Raises `NotDeidentified` with the number of the line that is not understood."""
    pseudonyms: dict[str, str] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if not row:
            continue
        if len(row) != 2 or not row[1].strip() or len(row[1]) > _LONGEST or row[0].strip() in pseudonyms:
            raise NotDeidentified(f"line {number} is not one Patient ID and its pseudonym")
        pseudonyms[row[0].strip()] = row[1].strip()
    return pseudonyms
