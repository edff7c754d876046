"""The corrections of a study, when, by whom and why, and its shown values; also as of an earlier time (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.dicom.model.json_writing import Attributes, keys_as_attributes
from gantry.common.lifecycle import Correction, CorrectionEffect, Corrections, Withdrawal, corrected, effect_of
from gantry.common.ports.index import CorrectedStudy


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One correction of the study, or of a patient on its walk (`patient` is True), and its state."""

    correction: Correction
    patient: bool
    withdrawal: Withdrawal | None = None

    @property
    def kind(self) -> str:
        """The kind of correction, in one word."""
        if self.correction.into:
            return "merge"
        if self.correction.moves:
            return "move"
        return "patient" if self.patient else "series" if self.correction.series else "study"

    def as_json(self) -> dict[str, Any]:
        """As it is shown."""
        correction, withdrawn = self.correction, self.withdrawal
        return {
            "correction": correction.id,
            "of": self.kind,
            "series": correction.series,
            "at": correction.at,
            "by": correction.by,
            "reason": correction.reason,
            "values": None
            if correction.values is None
            else {name: correction.values[name] for name in sorted(correction.values)},
            "withdrawn": None
            if withdrawn is None
            else {"at": withdrawn.at, "by": withdrawn.by, "reason": withdrawn.reason},
        }


@dataclass(frozen=True, slots=True)
class History:
    """All versions of a study's attributes: those of its objects, the corrections, and the result."""

    received: Attributes
    entries: tuple[HistoryEntry, ...]
    shown: Attributes

    def as_json(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "received": self.received,
            "corrections": [entry.as_json() for entry in self.entries],
            "shown": self.shown,
        }


def history_of(study_uid: str, study: CorrectedStudy, until: int | None = None) -> History:
    """The history of a study; with `until` (microseconds since the epoch) as it was at that time: corrections made by
    then, and the values shown."""
    effect = effect_of(study.own, study_uid, study.corrections, study.patients, until)
    # An earlier walk may have included a patient that it does not include now: nothing is known of that one.
    applied = effect.applied if isinstance(effect, CorrectionEffect) else ()
    entries = [*_entries([study.corrections], False), *_entries(study.patients.values(), True)]
    made = sorted(entries, key=lambda entry: entry.correction.id)
    return History(
        _attributes(study.own),
        tuple(_as_of(entry, until) for entry in made if until is None or entry.correction.at <= until),
        _attributes(corrected(study.own, applied)),
    )


def patient_entries(corrections: Corrections, until: int | None = None) -> list[HistoryEntry]:
    """The corrections of a patient, and its merges into others, the earliest first; with `until` as it was then."""
    made = sorted(_entries([corrections], True), key=lambda entry: entry.correction.id)
    return [_as_of(entry, until) for entry in made if until is None or entry.correction.at <= until]


def _entries(several: Iterable[Corrections], patient: bool) -> list[HistoryEntry]:
    return [
        HistoryEntry(correction, patient, corrections.withdrawn.get(id_))
        for corrections in several
        for id_, correction in corrections.made.items()
    ]


def _as_of(entry: HistoryEntry, until: int | None) -> HistoryEntry:
    if until is None or entry.withdrawal is None or entry.withdrawal.at <= until:
        return entry
    return HistoryEntry(entry.correction, entry.patient)


def _attributes(values: Mapping[int, Any]) -> Attributes:
    return keys_as_attributes(values)
