"""Corrections of studies and patients: stored, read, and their effect on a study."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gantry.common.adapters.sqlite.index.aggregates import above_of, refresh
from gantry.common.adapters.sqlite.index.effects import corrections_of, effect
from gantry.common.adapters.sqlite.index.schema import attributes_of
from gantry.common.ports.index import CorrectedStudy, CorrectionChange


def correct(connection: sqlite3.Connection, changes: Sequence[CorrectionChange]) -> None:
    """Join corrections, inside the open transaction, and recompute what they affect."""
    studies: set[int] = set()
    for change in changes:
        known = corrections_of(connection, change.partition, change.study_instance_uid, change.patient)
        joined = known | change.corrections
        if joined == known:
            continue
        # Before it is written: the studies are still under the patient at the previous end of the walk.
        studies.update(_studies_of(connection, change))
        connection.execute(
            "INSERT INTO correction (partition, study, patient, state) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET state = excluded.state",
            (change.partition, change.study_instance_uid, change.patient, joined.pack()),
        )
    refresh(connection, (), attributes_of(connection), studies)


def _studies_of(connection: sqlite3.Connection, change: CorrectionChange) -> Iterable[int]:
    """The studies that a change may affect: all of the patients where the walk may end, or the one that it names."""
    if change.study_instance_uid:
        rows = connection.execute(
            "SELECT id FROM study WHERE partition = ? AND uid = ?", (change.partition, change.study_instance_uid)
        )
        return [number for (number,) in rows]
    return [
        number
        for patient in walk_from(connection, change.partition, change.patient)
        for (number,) in connection.execute(
            "SELECT study.id FROM patient JOIN study ON study.patient_id = patient.id"
            " WHERE patient.partition = ? AND patient.key = ?",
            (change.partition, patient),
        )
    ]


def walk_from(connection: sqlite3.Connection, partition: str, patient: str) -> list[str]:
    """The patients to which merges lead from one, including itself. If merges form a circle, a walk from elsewhere may
    end at any of them."""
    walk, left = dict[str, None](), [patient]
    while left:
        key = left.pop()
        if key not in walk:
            walk[key] = None
            standing = corrections_of(connection, partition, patient=key).standing()
            left += [correction.into for correction in standing if correction.into]
    return list(walk)


def corrected_study(connection: sqlite3.Connection, partition: str, study: str) -> CorrectedStudy | None:
    """The corrections behind the shown values of a study; None if it does not exist."""
    row = connection.execute("SELECT id FROM study WHERE partition = ? AND uid = ?", (partition, study)).fetchone()
    own = None if row is None else above_of(connection, row[0])
    if own is None:
        return None
    _, known = effect(connection, partition, study, own)
    return CorrectedStudy(own, corrections_of(connection, partition, study), known)
