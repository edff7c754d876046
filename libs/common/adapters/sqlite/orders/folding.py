"""Events become rows: what stood is read, folded with the event, and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from gantry.common.adapters.sqlite.orders.rows import (
    linked_to,
    links_of,
    order_at,
    performed_at,
    performed_for,
    performed_in,
    write_links,
    write_order,
    write_performed,
)
from gantry.common.events import StudyLinked, StudyUnlinked, encode
from gantry.common.orders import OrderEvent, PerformedStep, Verdict, fold_order, fold_step, references_of, state_of
from gantry.common.ports.orders import AnyVerdict, FoldedEvent
from gantry.common.statuses import PROCESSING_FAILURE
from gantry.common.telemetry.logs import get_logger

logger = get_logger("orders")


def fold_event(connection: sqlite3.Connection, event: FoldedEvent) -> AnyVerdict:
    """Fold one event into the tables, unless it was folded before."""
    key = _key(event)
    known = connection.execute(
        "SELECT accepted, reason, status, error_id FROM changes WHERE change = ?", (event.change,)
    ).fetchone()
    if known is not None:
        return _verdict_of(connection, event, known)
    verdict = _applied(connection, event, key)
    connection.execute(
        "INSERT INTO changes(change, partition, key, payload, accepted, reason, status, error_id) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(event.change, event.partition, key, encode(event)),
            *(verdict.accepted, verdict.reason, verdict.status, verdict.error_id),
        ),
    )
    return verdict


def _applied(connection: sqlite3.Connection, event: FoldedEvent, key: str) -> AnyVerdict:
    """The verdict, with its effects written. An event that cannot be folded must not stop all that come after it: every
    process meets it at the same place, and each refuses it."""
    connection.execute("SAVEPOINT event")
    try:
        verdict = _written(connection, event, key)
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        connection.execute("ROLLBACK TO event")
        logger.error("event of an order cannot be applied", change=event.change, error=type(error).__name__)
        verdict = Verdict(False, "the event cannot be applied", None, PROCESSING_FAILURE)
    connection.execute("RELEASE event")
    return verdict


def _written(connection: sqlite3.Connection, event: FoldedEvent, key: str) -> AnyVerdict:
    if isinstance(event, OrderEvent):
        before = order_at(connection, event.partition, key)
        of_order = fold_order(before, event)
        if of_order.accepted and of_order.state is not None:
            if isinstance(event, StudyLinked | StudyUnlinked):
                write_links(connection, of_order.state)
            write_order(connection, of_order.state, new=before is None)
            if isinstance(event, StudyLinked | StudyUnlinked):
                # The order that the modality chose has its steps back, or loses them again.
                for performed in performed_in(connection, event.partition, event.study_instance_uid):
                    _move_steps(connection, performed)
        return of_order
    of_step = fold_step(performed_at(connection, event.partition, key), event)
    if of_step.accepted and of_step.state is not None:
        write_performed(connection, of_step.state)
        _move_steps(connection, of_step.state)
    return of_step


def _key(event: FoldedEvent) -> str:
    if isinstance(event, OrderEvent):
        return event.order
    return event.sop_instance_uid


def _verdict_of(connection: sqlite3.Connection, event: FoldedEvent, row: Iterable[Any]) -> AnyVerdict:
    accepted, reason, status, error_id = row
    if isinstance(event, OrderEvent):
        order = order_at(connection, event.partition, event.order)
        return Verdict(bool(accepted), reason, order, status, error_id)
    performed = performed_at(connection, event.partition, event.sop_instance_uid)
    return Verdict(bool(accepted), reason, performed, status, error_id)


def _move_steps(connection: sqlite3.Connection, performed: PerformedStep) -> None:
    """Compute the states of all scheduled steps that a performed one may refer to anew."""
    keys: set[str] = set()
    for reference in references_of(performed):
        for study in reference.studies:
            keys.update(_keys(connection, "study = ?", performed.partition, study))
            if linked := linked_to(connection, performed.partition, study):
                keys.add(linked)
        if reference.step and reference.accession:
            where = "step = ? AND accession = ?"
            keys.update(_keys(connection, where, performed.partition, reference.step, reference.accession))
    for key in keys:
        order = order_at(connection, performed.partition, key)
        if order is None:
            continue
        some = performed_for(connection, order)
        links = links_of(connection, order.partition, some)
        for step in order.steps.values():
            connection.execute(
                "UPDATE steps SET state = ? WHERE partition = ? AND key = ? AND step = ?",
                (state_of(order, step, some, links).value, order.partition, key, step.id),
            )


def _keys(connection: sqlite3.Connection, where: str, *values: str) -> list[str]:
    # `where` is one of the two texts above.
    query = f"SELECT DISTINCT key FROM steps WHERE partition = ? AND {where}"  # noqa: S608
    return [key for (key,) in connection.execute(query, values)]
