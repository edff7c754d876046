"""The states of scheduled steps, as performed ones are created, changed and erased."""

from __future__ import annotations

import sqlite3

from gantry.common.adapters.sqlite.orders.rows import linked_to, links_of, order_at, performed_for
from gantry.common.orders import PerformedStep, references_of, refers_to, state_of


def move_steps(connection: sqlite3.Connection, performed: PerformedStep) -> None:
    """Recompute the states of all scheduled steps that a performed one may refer to."""
    for key in _orders_near(connection, performed):
        order = order_at(connection, performed.partition, key)
        if order is None:
            continue
        performed_steps = performed_for(connection, order)
        links = links_of(connection, order.partition, performed_steps)
        for step in order.steps.values():
            connection.execute(
                "UPDATE steps SET state = ? WHERE partition = ? AND key = ? AND step = ?",
                (state_of(order, step, performed_steps, links).value, order.partition, key, step.id),
            )


def orders_of(connection: sqlite3.Connection, performed: PerformedStep) -> set[str]:
    """The keys of the orders with a step that a performed one refers to."""
    links = links_of(connection, performed.partition, [performed])
    orders = (order_at(connection, performed.partition, key) for key in _orders_near(connection, performed))
    return {
        order.key
        for order in orders
        if order is not None and any(refers_to(performed, order, step, links) for step in order.steps.values())
    }


def _orders_near(connection: sqlite3.Connection, performed: PerformedStep) -> set[str]:
    """The keys of orders that a performed step may refer to."""
    keys: set[str] = set()
    for reference in references_of(performed):
        for study in reference.studies:
            keys.update(_keys(connection, "study = ?", performed.partition, study))
            if linked := linked_to(connection, performed.partition, study):
                keys.add(linked)
        if reference.step and reference.accession:
            where = "step = ? AND accession = ?"
            keys.update(_keys(connection, where, performed.partition, reference.step, reference.accession))
    return keys


def _keys(connection: sqlite3.Connection, where: str, *values: str) -> list[str]:
    # `where` is one of the two texts above.
    query = f"SELECT DISTINCT key FROM steps WHERE partition = ? AND {where}"  # noqa: S608
    return [key for (key,) in connection.execute(query, values)]
