"""What storage commitment remembers across restarts costs what is open, not what ever was: on every log.

The worker is the real one, on real logs; requests are put on the log as the handler would, and reports are taken by an
association of pynetdicom's making, or by nobody.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.role_sections import Commitment
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import CommitmentReported, CommitmentRequested, Event, decode
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commitment.app import build_services
from gantry.services.commitment.member import GROUP, TOPIC
from gantry.services.commitment.n_action import CommitmentService
from tests.support.facts import reported, requested

SNAPSHOT_AFTER = 40
QUICK = Commitment(in_flight_deadline=0.1, retry_first=0.1, retry_longest=0.2, report_timeout=3)


class NoInstances:
    async def resolve(self, partition: str, uids: Sequence[str]) -> dict[str, Location]:
        return {}


class Counted:
    """A log that counts what is read from it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.read = 0
        self.append = log.append
        self.ends = log.ends
        self.has_passed = log.has_passed

    async def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        async for record in self._log.replay(topic, since_us):
            self.read += 1
            yield record

    @asynccontextmanager
    async def consumer(self, group: str, topics: Sequence[str]) -> AsyncIterator[CountedConsumer]:
        async with self._log.consumer(group, topics) as consumer:
            yield CountedConsumer(consumer, self)


class Carrying(Counted):
    """A log that takes so long to append a request once more that all which are open are reported meanwhile."""

    def __init__(self, log: EventLog, reports: int) -> None:
        super().__init__(log)
        self.append = self._append  # type: ignore[method-assign]
        self.is_carrying = False
        self._reports = reports

    async def _append(self, *events: Event) -> None:
        await self._log.append(*events)
        self._reports -= sum(isinstance(event, CommitmentReported) for event in events)
        if isinstance(events[0], CommitmentRequested):
            self.is_carrying = True
            while self._reports > 0:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)  # who reported forgets the request


class CountedConsumer:
    def __init__(self, consumer: Consumer, counted: Counted) -> None:
        self._consumer = consumer
        self._counted = counted
        self.commit = consumer.commit

    async def poll(self) -> list[Record]:
        records = await self._consumer.poll()
        self._counted.read += len(records)
        return records


class Taker:
    """A peer that takes reports."""

    def __init__(self) -> None:
        self.reports: queue.Queue[Dataset] = queue.Queue()
        ae = AE("MODALITY")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self._server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)]
        )
        self.port = self._server.socket.getsockname()[1]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put(event.event_information)
        return 0x0000, None

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture
def taker() -> Iterator[Taker]:
    taker = Taker()
    yield taker
    taker.stop()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FileStore]:
    store = await open_file_store(tmp_path / "kept", low_water=0)
    yield store
    await store.close()


@asynccontextmanager
async def running(
    log: EventLog | Counted,
    objects: FileStore,
    port: int = 0,
    keep_after: int = SNAPSHOT_AFTER,
    reachable: Callable[[], bool] = lambda: True,
) -> AsyncIterator[tuple[CommitmentService, Counted]]:
    """A process with the role, whose requester is at `port` while it is `reachable`."""
    counted = Counted(log)  # type: ignore[arg-type]

    def contact(requester: str, ours: str) -> Peer | None:
        return Peer("127.0.0.1", port, requester, ours) if port and reachable() else None

    services, _, worker = await build_services(
        objects,
        NoInstances(),  # type: ignore[arg-type]
        counted,  # type: ignore[arg-type]
        contact,
        SystemClock(),
        Metrics(),
        QUICK,
        keep_after,
    )
    working = asyncio.create_task(worker.run())
    try:
        (service,) = services
        assert isinstance(service, CommitmentService)
        yield service, counted
    finally:
        assert not working.done()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def asked(uid: str) -> CommitmentRequested:
    return replace(requested(uid), requested_at=SystemClock().now_us())


def told(uid: str) -> CommitmentReported:
    return replace(reported(uid), reported_at=SystemClock().now_us())


async def history(log: EventLog, transactions: range) -> None:
    """Transactions that were reported."""
    events = [event for n in transactions for event in (asked(f"1.7.{n}"), told(f"1.7.{n}"))]
    for start in range(0, len(events), 100):
        await log.append(*events[start : start + 100])


async def uncommitted(log: EventLog, at_most: int) -> int:
    """How many records are uncommitted, once there are no more than so many. A broker that was just started has no
    coordinator for groups yet."""
    async with asyncio.timeout(60):
        while True:
            with suppress(DependencyUnavailable):
                if 0 <= (behind := (await log.lag(GROUP)).get(TOPIC, -1)) <= at_most:
                    return behind
            await asyncio.sleep(0.05)


def to_now(clock: ManualClock) -> None:
    """From the years before, by the clock of whoever appends."""
    clock.advance((SystemClock().now_us() - clock.now_us()) / 1e6)


async def test_a_start_reads_what_is_open_and_not_the_history(log: EventLog, objects: FileStore) -> None:
    await history(log, range(200))
    async with running(log, objects) as (_, first):
        assert first.read >= 400
        await uncommitted(log, 0)
    async with running(log, objects) as (service, second):
        ledger = service._ledger
        assert second.read == 0
        assert all(ledger.is_known(f"1.7.{n}") and ledger.is_reported(f"1.7.{n}") for n in range(200))
        assert not ledger.is_known("1.7.200")


async def test_what_is_owed_a_report_for_long_makes_no_start_long_and_is_reported_once(
    log: EventLog, clock: ManualClock, objects: FileStore, taker: Taker
) -> None:
    await log.append(asked("1.9.1"), asked("1.9.2"))
    await history(log, range(800))
    to_now(clock)
    async with running(log, objects):
        for start in range(800, 900, 25):
            await history(log, range(start, start + 25))
            behind = await uncommitted(log, 6 * SNAPSHOT_AFTER)
    assert behind >= 2
    async with running(log, objects, taker.port) as (service, counted):
        assert all(service._ledger.is_known(uid) for uid in ("1.9.1", "1.9.2", "1.7.0", "1.7.799", "1.7.899"))
        await uncommitted(log, 0)
        # What is read again, up to three times, is from the last minutes: there were 1,600 records before those.
        assert counted.read < 1000
    assert sorted(taker.reports.get(timeout=5).TransactionUID for _ in range(2)) == ["1.9.1", "1.9.2"]
    assert taker.reports.empty()
    events = [decode(record.payload) async for record in log.replay(TOPIC)]
    carried = [e for e in events if isinstance(e, CommitmentRequested) and e.transaction_uid == "1.9.1"]
    assert len(carried) > 1
    assert set(carried) == {carried[0]}
    delivered = [e.transaction_uid for e in events if isinstance(e, CommitmentReported) and e.transaction_uid[2] == "9"]
    assert sorted(delivered) == ["1.9.1", "1.9.2"]


async def test_everything_is_known_where_every_snapshot_is_damaged(
    log: EventLog, objects: FileStore, tmp_path: Path, taker: Taker
) -> None:
    await log.append(asked("1.9.1"))
    await history(log, range(120))
    async with running(log, objects):
        await uncommitted(log, 241)
        async with asyncio.timeout(20):
            while not [stat async for stat in objects.list("state/")]:
                await asyncio.sleep(0.05)
    async for stat in objects.list("state/"):
        path = tmp_path / "kept" / stat.key
        path.write_bytes(path.read_bytes()[:-1])
    async with running(log, objects, taker.port) as (service, counted):
        assert counted.read >= 241
        assert service._ledger.is_known("1.7.119")
        await uncommitted(log, 0)
    assert taker.reports.get(timeout=5).TransactionUID == "1.9.1"


async def test_a_request_that_is_reported_while_another_is_carried_forward_ends_nothing(
    log: EventLog, objects: FileStore, taker: Taker
) -> None:
    carrying = Carrying(log, 5)
    await log.append(*(asked(f"1.8.{n}") for n in range(3)))
    async with running(carrying, objects, taker.port, 2, lambda: carrying.is_carrying):
        await asyncio.sleep(1)  # they are held, and noted as such
        await log.append(asked("1.8.3"), asked("1.8.4"))
        told_of = set()
        while len(told_of) < 5:
            told_of.add(str((await asyncio.to_thread(taker.reports.get, timeout=30)).TransactionUID))
        await uncommitted(log, 0)
