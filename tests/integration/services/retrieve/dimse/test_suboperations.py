"""Reading ahead and sending: over real associations with a receiver that can be held up, from a store that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from blake3 import blake3

from gantry.common.errors import DependencyUnavailable, NotDeidentified, NotFound
from gantry.common.ports.blobs import OPEN_AHEAD
from gantry.common.ports.index import Location
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.dimse.suboperations import StoreSubOperations, SubOperations
from gantry.services.retrieve.opening import Opened, Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.sources import BytesSource
from tests.integration.common.net.conftest import eventually
from tests.support.receiver import EXPLICIT, Receive
from tests.support.wire import CT

MIB = 1 << 20


class _Reader(BytesSource):
    def __init__(self, store: CountingStore, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)
        self._store: CountingStore | None = store

    async def close(self) -> None:
        await super().close()
        if self._store is not None:
            self._store.open_now -= 1
            self._store = None


class CountingStore:
    """As much of a `BlobStore` as retrieve asks for: objects that are made when they are opened."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.open_now = 0
        self.most_open = 0
        self.missing: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> _Reader:
        self.opened.append(key)
        await self.gate.wait()
        if key in self.missing:
            raise NotFound(key)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        return _Reader(self, key.encode().ljust(length or 0, b"\0"))


def located(count: int, length: int = 1000) -> list[Location]:
    digests = [blake3(f"key{n}".encode().ljust(length, b"\0")).hexdigest() for n in range(count)]
    return [
        Location("1.2", "1.2.3", f"1.2.3.{n}", CT, EXPLICIT, f"key{n}", 0, length, f"blake3:{digest}")
        for n, digest in enumerate(digests)
    ]


def over(store: CountingStore, per_association: int = 4 * MIB, per_process: int = 16 * MIB) -> SubOperations:
    objects = Objects(store)  # type: ignore[arg-type]
    return SubOperations(
        Openings(objects, Converter(), FrameFinder(objects)),
        response_timeout=20.0,
        per_association=per_association,
        per_process=per_process,
    )


async def sent(
    transfer: StoreSubOperations, locations: Sequence[Location], wanted: Callable[[], bool] = lambda: True
) -> dict[int, int]:
    statuses: dict[int, int] = {}

    async def done(place: int, status: int) -> None:
        statuses[place] = status

    await transfer.send(locations, done, wanted)
    return statuses


async def test_all_objects_arrive_once_in_order_with_their_bytes(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    locations = located(30, 3 * MIB // 2)
    async with destination.called(over(store)) as transfer:
        assert await sent(transfer, locations) == dict.fromkeys(range(30), 0)
    assert destination.uids == [location.sop_instance_uid for location in locations]
    assert [data for _, data in destination.service.received] == [
        location.object_key.encode().ljust(location.data_set_length, b"\0") for location in locations
    ]
    assert store.open_now == 0


@dataclass
class Renaming:
    """De-identification as `SubOperations` sees it: other UIDs; some objects must not leave, some cannot just now."""

    profile: str = "trial"

    def uid(self, uid: str) -> str:
        return f"2.25.{uid.rpartition('.')[2]}"

    async def deidentified(self, opened: Opened, client: str, *, ahead: bool) -> Opened:
        await opened.source.close()
        if opened.location.object_key == "key1":
            raise NotDeidentified("it holds a document")
        if opened.location.object_key == "key2":
            raise DependencyUnavailable("temporary files", "No space left on device")
        return replace(opened, size=4, source=BytesSource(b"else"))


async def test_what_goes_through_de_identification_has_other_uids_and_what_may_not_leave_is_told_from_what_waits(
    receiver: Receive,
) -> None:
    store, destination = CountingStore(), await receiver()
    async with destination.called(over(store), through=Renaming()) as transfer:
        statuses = await sent(transfer, located(4))
    assert {place: status == 0 for place, status in statuses.items()} == {0: True, 1: False, 2: False, 3: True}
    assert destination.service.received == [("2.25.0", b"else"), ("2.25.3", b"else")]
    assert transfer.withheld == {"1.2.3.1": "it holds a document"}
    assert "No space left" in transfer.unable
    assert store.open_now == 0


async def test_no_more_is_opened_than_the_budget_holds_while_the_destination_is_slow(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    destination.service.gate.clear()
    operations = over(store, per_association=4 * MIB)
    async with destination.called(operations) as transfer:
        sending = asyncio.create_task(sent(transfer, located(40)))
        # One is sent, one is staged, and small ones count for a megabyte each.
        await eventually(lambda: len(store.opened) == 2 + 4)
        await asyncio.sleep(0.1)
        assert len(store.opened) == 2 + 4
        assert operations.budget.taken == 4 * MIB
        destination.service.gate.set()
        assert set((await sending).values()) == {0}
    assert operations.budget.taken == 0


async def test_an_object_beyond_the_budget_is_opened_in_its_turn_only(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    operations = over(store, per_association=4 * MIB)
    locations = located(3, 5 * MIB)
    async with destination.called(operations) as transfer:
        assert set((await sent(transfer, locations)).values()) == {0}
    assert store.most_open <= 2
    assert len(destination.uids) == 3


async def test_long_objects_count_for_the_connections_they_hold(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    destination.service.gate.clear()
    async with destination.called(over(store, per_association=8 * MIB)) as transfer:
        sending = asyncio.create_task(sent(transfer, located(10, OPEN_AHEAD + 2)))
        await eventually(lambda: store.open_now == 2 + 2)
        destination.service.gate.set()
        await sending
    assert store.most_open == 2 + 2


async def test_a_slow_destination_that_holds_the_whole_budget_holds_nobody_else_up(receiver: Receive) -> None:
    store, slow, quick = CountingStore(), await receiver(), await receiver()
    slow.service.gate.clear()
    operations = over(store, per_association=16 * MIB, per_process=16 * MIB)
    async with slow.called(operations) as held, quick.called(operations) as free:
        sending = asyncio.create_task(sent(held, located(40)))
        await eventually(lambda: operations.budget.taken == 16 * MIB)
        assert set((await asyncio.wait_for(sent(free, located(20)), 10)).values()) == {0}
        assert len(quick.uids) == 20
        slow.service.gate.set()
        await sending


async def test_what_is_not_wanted_any_more_frees_the_budget_and_closes_what_was_opened(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    destination.service.gate.clear()
    operations = over(store)
    wanted = [True]
    async with destination.called(operations) as transfer:
        sending = asyncio.create_task(sent(transfer, located(40), lambda: wanted[0]))
        await eventually(lambda: len(store.opened) == 2 + 4)
        wanted[0] = False
        destination.service.gate.set()
        assert await sending == {0: 0}
    await eventually(lambda: store.open_now == 0 and operations.budget.taken == 0)


async def test_a_store_that_does_not_answer_holds_no_cancelled_transfer_up(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    operations = over(store)
    store.gate.clear()
    async with destination.called(operations) as transfer:
        sending = asyncio.create_task(sent(transfer, located(10)))
        await eventually(lambda: len(store.opened) == 1 + 4)
        sending.cancel()
        assert isinstance((await asyncio.gather(sending, return_exceptions=True))[0], asyncio.CancelledError)
    # What is on its way still counts, until the store has given it and it is closed.
    assert operations.budget.taken == 4 * MIB
    store.gate.set()
    await eventually(lambda: operations.budget.taken == 0 and store.open_now == 0)


async def test_one_object_that_is_missing_fails_alone(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    store.missing = {"key3"}
    async with destination.called(over(store)) as transfer:
        statuses = await sent(transfer, located(8))
    assert statuses.pop(3) == Damaged.dicom_status
    assert set(statuses.values()) == {0}
    assert len(destination.uids) == 7


async def test_a_destination_gets_as_many_at_once_as_it_grants(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    destination.service.gate.clear()
    async with destination.called(over(store), window=3) as transfer:
        sending = asyncio.create_task(sent(transfer, located(10)))
        await eventually(lambda: destination.service.most_at_once == 3)
        destination.service.gate.set()
        assert set((await sending).values()) == {0}
    assert destination.service.most_at_once == 3


async def test_a_destination_that_grants_nothing_gets_one_at_a_time(receiver: Receive) -> None:
    store, destination = CountingStore(), await receiver()
    async with destination.called(over(store)) as transfer:
        await sent(transfer, located(10))
    assert destination.service.most_at_once == 1


async def test_a_store_that_is_away_is_a_passing_status(receiver: Receive) -> None:
    class Away(CountingStore):
        async def open(self, key: str, offset: int = 0, length: int | None = None) -> _Reader:
            raise DependencyUnavailable("object store", "away")

    destination = await receiver()
    async with destination.called(over(Away())) as transfer:
        assert set((await sent(transfer, located(3))).values()) == {0xA700}


async def test_a_sub_operation_that_somebody_else_cancels_is_counted_as_failed(receiver: Receive) -> None:
    class Cancelled(CountingStore):
        async def open(self, key: str, offset: int = 0, length: int | None = None) -> _Reader:
            if key in ("key0", "key3"):
                raise asyncio.CancelledError
            return await super().open(key, offset, length)

    destination = await receiver()
    async with destination.called(over(Cancelled())) as transfer:
        statuses = await sent(transfer, located(5))
    assert statuses == {0: 0xA702, 1: 0, 2: 0, 3: 0xA702, 4: 0}
