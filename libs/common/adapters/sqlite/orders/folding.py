"""Events become rows: the current state is read, folded with the event, and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from gantry.common.adapters.sqlite.orders.erasing import (
    erase_order,
    erase_step,
    forget,
    is_erased_step,
    key_of,
    last_change,
    note_object,
    subscription_key,
    workitem_key,
)
from gantry.common.adapters.sqlite.orders.rows import (
    order_at,
    performed_at,
    performed_in,
    write_links,
    write_order,
    write_performed,
)
from gantry.common.adapters.sqlite.orders.states import move_steps
from gantry.common.adapters.sqlite.orders.subscriptions import subscription_at, write_subscription
from gantry.common.adapters.sqlite.orders.workitems import (
    erase_workitem,
    is_erased_workitem,
    workitem_at,
    write_workitem,
)
from gantry.common.events import OrderErased, ProcedureStepErased, StudyLinked, StudyUnlinked, WorkitemErased, encode
from gantry.common.orders import (
    ERASED,
    Order,
    OrderEvent,
    PerformedStep,
    StepEvent,
    Verdict,
    fold_order,
    fold_step,
    refused_as_erased,
)
from gantry.common.ports.orders import AnyVerdict, FoldedEvent
from gantry.common.statuses import PROCESSING_FAILURE
from gantry.common.telemetry.logs import get_logger
from gantry.common.workitems import (
    SubscriptionEvent,
    Workitem,
    WorkitemEvent,
    WorkitemSubscription,
    fold_subscription,
    fold_workitem,
)
from gantry.common.workitems import refused_as_erased as refused_workitem

logger = get_logger("orders")


def fold_event(connection: sqlite3.Connection, event: FoldedEvent) -> AnyVerdict:
    """Fold one event into the tables, unless it was folded before."""
    key = key_of(event)
    known = connection.execute(
        "SELECT payload IS NULL, accepted, reason, status, error_id FROM changes WHERE change = ?", (event.change,)
    ).fetchone()
    if known is not None:
        note_object(connection, event, erased=bool(known[0]))
        return _verdict_of(connection, event, known[1:])
    verdict = _applied(connection, event)
    erased = verdict.reason == ERASED or _is_of_nothing(verdict, event)
    connection.execute(
        "INSERT INTO changes(change, partition, key, at, payload, erasure, accepted, reason, status, error_id) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(event.change, event.partition, key, event.at, None if erased else encode(event)),
            isinstance(event, OrderErased | ProcedureStepErased | WorkitemErased),
            *(verdict.accepted, verdict.reason, verdict.status, verdict.error_id),
        ),
    )
    note_object(connection, event, erased=erased)
    return verdict


def _is_of_nothing(verdict: AnyVerdict, event: FoldedEvent) -> bool:
    """Whether a refused event is about a performed step or workitem that does not exist: its values are never shown."""
    return (
        isinstance(event, StepEvent | WorkitemEvent | SubscriptionEvent)
        and not verdict.accepted
        and verdict.state is None
    )


def _applied(connection: sqlite3.Connection, event: FoldedEvent) -> AnyVerdict:
    """The verdict, with its effects written. An event that cannot be folded must not stop all that come after it: every
    process meets it at the same place, and each refuses it."""
    connection.execute("SAVEPOINT event")
    try:
        verdict = _written(connection, event)
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        connection.execute("ROLLBACK TO event")
        logger.error("event of an order cannot be applied", change=event.change, error=type(error).__name__)
        verdict = Verdict(False, "the event cannot be applied", None, PROCESSING_FAILURE)
    connection.execute("RELEASE event")
    return verdict


def _written(connection: sqlite3.Connection, event: FoldedEvent) -> AnyVerdict:
    if isinstance(event, OrderErased):
        # The requester did not know of this change: what was acknowledged meanwhile stays.
        if last_change(connection, event.partition, event.order) != event.known:
            before = order_at(connection, event.partition, event.order)
            return Verdict(False, "something was asked of the order meanwhile", before)
        erase_order(connection, event)
    elif isinstance(event, ProcedureStepErased):
        erase_step(connection, event.partition, event.sop_instance_uid)
    if isinstance(event, OrderEvent):
        return _written_order(connection, event)
    if isinstance(event, WorkitemEvent):
        return _written_workitem(connection, event)
    if isinstance(event, SubscriptionEvent):
        return _written_subscription(connection, event)
    return _written_step(connection, event)


def _written_order(connection: sqlite3.Connection, event: OrderEvent) -> Verdict[Order]:
    before = order_at(connection, event.partition, event.order)
    verdict = fold_order(before, event)
    if verdict.accepted and verdict.state is not None:
        if isinstance(event, StudyLinked | StudyUnlinked):
            write_links(connection, verdict.state)
        write_order(connection, verdict.state, new=before is None)
        if isinstance(event, StudyLinked | StudyUnlinked):
            # The order that the modality chose gets its steps back, or loses them again.
            for performed in performed_in(connection, event.partition, event.study_instance_uid):
                move_steps(connection, performed)
    return verdict


def _written_step(connection: sqlite3.Connection, event: StepEvent) -> Verdict[PerformedStep]:
    uid = event.sop_instance_uid
    if not isinstance(event, ProcedureStepErased) and is_erased_step(connection, event.partition, uid):
        return refused_as_erased(event)
    verdict = fold_step(performed_at(connection, event.partition, uid), event)
    if verdict.accepted and verdict.state is not None:
        write_performed(connection, verdict.state)
        move_steps(connection, verdict.state)
    return verdict


def _written_workitem(connection: sqlite3.Connection, event: WorkitemEvent) -> Verdict[Workitem]:
    at = event.partition, event.sop_instance_uid
    if isinstance(event, WorkitemErased):
        erase_workitem(connection, *at)
        forget(connection, event.partition, workitem_key(event.sop_instance_uid))
    elif is_erased_workitem(connection, *at):
        return refused_workitem(event)
    verdict = fold_workitem(workitem_at(connection, *at), event)
    if verdict.accepted and verdict.state is not None:
        write_workitem(connection, verdict.state)
    return verdict


def _written_subscription(connection: sqlite3.Connection, event: SubscriptionEvent) -> Verdict[WorkitemSubscription]:
    partition, target = event.partition, event.sop_instance_uid
    before = subscription_at(connection, partition, event.subscriber, target)
    verdict = fold_subscription(before, event, workitem_at(connection, partition, target))
    if verdict.accepted and verdict.state is not None:
        write_subscription(connection, verdict.state)
        if not verdict.state.stands:
            # Its filter may name a patient.
            forget(connection, partition, subscription_key(event.subscriber, target))
    return verdict


def _verdict_of(connection: sqlite3.Connection, event: FoldedEvent, row: Iterable[Any]) -> AnyVerdict:
    accepted, reason, status, error_id = row
    if isinstance(event, OrderEvent):
        order = order_at(connection, event.partition, event.order)
        return Verdict(bool(accepted), reason, order, status, error_id)
    if isinstance(event, SubscriptionEvent):
        subscription = subscription_at(connection, event.partition, event.subscriber, event.sop_instance_uid)
        return Verdict(bool(accepted), reason, subscription, status, error_id)
    if isinstance(event, WorkitemEvent):
        workitem = workitem_at(connection, event.partition, event.sop_instance_uid)
        return Verdict(bool(accepted), reason, workitem, status, error_id)
    performed = performed_at(connection, event.partition, event.sop_instance_uid)
    return Verdict(bool(accepted), reason, performed, status, error_id)
