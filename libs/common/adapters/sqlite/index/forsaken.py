"""Corrections of studies and patients of which nothing is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from gantry.common.adapters.graves import unpack_entry
from gantry.common.adapters.sqlite.index.corrected import end_of_walk
from gantry.common.adapters.sqlite.index.effects import effect
from gantry.common.lifecycle import Corrections
from gantry.common.ports.index import Forsaken


def page(
    connection: sqlite3.Connection, partition: str, after: tuple[str, str], limit: int
) -> tuple[list[Forsaken], tuple[str, str] | None]:
    """Of the next `limit` subjects behind `after`, those that nothing is left of; and where the next page begins, None
    at the end."""
    rows = connection.execute(
        "SELECT study, patient, state FROM correction WHERE partition = ? AND (study, patient) > (?, ?)"
        " ORDER BY study, patient LIMIT ?",
        (partition, *after, limit),
    ).fetchall()
    found = []
    hidden: set[str] | None = None
    for study, patient, state in rows:
        corrections = Corrections.unpack(state)
        if not corrections.erasable:
            continue
        if study:
            gone = _is_collected(connection, partition, study)
        else:
            keys = {patient, *(one.into for one in corrections.made.values() if one.into)}
            gone = not any(_has_studies(connection, partition, key) for key in keys)
            if gone:
                hidden = hidden if hidden is not None else set(_hidden_walks(connection, partition))
                gone = not hidden & keys
        if gone:
            found.append(Forsaken(study, patient, tuple(corrections.erasable)))
    return found, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def _is_collected(connection: sqlite3.Connection, partition: str, study: str) -> bool:
    """Whether there were receipts of a study, and all of them are collected."""
    there, decided, kept = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM study WHERE partition = ?1 AND uid = ?2),"
        " EXISTS (SELECT 1 FROM fate WHERE partition = ?1 AND study = ?2),"
        " EXISTS (SELECT 1 FROM fate WHERE partition = ?1 AND study = ?2 AND entry != X'')",
        (partition, study),
    ).fetchone()
    return bool(decided and not there and not kept)


def _has_studies(connection: sqlite3.Connection, partition: str, patient: str) -> bool:
    """Whether the walk of a study that is there passes a patient."""
    row = connection.execute(
        "SELECT 1 FROM patient JOIN study ON study.patient_id = patient.id WHERE patient.partition = ?"
        " AND patient.key = ? AND instr(study.walk, ?) LIMIT 1",
        (partition, end_of_walk(connection, partition, patient), f'"{patient}"'),
    ).fetchone()
    return row is not None


def _hidden_walks(connection: sqlite3.Connection, partition: str) -> Iterator[str]:
    """The patients on the walks of what may come back."""
    rows = connection.execute("SELECT entry FROM fate WHERE partition = ? AND entry != X''", (partition,))
    seen: set[tuple[str, str]] = set()
    for (packed,) in rows:
        entry = unpack_entry(packed)
        found, _ = effect(connection, partition, entry.study_instance_uid, entry.attributes)
        if (at := (entry.study_instance_uid, found.walk[0])) not in seen:
            seen.add(at)
            yield from found.walk
