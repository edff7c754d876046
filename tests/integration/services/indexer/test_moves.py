"""What is moved ends where the log's order ends, in whatever order, and however often, an index hears of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.events import (
    Event,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    ObjectLost,
    ObjectsCollected,
    ReceiptReference,
)
from gantry.common.ids import Receipt
from gantry.common.lifecycle import successor
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.corrections import CorrectionSubject, write_values
from gantry.services.indexer.rebuild import Rebuild
from tests.contract.test_search_index import everything
from tests.integration.services.lifecycle.test_retention import header
from tests.support.facts import stored

ONE, OTHER, THIRD = "1.1", "1.2", "1.3"
_WHY = "why", "who", 7


def name(number: int) -> str:
    return Receipt.at(number * 1_000_000).id[:12] + f"{number:020x}"


def arrival(number: int, study: str, patient: str, digest: str = "blake3:00", instance: int = 0) -> InstanceStored:
    receipt = stored(instance or number, study)
    head = header(patient=patient)
    return replace(
        receipt, header=head, header_length=len(head), receipt=name(number), object_key=f"objects/{number}.dcm",
        digest=digest,
    )  # fmt: skip


def reference(event: InstanceStored, *moves: str, series: str = "") -> ReceiptReference:
    receipt = event.receipt
    for move in moves:
        receipt = successor(receipt, move)
    return ReceiptReference(series or event.series_instance_uid, event.sop_instance_uid, receipt)


def moved(study: str, move: int, into: str, *receipts: ReceiptReference) -> InstancesMoved:
    return InstancesMoved("default", "", study, name(move), receipts, into, f"{into}.m{move}".replace("m", "9"), *_WHY)


def back(event: InstancesMoved) -> InstancesMovedBack:
    fields = event.partition, "", event.study_instance_uid, event.move, event.receipts
    return InstancesMovedBack(*fields, event.into_study, event.into_series, *_WHY)


FIRST, SECOND, AGAIN = arrival(1, ONE, "P1"), arrival(2, ONE, "P1"), arrival(3, ONE, "P1", "blake3:ff", instance=1)
THERE = arrival(4, OTHER, "P2")
AWAY = moved(ONE, 10, OTHER, reference(FIRST), reference(SECOND), reference(AGAIN))
ON = moved(OTHER, 11, THIRD, *[reference(event, AWAY.move, series=AWAY.into_series) for event in (FIRST, AGAIN)])
STORED = [FIRST, SECOND, AGAIN, THERE]
LOST = ObjectLost(
    "default", "", OTHER, AWAY.into_series, SECOND.sop_instance_uid, SECOND.receipt, SECOND.object_key, "m", "w", 1
)
DELETED = InstancesDeleted(
    "default", "", OTHER, name(20), (reference(SECOND, AWAY.move, series=AWAY.into_series),), *_WHY
)
HISTORIES: dict[str, list[Event]] = {
    "moved": [*STORED, AWAY],
    "moved and moved on": [*STORED, AWAY, ON],
    "moved back": [*STORED, AWAY, back(AWAY)],
    "moved on and back": [*STORED, AWAY, ON, back(ON)],
    "moved and lost": [*STORED, AWAY, LOST],
    "moved and deleted": [*STORED, AWAY, DELETED],
    "moved, deleted and restored": [
        *STORED, AWAY, DELETED,
        InstancesRestored("default", "", OTHER, (DELETED.deletion,), DELETED.receipts, *_WHY),
    ],
    "moved, deleted and collected": [
        *STORED, AWAY, DELETED,
        ObjectsCollected("default", "", ONE, (reference(SECOND),), ("",), 9),
        ObjectsCollected("default", "", OTHER, DELETED.receipts, ("",), 9),
    ],
    "moved twice": [*STORED, AWAY, back(AWAY), moved(ONE, 12, THIRD, reference(FIRST), reference(AGAIN))],
}  # fmt: skip


async def state_after(objects: BlobStore, path: Path, batches: Sequence[Sequence[Event]]) -> dict[str, Any]:
    """What an index says after events came in batches."""
    index = await open_sqlite_index(path)
    rebuild = Rebuild(objects, index)
    for batch in batches:
        assert await rebuild(batch) == 0
    rows = await everything(index)
    keys = [page async for page in index.conflicts("default")]
    await index.close()
    return {**rows, "conflicts": keys}


async def write_moves(objects: BlobStore, events: Sequence[Event]) -> None:
    for change in events:
        if isinstance(change, InstancesMoved):
            values = {
                "0020000D": {"vr": "UI", "Value": [change.into_study]},
                "0020000E": {"vr": "UI", "Value": [change.into_series]},
                "00100020": {"vr": "LO", "Value": ["P2"]},
            }
            await write_values(objects, "default", change.move, CorrectionSubject(study=change.into_study), values)


@pytest.mark.parametrize("history", HISTORIES)
async def test_any_order_and_repetition_ends_as_the_order_of_the_log(history: str, tmp_path: Path) -> None:
    events = HISTORIES[history]
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    await write_moves(objects, events)
    expected = await state_after(objects, tmp_path / "in-order.db", [events])
    assert await state_after(objects, tmp_path / "one-by-one.db", [[change] for change in events]) == expected
    for seed in range(12):
        chance = random.Random(seed)
        shuffled = [*events, *chance.choices(events, k=3)]
        if history != "moved and lost":  # a loss of what is not known (yet) is passed over
            chance.shuffle(shuffled)
        cut = chance.randrange(len(shuffled))
        batches = [batch for batch in (shuffled[:cut], shuffled[cut:]) if batch]
        assert await state_after(objects, tmp_path / f"{seed}.db", batches) == expected, seed
    await objects.close()


async def test_what_the_histories_come_to(tmp_path: Path) -> None:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    counts = {}
    for history, events in HISTORIES.items():
        await write_moves(objects, events)
        path = tmp_path / f"{len(counts)}.db"
        await state_after(objects, path, [events])
        index = await open_sqlite_index(path)
        counts[history] = await index.count("default")
        await index.close()
    await objects.close()
    totals = {history: (c["studies"], c["patients"], c["instances"], c["aside"]) for history, c in counts.items()}
    assert totals == {
        "moved": (1, 1, 3, 1),
        "moved and moved on": (2, 1, 3, 1),
        "moved back": (2, 2, 3, 1),
        "moved on and back": (1, 1, 3, 1),
        "moved and lost": (1, 1, 3, 1),
        "moved and deleted": (1, 1, 2, 1),
        "moved, deleted and restored": (1, 1, 3, 1),
        "moved, deleted and collected": (1, 1, 2, 1),
        "moved twice": (3, 2, 3, 1),
    }
