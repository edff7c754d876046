"""Orders, steps and performed steps as rows, and back."""

from __future__ import annotations

import sqlite3

from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITY,
    PATIENT_ID,
    REQUESTED_PROCEDURE_ID,
    SCHEDULED_STATION_AE_TITLE,
    STUDY_INSTANCE_UID,
)
from gantry.common.orders import (
    Order,
    PerformedState,
    PerformedStep,
    ScheduledStep,
    StepState,
    first,
    pack,
    references_of,
    state_of,
    unpack,
)
from gantry.common.orders.questions import name_of, start_of

_NO_STEP = ScheduledStep("", {})
"""Stands for an order that has no steps yet, so that it is found."""


def order_at(connection: sqlite3.Connection, partition: str, key: str) -> Order | None:
    """The order under a key."""
    row = connection.execute(
        "SELECT attributes, cancelled, reason FROM orders WHERE partition = ? AND key = ?", (partition, key)
    ).fetchone()
    if row is None:
        return None
    rows = connection.execute(
        "SELECT step, attributes, cancelled FROM steps WHERE partition = ? AND key = ? AND step <> '' ORDER BY number",
        (partition, key),
    )
    steps = {step: ScheduledStep(step, unpack(attributes), bool(cancelled)) for step, attributes, cancelled in rows}
    return Order(partition, key, unpack(row[0]), steps, bool(row[1]), row[2])


def states_at(connection: sqlite3.Connection, partition: str, key: str) -> dict[str, StepState]:
    """The states of an order's steps."""
    rows = connection.execute(
        "SELECT step, state FROM steps WHERE partition = ? AND key = ? AND step <> '' ORDER BY number", (partition, key)
    )
    return {step: StepState(state) for step, state in rows}


def performed_at(connection: sqlite3.Connection, partition: str, uid: str) -> PerformedStep | None:
    """The performed step with a UID."""
    row = connection.execute(
        "SELECT state, attributes FROM performed WHERE partition = ? AND uid = ?", (partition, uid)
    ).fetchone()
    return None if row is None else PerformedStep(partition, uid, PerformedState(row[0]), unpack(row[1]))


def performed_for(connection: sqlite3.Connection, order: Order) -> list[PerformedStep]:
    """The performed steps that may refer to steps of an order: those with its study, and those with the ID of one of
    its steps and its accession number."""
    study, accession = first(order.attributes, STUDY_INSTANCE_UID), first(order.attributes, ACCESSION_NUMBER)
    uids: dict[str, None] = {}
    if study:
        rows = connection.execute(
            "SELECT uid FROM performs WHERE partition = ? AND study = ?", (order.partition, study)
        )
        uids.update(dict.fromkeys(uid for (uid,) in rows))
    for step in order.steps if accession else ():
        rows = connection.execute(
            "SELECT uid FROM performs WHERE partition = ? AND step = ? AND accession = ?",
            (order.partition, step, accession),
        )
        uids.update(dict.fromkeys(uid for (uid,) in rows))
    found = [performed_at(connection, order.partition, uid) for uid in uids]
    return [one for one in found if one is not None]


def write_order(connection: sqlite3.Connection, order: Order, *, new: bool) -> None:
    """Put an order in the place of what was under its key; `new`: of nothing."""
    at = (order.partition, order.key)
    if not new:
        connection.execute("DELETE FROM steps WHERE partition = ? AND key = ?", at)
        connection.execute("DELETE FROM stations WHERE partition = ? AND key = ?", at)
    connection.execute(
        "INSERT OR REPLACE INTO orders VALUES(?, ?, ?, ?, ?)",
        (*at, pack(order.attributes), order.cancelled, order.reason),
    )
    performed = performed_for(connection, order)
    tags = (PATIENT_ID, ACCESSION_NUMBER, REQUESTED_PROCEDURE_ID, STUDY_INSTANCE_UID)
    patient, accession, procedure, study = (first(order.attributes, tag) for tag in tags)
    for number, step in enumerate(list(order.steps.values()) or [_NO_STEP]):
        start = start_of(step.attributes)
        connection.execute(
            "INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(order.partition, start, order.key, step.id, number, pack(step.attributes), step.cancelled),
                *(state_of(order, step, performed).value, first(step.attributes, MODALITY)),
                *(patient, name_of(order.attributes), accession, procedure, study),
            ),
        )
        for station in step.attributes.get(SCHEDULED_STATION_AE_TITLE) or ():
            connection.execute(
                "INSERT OR IGNORE INTO stations VALUES(?, ?, ?, ?, ?)",
                (order.partition, str(station), start, order.key, step.id),
            )


def write_performed(connection: sqlite3.Connection, performed: PerformedStep) -> None:
    """Put a performed step in the place of what was under its UID."""
    at = (performed.partition, performed.uid)
    connection.execute(
        "INSERT OR REPLACE INTO performed VALUES(?, ?, ?, ?)",
        (*at, performed.state.value, pack(performed.attributes)),
    )
    connection.execute("DELETE FROM performs WHERE partition = ? AND uid = ?", at)
    connection.executemany(
        "INSERT OR IGNORE INTO performs VALUES(?, ?, ?, ?, ?)",
        [
            (*at, study, reference.accession, reference.step)
            for reference in references_of(performed)
            for study in reference.studies or ("",)
        ],
    )
