"""Corrections of studies and patients: joined to what is known, read, and what they make of a study."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gantry.common.adapters.sqlite.index.aggregates import above_of, refresh
from gantry.common.adapters.sqlite.index.effects import corrections_of, effect
from gantry.common.adapters.sqlite.index.schema import attributes_of
from gantry.common.ports.index import CorrectedStudy, CorrectionChange


def correct(connection: sqlite3.Connection, changes: Sequence[CorrectionChange]) -> None:
    """Join corrections, inside the transaction that is open, and compute anew what they are about."""
    studies: set[int] = set()
    for change in changes:
        known = corrections_of(connection, change.partition, change.study_instance_uid, change.patient)
        joined = known | change.corrections
        if joined == known:
            continue
        # Before it is written: the studies are still under the patient where the walk ended before.
        studies.update(_studies_of(connection, change))
        connection.execute(
            "INSERT INTO correction (partition, study, patient, state) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET state = excluded.state",
            (change.partition, change.study_instance_uid, change.patient, joined.pack()),
        )
    refresh(connection, (), attributes_of(connection), studies)


def _studies_of(connection: sqlite3.Connection, change: CorrectionChange) -> Iterable[int]:
    """The studies that a change may be about: all of the patients where the walk may end, or the one that it names."""
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
    """The patients that merges lead to from one, itself included. Whoever walks from elsewhere may end at any of them,
    where merges lead in a circle."""
    walk, left = dict[str, None](), [patient]
    while left:
        key = left.pop()
        if key not in walk:
            walk[key] = None
            standing = corrections_of(connection, partition, patient=key).standing()
            left += [one.into for one in standing if one.into]
    return list(walk)


def corrected_study(connection: sqlite3.Connection, partition: str, study: str) -> CorrectedStudy | None:
    """What makes a study what it is shown as; None where it is not there."""
    row = connection.execute("SELECT id FROM study WHERE partition = ? AND uid = ?", (partition, study)).fetchone()
    own = None if row is None else above_of(connection, row[0])
    if own is None:
        return None
    _, known = effect(connection, partition, study, own)
    return CorrectedStudy(own, corrections_of(connection, partition, study), known)
