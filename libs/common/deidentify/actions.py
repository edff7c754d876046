"""Which action is taken on an attribute: the row, the options, and the attribute's VR decide (PS3.15 E.1.1, E.3). Pure.

Compound codes depend on the type of an attribute in its IOD. The IOD of a stored object is often a newer, an older or a
private one, so the action is taken that conforms whatever the type is, and that tells nothing in any case:

    X/Z       empty: valid for types 2 and 3            Z/D    a dummy value: valid for types 1, 2 and 3
    X/D       a dummy value; a sequence is removed      X/Z/D  a dummy value; a sequence is empty
    X/Z/U*    the sequence stays, with other UIDs
"""

from __future__ import annotations

from enum import Enum, auto

from gantry.common.deidentify.options import Option
from gantry.common.deidentify.table import ConfidentialityRow
from gantry.common.dicom.standard.dictionary import DICTIONARY, TAGS, entry_of
from gantry.common.dicom.standard.vrs import vr_of

DATES = frozenset((b"DA", b"DT", b"TM"))


class ActionCode(Enum):
    """What becomes of an element."""

    REMOVE = auto()
    EMPTY = auto()
    DUMMY = auto()
    NEW_UIDS = auto()
    KEEP = auto()
    MOVE_DATES = auto()
    CLEAN_TEXT = auto()
    CLEAN_ITEMS = auto()


_BASIC = {
    "X": ActionCode.REMOVE, "Z": ActionCode.EMPTY, "D": ActionCode.DUMMY, "U": ActionCode.NEW_UIDS,
    "X/Z": ActionCode.EMPTY, "Z/D": ActionCode.DUMMY, "X/D": ActionCode.DUMMY, "X/Z/D": ActionCode.DUMMY,
    "X/Z/U*": ActionCode.NEW_UIDS,
}  # fmt: skip
_OF_SEQUENCES = {**_BASIC, "X/D": ActionCode.REMOVE, "X/Z/D": ActionCode.EMPTY}
_TEXT = frozenset((b"LO", b"SH", b"ST", b"LT", b"UT", b"UC", b"CS"))

_UNLISTED_DATE = ConfidentialityRow(
    "-", "X/Z/D", {Option.FULL_DATES: "K", Option.MODIFIED_DATES: "C"}
)  # as all dates of the table have it
_UNLISTED_NAME = ConfidentialityRow("-", "X/Z/D")
_UNLISTED_UID = ConfidentialityRow("-", "U", {Option.UIDS: "K"})
_ADDRESS = ConfidentialityRow("-", "X/Z/D")
"""Of an archive, with its host and the true UIDs: Retrieve URL, Retrieve URI, Pixel Data Provider URL."""
_OF_VOCABULARIES = frozenset((TAGS["CodingSchemeURL"], TAGS["URNCodeValue"]))
TEXT_VALUE = TAGS["TextValue"]
_FREE_TEXTS = frozenset((TEXT_VALUE, TAGS["ContentDescription"]))
"""Written by people, outside of the contents of reports as well."""
_FREE_TEXT = ConfidentialityRow("-", "X/Z/D", {Option.DESCRIPTORS: "C"})
_GONE = ConfidentialityRow("-", "X")
_ENCRYPTED = TAGS["EncryptedAttributesSequence"]
"""What an earlier de-identification took away, for whoever has a key."""
_OF_NO_INSTANCE = frozenset(
    (
        *("CodingSchemeUID", "ContextGroupExtensionCreatorUID", "ContextUID", "MappingResourceUID"),
        *("CreatorVersionUID", "ReferencedColorPaletteInstanceUID"),
    )
)
_TELLING_NOTHING = frozenset(
    tag
    for tag, entry in DICTIONARY.items()
    if "Class" in entry[4] or "TransferSyntax" in entry[4] or entry[4] in _OF_NO_INSTANCE
)
"""UIDs that name a class, a syntax, or a vocabulary, and never an object or a person's examination."""


def unlisted(tag: int, written: bytes = b"") -> ConfidentialityRow | None:
    """What is done about an attribute that the table does not have: dates, times, names of persons, UIDs of objects
    and addresses are treated as those that it has; so is what its sender wrote as a date or a name, whatever the
    data dictionary says. None: it stays as it is."""
    vr = vr_of(tag)
    if vr in DATES:
        return _UNLISTED_DATE
    if b"PN" in (vr, written) or (written in DATES and vr != written):
        return _UNLISTED_NAME
    if vr == b"UR" and tag not in _OF_VOCABULARIES:
        return _ADDRESS
    if tag in _FREE_TEXTS:
        return _FREE_TEXT
    if tag == _ENCRYPTED:
        return _GONE
    return _UNLISTED_UID if vr == b"UI" and tag not in _TELLING_NOTHING else None


def is_known(tag: int) -> bool:
    """Whether the data dictionary has this attribute: what an unknown one means cannot be judged."""
    return entry_of(tag) is not None


def decide(row: ConfidentialityRow, options: frozenset[Option], vr: bytes) -> ActionCode:
    """The action of a row; what keeps a value comes before what cleans it, and that before the basic profile."""
    codes = {row.options[option] for option in options if option in row.options}
    moves = Option.MODIFIED_DATES in options and Option.MODIFIED_DATES in row.options
    # A date that another option would keep as it is would give away by how much its neighbours were moved.
    if "K" in codes and not moves:
        return ActionCode.KEEP
    if "C" in codes and (cleaned := _cleaned(row, options, vr)) is not None:
        return cleaned
    return (_OF_SEQUENCES if vr == b"SQ" else _BASIC)[row.basic]


def _cleaned(row: ConfidentialityRow, options: frozenset[Option], vr: bytes) -> ActionCode | None:
    """How it is cleaned; None where that cannot be done, and the basic profile holds."""
    if Option.MODIFIED_DATES in row.options and Option.MODIFIED_DATES in options:
        return ActionCode.MOVE_DATES if vr in DATES else None
    if vr == b"SQ":
        return ActionCode.CLEAN_ITEMS
    return ActionCode.CLEAN_TEXT if vr in _TEXT else None
