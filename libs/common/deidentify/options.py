"""The options of the Basic Application Level Confidentiality Profile (PS3.15 E.3), by the names that users give.
Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gantry.common.errors import NotDeidentified


class Option(StrEnum):
    """A column of table E.1-1. Cleaning pixels is none of them here: nothing in this room looks at a picture."""

    UIDS = "uids"
    DEVICE = "device"
    INSTITUTION = "institution"
    PATIENT_CHARACTERISTICS = "patient-characteristics"
    FULL_DATES = "full-dates"
    MODIFIED_DATES = "modified-dates"
    SAFE_PRIVATE = "safe-private"
    DESCRIPTORS = "descriptors"
    STRUCTURED_CONTENT = "structured-content"
    GRAPHICS = "graphics"


CLEANED = (Option.DESCRIPTORS, Option.STRUCTURED_CONTENT, Option.GRAPHICS)
"""The options that keep something after it was cleaned; the others keep something as it is, or dates moved."""
RETAINED = tuple(option for option in Option if option not in CLEANED)

BASIC = ("113100", "Basic Application Confidentiality Profile")
CODES: dict[Option, tuple[str, str]] = {
    Option.GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    Option.MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    Option.PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.DEVICE: ("113109", "Retain Device Identity Option"),
    Option.UIDS: ("113110", "Retain UIDs Option"),
    Option.SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.INSTITUTION: ("113112", "Retain Institution Identity Option"),
}
"""PS3.16 CID 7050, of coding scheme DCM: code value and meaning."""


@dataclass(frozen=True, slots=True)
class DeidentificationProfile:
    """What is asked for: the basic profile with these options. `pixels_checked`: somebody has looked at the pictures
    and answers for what is burned into them."""

    options: frozenset[Option] = frozenset()
    pixels_checked: bool = False

    @property
    def temporal(self) -> str:
        """Longitudinal Temporal Information Modified (PS3.3 C.12.1.1.9)."""
        if Option.FULL_DATES in self.options:
            return "UNMODIFIED"
        return "MODIFIED" if Option.MODIFIED_DATES in self.options else "REMOVED"

    def codes(self) -> list[tuple[str, str]]:
        """For De-identification Method Code Sequence: the profile and its options, in order of their codes."""
        return sorted([BASIC, *(CODES[option] for option in self.options)])


def profile_of(options: Iterable[str], *, pixels_checked: bool = False) -> DeidentificationProfile:
    """The profile with the options of these names. Raises `NotDeidentified` for a name that is none, and for dates that
    are to stay and to move."""
    chosen = set()
    for name in options:
        try:
            chosen.add(Option(name))
        except ValueError:
            known = ", ".join(Option)
            raise NotDeidentified(f"{name!r} is no option of de-identification: {known}") from None
    if {Option.FULL_DATES, Option.MODIFIED_DATES} <= chosen:
        raise NotDeidentified("dates cannot be retained and modified: choose full-dates or modified-dates")
    return DeidentificationProfile(frozenset(chosen), pixels_checked)
