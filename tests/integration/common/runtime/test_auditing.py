"""The trail and its spool: nothing waits, and nothing is lost while the log is away or after a kill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.audit import AuditEntry, AuditKind
from gantry.common.clock import ManualClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import AuditedInstances, AuditRecorded, Event, decode
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing import trail as trails
from gantry.common.runtime.auditing.audited_log import AuditedLog
from gantry.common.runtime.auditing.spool import AuditSpool, records_in
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.telemetry.metrics import Metrics
from tests.support.audits import audit_record
from tests.support.facts import stored

READ = AuditEntry(AuditKind.ACCESSED, "GET metadata", "viewer", "token", objects=(AuditedInstances("1.2.3"),))


class Away:
    """A log that is away."""

    async def append(self, *_: Event) -> None:
        raise DependencyUnavailable("event log", "a trial")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    opened = await open_sqlite_log(tmp_path / "log.db", ManualClock())
    yield opened
    await opened.close()


async def records(log: EventLog) -> list[AuditRecorded]:
    events = [decode(record.payload) async for record in log.replay("audit")]
    return [event for event in events if isinstance(event, AuditRecorded)]


def sheets(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.audit") if path.stat().st_size]


async def test_what_came_while_the_log_was_away_is_appended_when_it_is_back(tmp_path: Path, log: EventLog) -> None:
    metrics = Metrics()
    trail = AuditTrail(ManualClock(), metrics, "retrieve", "host:1", AuditSpool(tmp_path / "spool", 1 << 20))
    for number in range(3):
        trail.add(replace(READ, requestor=f"viewer{number}"))
    await trail.flush(Away(), everything=True)  # type: ignore[arg-type]  # as far as it is asked
    assert metrics.registry.get_sample_value("gantry_audit_waiting") == 3
    await trail.flush(log)
    assert {record.requestor for record in await records(log)} == {"viewer0", "viewer1", "viewer2"}
    assert metrics.registry.get_sample_value("gantry_audit_waiting") == 0
    assert metrics.registry.get_sample_value("gantry_audit_records_total", {"kind": "accessed"}) == 3
    assert not sheets(tmp_path / "spool")


async def test_another_process_appends_what_one_that_was_killed_left(tmp_path: Path, log: EventLog) -> None:
    killed = AuditTrail(
        ManualClock(), Metrics(), "retrieve", "host:1", spool := AuditSpool(tmp_path / "spool", 1 << 20)
    )
    killed.add(READ)
    living = AuditSpool(tmp_path / "spool", 1 << 20)
    living.adopt()
    assert not living.sheets_to_append()  # its process lives
    spool.close()  # what the kernel does for a killed one
    metrics = Metrics()
    heir = AuditTrail(ManualClock(), metrics, "retrieve", "host:2", AuditSpool(tmp_path / "spool", 1 << 20))
    await heir.flush(log)
    (record,) = await records(log)
    assert (record.requestor, record.process, record.times) == ("viewer", "host:1", 1)
    assert metrics.registry.get_sample_value("gantry_audit_records_replayed_total") == 1
    assert not sheets(tmp_path / "spool")


async def test_what_memory_does_not_hold_is_on_disk_and_what_neither_holds_is_counted(
    tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "MOST_WAITING", 10)
    metrics = Metrics()
    trail = AuditTrail(ManualClock(), metrics, "retrieve", "host:1", AuditSpool(tmp_path / "spool", 8_000))
    for number in range(100):
        trail.add(replace(READ, requestor=f"viewer{number}"))
    await trail.flush(Away(), everything=True)  # type: ignore[arg-type]  # as far as it is asked
    dropped = metrics.registry.get_sample_value("gantry_audit_records_dropped_total")
    await trail.flush(log)
    names = {record.requestor for record in await records(log)}
    assert dropped
    assert 0 < dropped < 90
    assert len(names) == 100 - dropped
    assert not sheets(tmp_path / "spool")


async def test_an_end_in_order_leaves_what_the_log_did_not_take(tmp_path: Path, log: EventLog) -> None:
    first = AuditTrail(ManualClock(), Metrics(), "retrieve", "host:1", AuditSpool(tmp_path / "spool", 1 << 20))
    first.add(READ)
    await first.close(Away())  # type: ignore[arg-type]  # as far as it is asked
    second = AuditTrail(ManualClock(), Metrics(), "retrieve", "host:2", AuditSpool(tmp_path / "spool", 1 << 20))
    await second.close(log)
    assert [record.requestor for record in await records(log)] == ["viewer"]


def test_a_spool_whose_folder_cannot_be_made_refuses_its_records_and_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = AuditSpool(tmp_path / "file" / "audit", 1 << 20)
    with capture_logs() as lines:
        assert [spool.write(audit_record()), spool.write(audit_record(record="2"))] == [None, None]
    assert [(line["log_level"], line["folder"]) for line in lines] == [("warning", str(tmp_path / "file" / "audit"))]


def test_a_record_that_was_not_written_whole_is_left_out(tmp_path: Path) -> None:
    spool = AuditSpool(tmp_path, 1 << 20)
    sheet = spool.write(audit_record())
    assert sheet is not None
    assert spool.write(audit_record(record="2")) is sheet
    whole = sheet.path.read_bytes()
    sheet.path.write_bytes(whole[:-7])
    assert [record.record for record in records_in(sheet)] == [audit_record().record]


async def test_a_change_is_on_record_when_the_log_has_it_and_not_before(log: EventLog) -> None:
    trail = AuditTrail(ManualClock(), Metrics(), "ingest", "host:1")
    with pytest.raises(DependencyUnavailable):
        await AuditedLog(Away(), trail).append(stored(1))  # type: ignore[arg-type]  # as far as it is asked
    audited = AuditedLog(log, trail)
    await audited.append(*(stored(number) for number in range(5)))
    await trail.flush(log, everything=True)
    (record,) = await records(log)
    assert (record.kind, record.times, record.objects[0].instances) == ("stored", 5, 5)
