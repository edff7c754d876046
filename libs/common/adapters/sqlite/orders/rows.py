"""Orders, steps and performed steps as rows, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgpack

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
    ReportStatus,
    ResultReport,
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
        "SELECT attributes, cancelled, reason, report FROM orders WHERE partition = ? AND key = ?", (partition, key)
    ).fetchone()
    if row is None:
        return None
    rows = connection.execute(
        "SELECT step, attributes, cancelled FROM steps WHERE partition = ? AND key = ? AND step <> '' ORDER BY number",
        (partition, key),
    )
    steps = {step: ScheduledStep(step, unpack(attributes), bool(cancelled)) for step, attributes, cancelled in rows}
    links = connection.execute(
        "SELECT study, correction FROM links WHERE partition = ? AND key = ? ORDER BY study", (partition, key)
    )
    return Order(partition, key, unpack(row[0]), steps, bool(row[1]), row[2], dict(links), _report_in(row[3]))


def _report_in(packed: bytes | None) -> ResultReport | None:
    if packed is None:
        return None
    status, attributes, at, source, message, studies = msgpack.unpackb(packed)
    return ResultReport(ReportStatus(status), unpack(attributes), at, source, message, tuple(studies))


def _packed_report(report: ResultReport | None) -> bytes | None:
    if report is None:
        return None
    row = report.status.value, pack(report.attributes), report.at, report.source, report.message, report.studies
    packed: bytes = msgpack.packb(row)
    return packed


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


def performed_in(connection: sqlite3.Connection, partition: str, study: str) -> list[PerformedStep]:
    """The performed steps that name a study."""
    query = "SELECT DISTINCT uid FROM performs WHERE partition = ? AND study = ?"
    uids = [uid for (uid,) in connection.execute(query, (partition, study))]
    return [performed_step for uid in uids if (performed_step := performed_at(connection, partition, uid)) is not None]


def performed_for(connection: sqlite3.Connection, order: Order) -> list[PerformedStep]:
    """The performed steps that may refer to steps of an order: those with its study, or one that is linked to it, and
    those with the ID of one of its steps and its accession number."""
    own, accession = first(order.attributes, STUDY_INSTANCE_UID), first(order.attributes, ACCESSION_NUMBER)
    uids: dict[str, None] = {}
    for study in filter(None, (own, *order.linked)):
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
    performed_steps = [performed_at(connection, order.partition, uid) for uid in uids]
    return [performed_step for performed_step in performed_steps if performed_step is not None]


def links_of(connection: sqlite3.Connection, partition: str, performed: Iterable[PerformedStep]) -> dict[str, str]:
    """The linked ones of the studies that performed steps name, with the keys of their orders."""
    studies = {
        study
        for performed_step in performed
        for reference in references_of(performed_step)
        for study in reference.studies
    }
    links = {study: linked_to(connection, partition, study) for study in studies}
    return {study: key for study, key in links.items() if key}


def linked_to(connection: sqlite3.Connection, partition: str, study: str) -> str:
    """The key of the order that a study is linked to, "" if there is none. If two links at once made several, the first
    by its key."""
    query = "SELECT key FROM links WHERE partition = ? AND study = ? ORDER BY key LIMIT 1"
    row = connection.execute(query, (partition, study)).fetchone()
    return "" if row is None else str(row[0])


def write_links(connection: sqlite3.Connection, order: Order) -> None:
    """Replace the studies that are linked to an order."""
    at = (order.partition, order.key)
    connection.execute("DELETE FROM links WHERE partition = ? AND key = ?", at)
    rows = [(order.partition, study, order.key, correction) for study, correction in order.linked.items()]
    connection.executemany("INSERT INTO links VALUES(?, ?, ?, ?)", rows)


def write_order(connection: sqlite3.Connection, order: Order, *, new: bool) -> None:
    """Replace the order under its key; `new`: there was none."""
    at = (order.partition, order.key)
    if not new:
        connection.execute("DELETE FROM steps WHERE partition = ? AND key = ?", at)
        connection.execute("DELETE FROM stations WHERE partition = ? AND key = ?", at)
    connection.execute(
        "INSERT OR REPLACE INTO orders VALUES(?, ?, ?, ?, ?, ?)",
        (*at, pack(order.attributes), order.cancelled, order.reason, _packed_report(order.report)),
    )
    performed = performed_for(connection, order)
    links = links_of(connection, order.partition, performed)
    tags = (PATIENT_ID, ACCESSION_NUMBER, REQUESTED_PROCEDURE_ID, STUDY_INSTANCE_UID)
    patient, accession, procedure, study = (first(order.attributes, tag) for tag in tags)
    for number, step in enumerate(list(order.steps.values()) or [_NO_STEP]):
        start = start_of(step.attributes)
        connection.execute(
            "INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(order.partition, start, order.key, step.id, number, pack(step.attributes), step.cancelled),
                *(state_of(order, step, performed, links).value, first(step.attributes, MODALITY)),
                *(patient, name_of(order.attributes), accession, procedure, study),
            ),
        )
        for station in step.attributes.get(SCHEDULED_STATION_AE_TITLE) or ():
            connection.execute(
                "INSERT OR IGNORE INTO stations VALUES(?, ?, ?, ?, ?)",
                (order.partition, str(station), start, order.key, step.id),
            )


def write_performed(connection: sqlite3.Connection, performed: PerformedStep) -> None:
    """Replace the performed step under its UID."""
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
