"""Corrections of studies and patients of which nothing is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from gantry.common.adapters.past_receipts import unpack_entry
from gantry.common.adapters.sqlite.index.aggregates import above_of
from gantry.common.adapters.sqlite.index.corrected import walk_from
from gantry.common.adapters.sqlite.index.effects import effect
from gantry.common.lifecycle import NOTHING, Corrections, identity_of
from gantry.common.ports.index import OrphanedCorrections


def page(
    connection: sqlite3.Connection, partition: str, after: tuple[str, str], limit: int
) -> tuple[list[OrphanedCorrections], tuple[str, str] | None]:
    """The subjects of which nothing is left, among the next `limit` after `after`; and where the next page begins, None
    at the end."""
    rows = connection.execute(
        "SELECT study, patient, state FROM correction WHERE partition = ? AND (study, patient) > (?, ?)"
        " ORDER BY study, patient LIMIT ?",
        (partition, *after, limit),
    ).fetchall()
    studies = []
    other: set[str] | None = None
    for study, patient, state in rows:
        corrections = Corrections.unpack(state)
        if not corrections.erasable:
            continue
        if study:
            gone = _is_collected(connection, partition, study)
        else:
            keys = {patient, *(correction.into for correction in corrections.made.values() if correction.into)}
            gone = not any(_has_studies(connection, partition, key) for key in keys)
            if gone:
                other = other if other is not None else set(_other_walks(connection, partition))
                gone = not other & keys
        if gone:
            studies.append(OrphanedCorrections(study, patient, tuple(corrections.erasable)))
    return studies, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def _is_collected(connection: sqlite3.Connection, partition: str, study: str) -> bool:
    """Whether there were receipts of a study, and all of them are collected."""
    is_present, decided, is_kept = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM study WHERE partition = ?1 AND uid = ?2),"
        " EXISTS (SELECT 1 FROM fate WHERE partition = ?1 AND study = ?2),"
        " EXISTS (SELECT 1 FROM fate WHERE partition = ?1 AND study = ?2 AND entry != X'')",
        (partition, study),
    ).fetchone()
    return bool(decided and not is_present and not is_kept)


def _has_studies(connection: sqlite3.Connection, partition: str, patient: str) -> bool:
    """Whether the walk of an existing study includes a patient."""
    for end in walk_from(connection, partition, patient):
        row = connection.execute(
            "SELECT 1 FROM patient JOIN study ON study.patient_id = patient.id WHERE patient.partition = ?"
            " AND patient.key = ? AND instr(study.walk, ?) LIMIT 1",
            (partition, end, f'"{patient}"'),
        ).fetchone()
        if row is not None:
            return True
    return False


def _other_walks(connection: sqlite3.Connection, partition: str) -> Iterator[str]:
    """The patients on the walks of receipts that may be restored, and on those that studies would have if corrections
    of their identity were withdrawn."""
    for study, own in _owns(connection, partition):
        for of_study in (None, NOTHING):
            yield from effect(connection, partition, study, own, of_study)[0].walk


def _owns(connection: sqlite3.Connection, partition: str) -> Iterator[tuple[str, Mapping[int, Any]]]:
    """The study values of hidden receipts, each once, and the own values of studies that were assigned to another
    patient."""
    seen: set[tuple[str, str]] = set()
    for (packed,) in connection.execute("SELECT entry FROM fate WHERE partition = ? AND entry != X''", (partition,)):
        entry = unpack_entry(packed)
        at = entry.study_instance_uid, identity_of(entry.attributes, entry.study_instance_uid)
        if at not in seen:
            seen.add(at)
            yield entry.study_instance_uid, entry.attributes
    rows = connection.execute(
        "SELECT study.uid, study.id, correction.state FROM correction JOIN study ON study.partition = ?1"
        " AND study.uid = correction.study WHERE correction.partition = ?1 AND correction.study != ''",
        (partition,),
    )
    for study, number, state in rows:
        own = above_of(connection, number) if Corrections.unpack(state).touch_identity else None
        if own is not None:
            yield study, own
