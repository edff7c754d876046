"""The object stores of relocated receipts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from gantry.common.adapters.past_receipts import unpack_deletion_state
from gantry.common.dicom.query.attributes import Level
from gantry.common.lifecycle import Place
from gantry.common.ports.index import Relocation

_NOTE = """
    INSERT INTO place (partition, study, series, uid, receipt, store, at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET store = excluded.store, at = excluded.at
    WHERE (excluded.at, excluded.store) > (at, store)
"""
_PLACES = """
    SELECT p.receipt, p.at, p.store FROM json_each(?2) AS asked
    CROSS JOIN place AS p ON p.partition = ?1 AND p.receipt = asked.value
"""
_BELOW = {
    Level.STUDY: "",
    Level.SERIES: " AND series = json_extract(asked.value, '$[1]')",
    Level.IMAGE: " AND series = json_extract(asked.value, '$[1]') AND uid = json_extract(asked.value, '$[2]')",
}

# The index is named, since SQLite would otherwise scan the whole partition.
_STORES = """
    SELECT asked.value, wanted.value FROM json_each(?2) AS asked CROSS JOIN json_each(?3) AS wanted WHERE EXISTS (
        SELECT 1 FROM place INDEXED BY place_store WHERE partition = ?1
        AND study = json_extract(asked.value, '$[0]') AND store = wanted.value AND NOT hidden BELOW)
"""


def relocate(connection: sqlite3.Connection, relocations: Sequence[Relocation]) -> None:
    """Write places, inside the open transaction."""
    rows = []
    for relocation in relocations:
        key = (
            relocation.instance.study_instance_uid,
            relocation.instance.series_instance_uid,
            relocation.instance.sop_instance_uid,
        )
        rows.append((relocation.partition, *key, relocation.receipt, relocation.place.store, relocation.place.at))
    connection.executemany(_NOTE, rows)
    hidden = {}
    for relocation in relocations:
        at = relocation.partition, relocation.receipt
        row = connection.execute("SELECT fate FROM fate WHERE partition = ? AND receipt = ?", at).fetchone()
        hidden[at] = row is not None and unpack_deletion_state(row[0]).hidden
    hide(connection, hidden)


def hide(connection: sqlite3.Connection, hidden: Mapping[tuple[str, str], bool]) -> None:
    """Record which receipts, by partition and name, are hidden now."""
    connection.executemany(
        "UPDATE place SET hidden = ?3 WHERE partition = ?1 AND receipt = ?2 AND hidden != ?3",
        [(*at, is_hidden) for at, is_hidden in hidden.items()],
    )


def places(connection: sqlite3.Connection, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
    """The places of receipts that were relocated."""
    rows = connection.execute(_PLACES, (partition, json.dumps(list(receipts))))
    return {receipt: Place(at, store) for receipt, at, store in rows}


def stores_of(
    connection: sqlite3.Connection,
    partition: str,
    level: Level,
    uids: Collection[tuple[str, ...]],
    stores: Collection[str],
) -> dict[tuple[str, ...], frozenset[str]]:
    """The stores that hold any of the requested objects. One lookup in the index for each pair."""
    rows = connection.execute(
        _STORES.replace("BELOW", _BELOW[level]),
        (partition, json.dumps(sorted(set(uids))), json.dumps(sorted(stores))),
    )
    places: dict[tuple[str, ...], frozenset[str]] = {}
    for key, store in rows:
        at = tuple(json.loads(key))
        places[at] = places.get(at, frozenset()) | {store}
    return places
