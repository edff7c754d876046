"""What was corrected of a study, or of a patient, and what of it stands: corrections, merges, and what withdrew them.

The values of a correction name a patient, so they are not in its event: they lie in an object of their own, which is
removed when the last object of the study is collected. A correction without its values is one that was erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from gantry.common.dicom.standard.tags import (
    ISSUER_OF_PATIENT_ID,
    ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)

IDENTITY = (PATIENT_ID, ISSUER_OF_PATIENT_ID, ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE)
"""What tells patients apart, and what goes with it."""
STUDY_INSTANCE_UID_NAME = f"{STUDY_INSTANCE_UID:08X}"
IDENTITY_NAMES = frozenset(f"{tag:08X}" for tag in IDENTITY)

Values = Mapping[str, Mapping[str, Any]]
"""Attributes in the DICOM JSON model (PS3.18 F.2), by tag as eight hexadecimal digits; one without "Value" is empty."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction. `id` sorts by time; `at` is in microseconds since the epoch.

    It is of the series `series` where that is not "", else of all of its study or patient. A merge leads `into` another
    patient (`patients.patient_key`), and its values are the identity and demographics of that one. `values` is None
    once it was erased.
    """

    id: str
    at: int
    by: str
    reason: str
    values: Values | None
    series: str = ""
    into: str = ""

    @property
    def moves(self) -> bool:
        """Whether it makes instances of another study of these: it applies before all that was corrected here."""
        return self.values is not None and STUDY_INSTANCE_UID_NAME in self.values

    def packed(self) -> list[Any]:
        """As plain values, for storing; the same correction is the same values."""
        values = None if self.values is None else {tag: dict(self.values[tag]) for tag in sorted(self.values)}
        return [self.id, self.at, self.by, self.reason, values, self.series, self.into]


@dataclass(frozen=True, slots=True, order=True)
class Withdrawal:
    """A correction stands no longer."""

    at: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections of one study, or of one patient. Joined with `|`: any order, any repetition gives the same."""

    made: Mapping[str, Correction] = field(default_factory=dict)
    withdrawn: Mapping[str, Withdrawal] = field(default_factory=dict)

    def __or__(self, other: Corrections) -> Corrections:
        made = dict(self.made)
        for id_, correction in other.made.items():
            made[id_] = _joined(made[id_], correction) if id_ in made else correction
        withdrawn = dict(self.withdrawn)
        for id_, withdrawal in other.withdrawn.items():
            withdrawn[id_] = min(withdrawn.get(id_, withdrawal), withdrawal)
        return Corrections(made, withdrawn)

    def standing(self, until: int | None = None) -> list[Correction]:
        """What stands, the earliest first; with `until` what stood at that time (microseconds since the epoch).
        What was erased does not stand."""
        return [
            correction
            for id_, correction in sorted(self.made.items())
            if correction.values is not None
            and (until is None or correction.at <= until)
            and not (id_ in self.withdrawn and (until is None or self.withdrawn[id_].at <= until))
        ]

    @property
    def erasable(self) -> list[str]:
        """The corrections that still have values, withdrawn or not."""
        return sorted(id_ for id_, correction in self.made.items() if correction.values is not None)

    @property
    def touch_identity(self) -> bool:
        """Whether one of them, withdrawn or not, says who the patient is."""
        return any(name in IDENTITY_NAMES for correction in self.made.values() for name in correction.values or ())

    def pack(self) -> bytes:
        """As bytes, for storing; the same corrections are the same bytes."""
        withdrawn = [
            [id_, withdrawal.at, withdrawal.by, withdrawal.reason] for id_, withdrawal in sorted(self.withdrawn.items())
        ]
        packed: bytes = msgpack.packb([[self.made[id_].packed() for id_ in sorted(self.made)], withdrawn])
        return packed

    @staticmethod
    def unpack(packed: bytes) -> Corrections:
        """The other way round."""
        if not packed:
            return NOTHING
        made, withdrawn = msgpack.unpackb(packed, strict_map_key=False)
        return Corrections(
            {values[0]: Correction(*values) for values in made},
            {id_: Withdrawal(*rest) for id_, *rest in withdrawn},
        )


NOTHING = Corrections()


def _joined(first: Correction, other: Correction) -> Correction:
    """What was erased stays so, whoever still has the values. Other differences do not occur; whoever says otherwise
    must not make the order matter."""
    erased = [correction for correction in (first, other) if correction.values is None]
    return min(erased or (first, other), key=lambda correction: msgpack.packb(correction.packed()))
