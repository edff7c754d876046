"""What is recorded of associations, how often, and what becomes of it while the log is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.config.policy import read_policy
from gantry.common.errors import AssociationRejected, DependencyUnavailable
from gantry.common.events import AssociationEnded, RequestAnswers
from gantry.common.net import Peer, Server, connect, scu
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.association_records import AssociationRecords
from gantry.services.process.verification import VerificationService
from gantry.services.retrieve.sources import BytesSource
from gantry.services.whereabouts.associations import Recorded, associations
from tests.integration.common.net.conftest import eventually
from tests.integration.services.process.test_association_log import ECHO, STORE, Refusing
from tests.support.wire import CT


@dataclass
class Site:
    records: AssociationRecords
    metrics: Metrics
    clock: ManualClock
    log: EventLog
    server: Server
    port: int

    async def call(self, title: str, objects: list[bytes] | None = None) -> None:
        """C-STORE of objects, or C-ECHO."""
        peer = Peer("127.0.0.1", self.port, "GANTRY", title)
        async with connect(peer, STORE if objects else ECHO) as association:
            if not objects:
                await scu.echo(association)
            for data in objects or ():
                context = scu.need_context(association, CT)
                await scu.store(association, context, "1.2.3", BytesSource(data), len(data))
        # It has ended there, too.
        await eventually(lambda: self.metrics.associations_open.labels("ingest")._value.get() == 0)

    async def recorded(self, **chosen: Any) -> list[Recorded]:
        await self.server.drain(5.0)
        await self.records.flush(self.log)
        return await associations(self.log, 0, **chosen)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    file = tmp_path / "peers.yaml"
    file.write_text("peers:\n  - {ae_title: CT1, host: 127.0.0.1, may: [echo, store]}\n")
    policy = read_policy(file, "GANTRY", lab=False)
    metrics, clock = Metrics(), ManualClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    records = AssociationRecords("ingest", clock, metrics)
    observer = NetworkObserver(metrics, "ingest", policy.peers.__contains__, records=records)
    admission = PolicyAdmission(lambda: policy, [CT], observer.open_by_title)
    server = Server([VerificationService(), Refusing()], admission, observer)  # type: ignore[list-item]
    yield Site(records, metrics, clock, log, server, await server.start("127.0.0.1", 0))
    await server.drain(1.0)
    await log.close()


async def test_answers_are_counted_by_command_status_and_comment(site: Site) -> None:
    await site.call("CT1", [b"bad"] * 400 + [b"ok"] * 2)
    (record,) = await site.recorded()
    assert isinstance(record, AssociationEnded)
    assert (record.calling_ae_title, record.peer_address, record.outcome) == ("CT1", "127.0.0.1", "released")
    assert set(record.answers) == {
        RequestAnswers("C-STORE", 0xC000, 400, "the data set cannot be read"),
        RequestAnswers("C-STORE", 0, 2),
    }
    assert record.bytes_in > 402 * 100


async def test_those_that_only_verify_are_recorded_once_a_minute_with_their_number(site: Site) -> None:
    for _ in range(5):
        await site.call("CT1")
    site.clock.advance(61)
    await site.call("CT1")
    await site.call("CT1", [b"ok"])
    records = await site.recorded()
    assert [record.times for record in records] == [1, 5, 1]


async def test_rejections_are_recorded_with_their_cause_and_found_by_ae_title(site: Site) -> None:
    await site.call("CT1", [b"ok"])
    with pytest.raises(AssociationRejected):
        await site.call("STRANGER")
    assert [record.calling_ae_title for record in await site.recorded(refused=True)] == ["STRANGER"]
    (record,) = await associations(site.log, 0, "STRANGER")
    assert not isinstance(record, AssociationEnded)
    assert (record.result, record.source, record.diagnostic) == (1, 1, 3)
    assert "calling AE title" in record.why
    assert [association.calling_ae_title for association in await associations(site.log, 0, "CT1")] == ["CT1"]
    assert await associations(site.log, 0, most=1) == [(await associations(site.log, 0))[-1]]
    assert await associations(site.log, site.clock.now_us() + 1) == []


async def test_records_wait_for_the_log_and_the_last_are_dropped_and_counted(site: Site) -> None:
    class Away:
        async def append(self, *_: object) -> None:
            raise DependencyUnavailable("event log", "away")

    for number in range(2001):
        site.records.refused((f"T{number}", "GANTRY"), "192.0.2.1", (1, 1, 3), "unknown", 1)
    await site.records.flush(Away())  # type: ignore[arg-type]
    assert site.metrics.association_records_dropped._value.get() == 1
    assert len(await site.recorded(most=5000)) == 2000
    await site.records.flush(site.log)
    assert len(await associations(site.log, 0, most=5000)) == 2000
