"""Subscriptions to workitems as rows, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from gantry.common.workitems import Workitem, WorkitemRecipient, WorkitemSubscription, recipients_of
from gantry.common.workitems.subscriptions import GLOBAL

_ROW = "partition, subscriber, target, at, stands, lock, keys, suspended_at, since"


def subscription_at(
    connection: sqlite3.Connection, partition: str, subscriber: str, target: str
) -> WorkitemSubscription | None:
    """The last request of an AE title about a target."""
    query = f"SELECT {_ROW} FROM subscriptions WHERE partition = ? AND target = ? AND subscriber = ?"  # noqa: S608
    row = connection.execute(query, (partition, target, subscriber)).fetchone()
    return None if row is None else _subscription(row)


def write_subscription(connection: sqlite3.Connection, subscription: WorkitemSubscription) -> None:
    """Replace the earlier request."""
    connection.execute(
        "INSERT OR REPLACE INTO subscriptions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(
                subscription.partition,
                subscription.subscriber,
                subscription.target,
                subscription.at,
                subscription.stands,
                subscription.lock,
                subscription.keys,
            ),
            *(subscription.suspended_at, subscription.since),
        ),
    )


def forget_subscriptions(connection: sqlite3.Connection, partition: str, target: str) -> None:
    """Drop the subscriptions to an erased workitem."""
    connection.execute("DELETE FROM subscriptions WHERE partition = ? AND target = ?", (partition, target))


def read_recipients(connection: sqlite3.Connection, workitem: Workitem) -> list[WorkitemRecipient]:
    """The subscribers of a workitem."""
    targets = (workitem.uid, *sorted(GLOBAL))
    query = f"SELECT {_ROW} FROM subscriptions WHERE partition = ? AND target IN (?, ?, ?)"  # noqa: S608
    return recipients_of(workitem, _subscriptions(connection.execute(query, (workitem.partition, *targets))))


def stands_anywhere(connection: sqlite3.Connection, partition: str, subscriber: str) -> bool:
    """Whether an AE title has any subscription in force."""
    query = "SELECT 1 FROM subscriptions WHERE partition = ? AND subscriber = ? AND stands LIMIT 1"
    return connection.execute(query, (partition, subscriber)).fetchone() is not None


def _subscriptions(rows: Iterable[Any]) -> list[WorkitemSubscription]:
    return [_subscription(row) for row in rows]


def _subscription(row: Any) -> WorkitemSubscription:
    partition, subscriber, target, at, stands, lock, keys, suspended_at, since = row
    return WorkitemSubscription(partition, subscriber, target, at, bool(stands), bool(lock), keys, suspended_at, since)
