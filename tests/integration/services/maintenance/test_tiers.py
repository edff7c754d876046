"""Objects copied between real stores: whole, or not at all; and what is planned, on a real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from blake3 import blake3

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.lifecycle_sections import TierRuleSettings
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.errors import Corrupt, NotFound
from gantry.common.events import ObjectsRelocated, decode
from gantry.common.lifecycle import HOT, Place, tier_rules
from gantry.common.ports.blobs import read_whole
from gantry.common.ports.index import InstanceEntry, InstanceKey, Relocation, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.decisions import relocations_of
from gantry.common.runtime.losses import Losses
from gantry.common.runtime.tiered import Needed, TieredStore, marked
from gantry.common.runtime.wanted import RestoreRequests
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pace
from gantry.services.maintenance.tiers.copying import TierCopier
from gantry.services.maintenance.tiers.leftovers import Leftovers
from gantry.services.maintenance.tiers.planning import PlannedObject, Planner, StudyMove
from gantry.services.maintenance.tiers.relocating import Relocator
from tests.support.entries import entry
from tests.support.objects import data_set, file_bytes

HEAD = 300
TODAY = datetime.now(UTC).strftime("%Y%m%d")


def key_of(entry: InstanceEntry) -> InstanceKey:
    return InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)


@dataclass
class Room:
    tiers: TieredStore
    log: EventLog
    index: SearchIndex
    clock: SystemClock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def copier(self) -> TierCopier:
        return TierCopier(self.tiers, Pace(self.clock, 0))

    def relocator(self) -> Relocator:
        losses = Losses(self.log, self.clock, self.metrics, "tiers")
        wanted = RestoreRequests(self.tiers, self.clock, self.metrics, 1)
        return Relocator(
            self.tiers, self.copier, self.log, self.index, losses, self.clock, self.metrics, "default", wanted
        )

    def leftovers(self, grace: float = 0) -> Leftovers:
        return Leftovers(self.tiers, self.index, self.clock, self.metrics, "default", Pace(self.clock, 0), grace)

    async def keep(self, number: int, study: str = "1.1", size: int = 3 << 20, **attributes: object) -> InstanceEntry:
        data = bytes([number]) * size
        stored = replace(
            entry(
                number, f"{study}.1.{number}", study, f"{study}.1", f"blake3:{blake3(data).hexdigest()}", **attributes
            ),
            data_set_length=size,
        )
        await self.tiers.put(stored.object_key, [bytes(HEAD), data])
        await self.index.apply([stored])
        return stored

    async def moves(self, *rules: TierRuleSettings) -> list[StudyMove]:
        planner = Planner(self.index, self.clock, "default", tier_rules(rules, STANDARD), ["cold"])
        return [move async for move in planner.moves()]

    async def told(self) -> list[ObjectsRelocated]:
        events = [decode(record.payload) async for record in self.log.replay("instances")]
        moved = [event for event in events if isinstance(event, ObjectsRelocated)]
        await self.index.relocate(relocations_of(moved))
        return moved

    async def lie(self, entry: InstanceEntry) -> list[str]:
        return list(await self.tiers.where(entry.object_key))


def planned(entry: InstanceEntry, **fields: object) -> PlannedObject:
    receipts = ((key_of(entry), entry.receipt),)
    made = PlannedObject(entry.object_key, entry.digest, entry.data_set_offset, entry.data_set_length, receipts)
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    hot, cold = [await open_file_store(tmp_path / name, low_water=0) for name in ("hot", "cold")]
    tiers = TieredStore(hot, {"cold": cold})
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    yield Room(tiers, log, index)
    for store in (log, index, tiers):
        await store.close()


async def test_a_copy_is_whole_and_is_only_compared_when_it_is_there(room: Room) -> None:
    stored = await room.keep(1)
    for _ in range(2):
        assert await room.copier.bring(planned(stored), "cold") == HEAD + stored.data_set_length
        assert await room.lie(stored) == [HOT, "cold"]
    assert await read_whole(room.tiers.stores["cold"], stored.object_key) == await read_whole(
        room.tiers.hot, stored.object_key
    )
    await room.tiers.hot.delete(stored.object_key)
    assert await room.copier.bring(planned(stored), "cold") == HEAD + stored.data_set_length
    assert await room.copier.bring(planned(stored), HOT) == HEAD + stored.data_set_length
    assert await room.lie(stored) == [HOT, "cold"]


async def test_a_copy_that_is_not_whole_is_written_anew(room: Room) -> None:
    stored = await room.keep(1)
    whole = await read_whole(room.tiers.hot, stored.object_key)
    for broken in (whole[:-1], b"\1" + whole[1:], whole[:-1] + b"\0"):
        await room.tiers.stores["cold"].put(stored.object_key, [broken])
        await room.copier.bring(planned(stored), "cold")
        assert await read_whole(room.tiers.stores["cold"], stored.object_key) == whole


@pytest.mark.parametrize("store", ["hot", "cold"])
async def test_what_is_not_what_was_acknowledged_is_not_copied(room: Room, store: str) -> None:
    stored = await room.keep(1)
    await room.tiers.hot.delete(stored.object_key)
    await room.tiers.stores[store].put(stored.object_key, [bytes(HEAD + stored.data_set_length)])
    with pytest.raises(Corrupt):
        await room.copier.bring(planned(stored), "cold")
    assert await room.lie(stored) == [store]
    await room.tiers.delete(stored.object_key)
    with pytest.raises(NotFound):
        await room.copier.bring(planned(stored), "cold")
    assert await room.lie(stored) == []


async def test_what_moves_is_published_once_with_all_its_receipts_and_the_store_is_marked(room: Room) -> None:
    entries = [await room.keep(number, StudyDate="20190101") for number in (1, 2)]
    new = await room.keep(3, "1.2", StudyDate=TODAY)
    (move,) = await room.moves(TierRuleSettings(name="old", after="1y", to="cold"))
    assert (move.study, move.tier.rule, move.tier.store, len(move.objects)) == ("1.1", "old", "cold", 2)
    assert move.bytes == 2 * (HEAD + (3 << 20))
    assert await room.relocator().relocate(move) == (2, move.bytes)
    (event,) = await room.told()
    assert {receipt.receipt for receipt in event.receipts} == {instance.receipt for instance in entries}
    assert await marked(room.tiers.hot) == Needed(frozenset(["cold"]), frozenset())
    assert await room.moves(TierRuleSettings(name="old", after="1y", to="cold")) == []
    # Within the grace time both are there; then one of them goes. What never moved is left alone.
    assert (await room.leftovers(3600).look(remove=True)).removed == 0
    assert (await room.leftovers().look(remove=False)).removed == 0
    lying = await room.leftovers().look(remove=True)
    assert (lying.removed, lying.objects) == (2, {HOT: 1, "cold": 2})
    assert [await room.lie(instance) for instance in (*entries, new)] == [["cold"], ["cold"], [HOT]]


async def test_an_object_that_is_damaged_stays_and_the_others_move(room: Room) -> None:
    entries = [await room.keep(number, StudyDate="20190101") for number in (1, 2)]
    await room.tiers.hot.put(entries[0].object_key, [bytes(HEAD + entries[0].data_set_length)])
    (move,) = await room.moves(TierRuleSettings(name="old", after="1y", to="cold"))
    assert (await room.relocator().relocate(move))[0] == 1
    assert [await room.lie(instance) for instance in entries] == [[HOT], [HOT, "cold"]]
    (event,) = await room.told()
    assert [receipt.receipt for receipt in event.receipts] == [entries[1].receipt]


async def test_a_copy_that_nobody_was_told_of_goes_and_the_one_at_its_place_stays(room: Room) -> None:
    """As after a mover that died, under a rule that was taken back."""
    stored = await room.keep(1)
    await room.copier.bring(planned(stored), "cold")
    assert (await room.leftovers().look(remove=True)).removed == 1
    assert await room.lie(stored) == [HOT]
    # And where the place has no copy, nothing is removed.
    await room.index.relocate([Relocation("default", key_of(stored), stored.receipt, Place(1, "cold"))])
    assert (await room.leftovers().look(remove=True)).removed == 0
    assert await room.lie(stored) == [HOT]


async def test_where_the_index_does_not_know_where_a_data_set_begins_the_object_says_it(room: Room) -> None:
    whole = file_bytes(data_set())
    begin = whole.index(b"\x08\x00\x16\x00UI")
    digest = f"blake3:{blake3(whole[begin:]).hexdigest()}"
    key = entry(1).object_key
    await room.tiers.put(key, [whole])
    plan = PlannedObject(key, digest, -1, len(whole), ())
    assert await room.copier.bring(plan, "cold") == len(whole)
    await room.tiers.put(key, [bytes(5000)])
    with pytest.raises(Corrupt):
        await room.copier.bring(plan, "cold")


async def test_what_is_deleted_while_it_is_read_leaves_no_copy(room: Room) -> None:
    stored = await room.keep(1)
    deleted = False

    class Meanwhile(Pace):
        """The object is deleted when its first bytes were read."""

        async def __call__(self, count: int) -> None:
            nonlocal deleted
            if not deleted:
                deleted = True
                await room.tiers.delete(stored.object_key)

    with pytest.raises(NotFound):
        await TierCopier(room.tiers, Meanwhile(room.clock, 0)).bring(planned(stored), "cold")
    assert deleted
    assert await room.lie(stored) == []
