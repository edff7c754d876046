"""The peers of the API as processes know them: over a real log, the embedded one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.common.access.added_peers import PeerChangeOutcome
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.policy import KnownPeer
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import PeerRemoved, PeerSet
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_peers import FollowedPeers


def added(title: str, change: str, replaces: str = "", may: str = "store") -> PeerSet:
    entry = json.dumps({"ae_title": title, "host": "192.0.2.9", "may": [may]})
    return PeerSet("default", "", title, change, replaces, entry, "", "", "ops", 1)


class Process:
    """One process that follows."""

    def __init__(self, log: EventLog) -> None:
        self.published: list[tuple[list[str], bool]] = []
        self.followed = FollowedPeers(log, SystemClock(), self._publish, Delays(first=0.05, longest=0.05))
        self._running = asyncio.create_task(self.followed.run())

    def _publish(self, peers: Mapping[str, KnownPeer], whole: bool) -> None:
        self.published.append((list(peers), whole))

    async def end(self) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


class AwayLog:
    """A log that is away while it is told so."""

    def __init__(self, log: EventLog) -> None:
        self.away = False
        self._log = log

    def __getattr__(self, name: str) -> object:
        if self.away:
            raise DependencyUnavailable("event log", "away")
        return getattr(self._log, name)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    yield log
    await log.close()


async def test_a_change_at_one_process_reaches_another_within_seconds_and_one_that_begins_later(log: EventLog) -> None:
    first, other = Process(log), Process(log)
    try:
        assert await first.followed.tell(added("CT9", "a")) is PeerChangeOutcome.TAKEN
        async with asyncio.timeout(3):
            while (["CT9"], True) not in other.published:
                await asyncio.sleep(0.02)
        late = Process(log)
        await late.followed.check()
        assert late.published[-1] == (["CT9"], True)
        assert not any(whole for peers, whole in late.published if not peers)
        await late.end()
    finally:
        await first.end()
        await other.end()


async def test_of_two_processes_that_change_the_same_at_once_one_is_overtaken(log: EventLog) -> None:
    first, other = Process(log), Process(log)
    try:
        await first.followed.tell(added("CT9", "a"))
        verdicts = await asyncio.gather(
            first.followed.tell(added("CT9", "b", "a", "find")), other.followed.tell(added("CT9", "c", "a", "commit"))
        )
        assert sorted(verdict.value for verdict in verdicts) == ["overtaken", "taken"]
        both = [await process.followed.latest() for process in (first, other)]
        assert both[0].peers == both[1].peers
        gone = PeerRemoved("default", "", "CT9", "d", both[0].version("CT9"), "", "", "ops", 2)
        assert await other.followed.tell(gone) is PeerChangeOutcome.TAKEN
        assert not (await first.followed.latest()).peers
    finally:
        await first.end()
        await other.end()


async def test_while_the_log_is_away_the_last_peers_go_on_and_nothing_is_whole_that_was_not_read(log: EventLog) -> None:
    away = AwayLog(log)
    known = Process(away)  # type: ignore[arg-type]  # as far as it is asked
    await known.followed.tell(added("CT9", "a"))
    away.away = True
    late = Process(away)  # type: ignore[arg-type]  # as far as it is asked
    try:
        with pytest.raises(DependencyUnavailable):
            await known.followed.tell(added("CT8", "b"))
        with pytest.raises(DependencyUnavailable):
            await late.followed.check()
        assert known.published[-1] == (["CT9"], True)
        assert late.published == []
        assert not late.followed.is_whole
        away.away = False
        async with asyncio.timeout(5):
            while not late.followed.is_whole:
                await asyncio.sleep(0.02)
        assert late.published[-1] == (["CT9"], True)
    finally:
        await known.end()
        await late.end()
