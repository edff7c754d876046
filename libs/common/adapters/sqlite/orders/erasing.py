"""Erasure of orders and performed steps, and of the objects that hold their values."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gantry.common.adapters.sqlite.orders.rows import order_at, performed_at, performed_in
from gantry.common.adapters.sqlite.orders.states import move_steps
from gantry.common.events import OrderErased
from gantry.common.orders import ERASED, OrderEvent, ValuedEvent, values_key_of
from gantry.common.ports.orders import FoldedEvent
from gantry.common.workitems import SubscriptionEvent, WorkitemEvent

_MOST_NAMES = 500
"""Most names in one statement."""


def key_of(event: FoldedEvent) -> str:
    """The key for the changes of an event's order, performed step or workitem. Keys of orders contain no space."""
    if isinstance(event, OrderEvent):
        return event.order
    if isinstance(event, WorkitemEvent):
        return workitem_key(event.sop_instance_uid)
    if isinstance(event, SubscriptionEvent):
        return subscription_key(event.subscriber, event.sop_instance_uid)
    return step_key(event.sop_instance_uid)


def subscription_key(subscriber: str, target: str) -> str:
    """The key for the requests of one AE title about one workitem, or about all."""
    return f"subscription {subscriber} {target}"


def workitem_key(uid: str) -> str:
    """The key for the changes of a workitem."""
    return f"workitem {uid}"


def step_key(uid: str) -> str:
    """The key for the changes of a performed step."""
    return f"step {uid}"


def last_change(connection: sqlite3.Connection, partition: str, key: str) -> str:
    """The name of the last change of an order, erased or not: the same in every process that has read as far."""
    query = "SELECT change FROM changes WHERE partition = ? AND key = ? AND NOT erasure ORDER BY number DESC LIMIT 1"
    row = connection.execute(query, (partition, key)).fetchone()
    return "" if row is None else str(row[0])


def erase_order(connection: sqlite3.Connection, event: OrderErased) -> None:
    """Drop an order, the requests about it, and these performed steps."""
    at = event.partition, event.order
    before = order_at(connection, *at)
    for table in ("orders", "steps", "stations", "links"):
        connection.execute(f"DELETE FROM {table} WHERE partition = ? AND key = ?", at)  # noqa: S608
    forget(connection, *at)
    for uid in event.performed:
        erase_step(connection, event.partition, uid)
    # Steps performed for a linked study belong again to the order that the modality chose.
    for study in before.linked if before is not None else ():
        for performed in performed_in(connection, event.partition, study):
            move_steps(connection, performed)


def erase_step(connection: sqlite3.Connection, partition: str, uid: str) -> None:
    """Drop a performed step: its UID has no effect any more, in whatever order the topics are read."""
    connection.execute("INSERT OR IGNORE INTO erased_steps VALUES(?, ?)", (partition, uid))
    performed = performed_at(connection, partition, uid)
    forget(connection, partition, step_key(uid))
    if performed is not None:
        for table in ("performed", "performs"):
            connection.execute(f"DELETE FROM {table} WHERE partition = ? AND uid = ?", (partition, uid))  # noqa: S608
        move_steps(connection, performed)


def is_erased_step(connection: sqlite3.Connection, partition: str, uid: str) -> bool:
    """Whether a performed step was erased."""
    query = "SELECT 1 FROM erased_steps WHERE partition = ? AND uid = ?"
    return connection.execute(query, (partition, uid)).fetchone() is not None


def note_object(connection: sqlite3.Connection, event: FoldedEvent, *, erased: bool) -> None:
    """Record the object with an event's values, unless it is gone; `erased`: it is to be removed. Values inside the
    event may have been moved to an object when it was sealed."""
    if isinstance(event, ValuedEvent) and (event.values_size or not event.values_key):
        row = values_key_of(event), event.partition, key_of(event), erased
        connection.execute("INSERT OR IGNORE INTO values_objects VALUES(?, ?, ?, ?)", row)


def erased_objects(connection: sqlite3.Connection, most: int) -> list[str]:
    """Objects whose events are erased, and which still exist as far as known."""
    return [key for (key,) in connection.execute("SELECT object FROM values_objects WHERE erased LIMIT ?", (most,))]


def forget_objects(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Drop removed objects from the table."""
    connection.executemany("DELETE FROM values_objects WHERE object = ?", [(key,) for key in keys])


def named_objects(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    """The objects, of those given, that events name."""
    named: set[str] = set()
    for start in range(0, len(keys), _MOST_NAMES):
        batch = keys[start : start + _MOST_NAMES]
        marks = ", ".join("?" * len(batch))
        rows = connection.execute(f"SELECT object FROM values_objects WHERE object IN ({marks})", batch)  # noqa: S608
        named.update(key for (key,) in rows)
    return named


def forget(connection: sqlite3.Connection, partition: str, key: str) -> None:
    """Drop all requests except their names, so that none is repeated. Erasures stay in the history."""
    connection.execute(
        "UPDATE changes SET payload = NULL, accepted = 0, reason = ? "
        "WHERE partition = ? AND key = ? AND payload IS NOT NULL AND NOT erasure",
        (ERASED, partition, key),
    )
    connection.execute("UPDATE values_objects SET erased = 1 WHERE partition = ? AND key = ?", (partition, key))
