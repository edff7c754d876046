"""Orders and performed steps without changes for a long time."""

from __future__ import annotations

import sqlite3

from gantry.common.adapters.sqlite.orders.erasing import step_key, workitem_key
from gantry.common.adapters.sqlite.orders.rows import order_at, performed_at, performed_for
from gantry.common.adapters.sqlite.orders.states import orders_of
from gantry.common.orders import PerformedStep
from gantry.common.ports.orders import Aged

_OF_STEP = step_key("")
_OF_WORKITEMS = (workitem_key(""), "subscription ")
"""Workitems have their own end, and are listed by `ended_workitems`."""
_SILENT = (
    "SELECT key, MAX(at) FROM changes WHERE partition = ? AND key > ? AND payload IS NOT NULL AND NOT erasure "
    "GROUP BY key ORDER BY key LIMIT ?"
)


def aged_after(
    connection: sqlite3.Connection, partition: str, before_us: int, before_day: str, after: str, most: int
) -> tuple[list[Aged], str]:
    """The aged ones (`gantry.common.ports.orders.OrderIndex.aged`) of the next `most` keys, and the last key examined;
    "" at the end."""
    rows = connection.execute(_SILENT, (partition, after, most)).fetchall()
    aged: list[Aged] = []
    for key, at in rows:
        if at >= before_us or key.startswith(_OF_WORKITEMS):
            continue
        if key.startswith(_OF_STEP):
            uid = key.removeprefix(_OF_STEP)
            performed = performed_at(connection, partition, uid)
            if performed is not None and not orders_of(connection, performed):
                aged.append(Aged(performed=uid))
        elif _is_past(connection, partition, key, before_us, before_day):
            aged.append(Aged(order=key))
    return aged, rows[-1][0] if len(rows) == most else ""


def performed_alone(connection: sqlite3.Connection, partition: str, key: str) -> list[PerformedStep]:
    """The performed steps that name an order, or its study, and perform no step of another one."""
    order = order_at(connection, partition, key)
    if order is None:
        return []
    return [
        performed_step
        for performed_step in performed_for(connection, order)
        if orders_of(connection, performed_step) <= {key}
    ]


def unordered_after(
    connection: sqlite3.Connection, partition: str, after: str, most: int
) -> tuple[list[PerformedStep], str]:
    """Those of the next `most` performed steps that perform no step of an order, and the last UID examined; "" at the
    end."""
    query = "SELECT uid FROM performed WHERE partition = ? AND uid > ? ORDER BY uid LIMIT ?"
    uids = [uid for (uid,) in connection.execute(query, (partition, after, most))]
    steps = [step for uid in uids if (step := performed_at(connection, partition, uid)) is not None]
    return [step for step in steps if not orders_of(connection, step)], uids[-1] if len(uids) == most else ""


def _is_past(connection: sqlite3.Connection, partition: str, key: str, before_us: int, before_day: str) -> bool:
    """Whether an order has no future step, and the steps performed for it are aged, too."""
    (latest,) = connection.execute(
        "SELECT MAX(start) FROM steps WHERE partition = ? AND key = ?", (partition, key)
    ).fetchone()
    if latest and latest[:8] >= before_day:
        return False
    for performed in performed_alone(connection, partition, key):
        (at,) = connection.execute(
            "SELECT MAX(at) FROM changes WHERE partition = ? AND key = ?", (partition, step_key(performed.uid))
        ).fetchone()
        if at >= before_us:
            return False
    return True
