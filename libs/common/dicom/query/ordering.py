"""The order of answers: how two documents are compared. Pure; every index backend orders as `ranking` does.

The values of each attribute are represented by a short text, and texts are compared by code point. Attributes without
a value come first, or last if the order is descending. Equal documents are ordered by their UIDs, in the direction of
the last attribute, so that every order is total.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.person_names import fold_name
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    REFERRING_PHYSICIAN_NAME,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)

RECEIVED = 0
"""Stands for the arrival time of a study's earliest current instance: its receipt, which sorts by time and is in no
document. Not a tag of any data set."""
STUDY_ORDERS = (
    PATIENT_NAME,
    PATIENT_ID,
    PATIENT_BIRTH_DATE,
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION_NUMBER,
    STUDY_DESCRIPTION,
    REFERRING_PHYSICIAN_NAME,
    MODALITIES_IN_STUDY,
    NUMBER_OF_STUDY_RELATED_SERIES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    RECEIVED,
)
"""The attributes by which studies can be ordered: indices store these sorted. Below one study, any attribute is
possible."""
LONGEST = 64
"""Characters that are compared; texts that differ only after them are equal."""
_NUMBERS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_MOMENTS = frozenset(("DA", "TM", "DT"))
_UNUSUAL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UIDS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute that documents are ordered by."""

    tag: int
    descending: bool = False


Order = tuple[SortKey, ...]
"""The attributes in their order of importance; () leaves it to the index."""


def order_text(vr: str, values: Sequence[Any]) -> str:
    """The text that represents an attribute's values: names and texts without case, dates, times and numbers by their
    meaning. "" for no value, for several dates, times or numbers, and for an invalid one."""
    texts = [text for text in map(text_of, values or ()) if text]
    if vr in _MOMENTS:
        return dates.normal(vr, texts[0]) or "" if len(texts) == 1 else ""
    if vr in _NUMBERS:
        return _number_text(texts[0]) if len(texts) == 1 else ""
    joined = "\\".join([fold_name(text) if vr == "PN" else text.casefold() for text in texts])
    return _UNUSUAL.sub(" ", joined)[:LONGEST]


def _number_text(text: str) -> str:
    """Sixteen digits that compare as the numbers do: the bits of the number, those of a negative one inverted."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    return f"{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"


def signature(order: Order) -> str:
    """An order as one word, so that a position in one listing is not taken for one in another."""
    return ",".join([f"{'-' if key.descending else ''}{key.tag:08X}" for key in order])


class _Down:
    """A text that compares in descending order."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Down) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]  # nothing is looked up by it


Rank = tuple[str | _Down, ...]


def texts_of(order: Order, vr_of: Callable[[int], bytes], attributes: Mapping[int, Any]) -> tuple[str, ...]:
    """The texts of a document's attributes, and its UIDs, in the order in which they decide."""
    keys = [order_text(vr_of(key.tag).decode("ascii"), attributes.get(key.tag) or ()) for key in order]
    return (*keys, *[text_of(attributes[tag][0]) for tag in _UIDS if attributes.get(tag)])


def rank(order: Order, texts: Sequence[str]) -> Rank:
    """The texts of `texts_of` as a rank; the smallest rank comes first."""
    down = [key.descending for key in order]
    down += [down[-1]] * (len(texts) - len(down))
    return tuple([_Down(text) if descending else text for text, descending in zip(texts, down, strict=True)])


def ranking(order: Order, vr_of: Callable[[int], bytes]) -> Callable[[Mapping[int, Any]], Rank]:
    """The sort key of documents of one level."""
    return lambda attributes: rank(order, texts_of(order, vr_of, attributes))
