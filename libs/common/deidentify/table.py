"""The rows of PS3.15 table E.1-1: by tag, and by group for what repeats. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gantry.common.deidentify.options import Option
from gantry.common.deidentify.rows import ROWS

CODES = frozenset(("D", "Z", "X", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"))
"""The action codes of the basic profile that the table has (PS3.15 table E.1-1a)."""


@dataclass(frozen=True, slots=True)
class ConfidentialityRow:
    """What is done about an attribute: by the basic profile, and by each option that has a say (K or C)."""

    keyword: str
    basic: str
    options: Mapping[Option, str] = field(default_factory=dict)


def _read(line: str) -> tuple[str, ConfidentialityRow]:
    name, keyword, basic, *codes = line.split()
    options = {Option(option): code for option, _, code in (part.partition("=") for part in codes)}
    return name, ConfidentialityRow(keyword, basic, options)


_ALL = dict(_read(line) for line in ROWS.splitlines())

TABLE: dict[int, ConfidentialityRow] = {
    int(name, 16): row for name, row in _ALL.items() if "X" not in name and name != "PRIVATE"
}
"""By tag; without the rows of repeating groups and of private attributes."""
PRIVATE_ATTRIBUTES = _ALL["PRIVATE"]
CURVES, OVERLAY_DATA, OVERLAY_COMMENTS = _ALL["50XXXXXX"], _ALL["60XX3000"], _ALL["60XX4000"]


def row_of(tag: int) -> ConfidentialityRow | None:
    """The row of an attribute; None where the table has none."""
    group, element = tag >> 16, tag & 0xFFFF
    if group & 1:
        return PRIVATE_ATTRIBUTES
    # PS3.5 7.6: groups that repeat, even numbers from 5000 and 6000 to 501E and 601E; later ones are not valid.
    if group >> 8 == 0x50:
        return CURVES
    if group >> 8 == 0x60 and element in (0x3000, 0x4000):
        return OVERLAY_DATA if element == 0x3000 else OVERLAY_COMMENTS
    return TABLE.get(tag)
