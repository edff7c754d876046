"""GET operations/health: roles and dependencies, lag, drift, verification, counts, storage; once, or as it changes
(text/event-stream).

The values are those of the whole archive: reports of processes, consumer groups and dead letters are read from the log,
counts from the index, passes from the bucket. Values that cannot be determined are named in `unknown`, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.quota.watching import Quota
from gantry.common.tasks import end_tasks
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.server import ENDING
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.passes import Pass, Passes
from gantry.services.operations.fleet import Fleet, missing
from gantry.services.operations.seen import Seen
from gantry.services.operations.topic_reader import TopicReader
from gantry.services.operations.web import Parts, answer_json
from gantry.services.roles import EVERY

EVERY_SECONDS = 5.0
"""Seconds between two reports to listeners."""
_SELDOM_SECONDS = 30.0
_PATIENCE_SECONDS = 10.0
_STALL_SECONDS = 30.0
_MOST_LISTENERS = 32
_INSIDE = ("place", "found", "by", "settled")
"""Fields of a pass that are not shown."""
_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class HealthSources:
    """The sources of health data."""

    log: EventLog
    index: ReadIndex
    fleet: Fleet
    reports: TopicReader
    seen: Seen
    associations: TopicReader
    letters: DeadLetters
    passes: Mapping[str, Passes[Any]]
    groups: Sequence[str]
    quota: Quota | None = None


class HealthPart:
    """One check for all requests at about the same time."""

    def __init__(self, sources: HealthSources, clock: Clock, silent_after: float) -> None:
        """A process is silent after `silent_after` seconds without a report."""
        self._sources = sources
        self._clock = clock
        self._silent_after = silent_after
        self._turn = asyncio.Lock()
        self._answers: dict[str, tuple[float, Any, str]] = {}
        self._listeners = 0

    def parts(self) -> Parts:
        """What it answers."""
        return {("GET", "health"): self.health}

    async def health(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """200 with the health of the archive, as far as it could be determined."""
        if "text/event-stream" not in request.headers.get("Accept", ""):
            return await answer_json(request, await self.look())
        if self._listeners >= _MOST_LISTENERS:
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise HttpProblem(503, "too many listen: try again later", again)
        self._listeners += 1
        try:
            return await self._stream(request)
        finally:
            self._listeners -= 1

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        out = BodyWriter(request, _STALL_SECONDS)
        if await out.begin(200, _STREAM):
            await out.write(b"retry: 2000\n\n")
            ended = asyncio.ensure_future(request[ENDING].wait())
            following = asyncio.ensure_future(self._follow(out))
            try:
                await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                await end_tasks(ended, following)
        return await out.end()

    async def _follow(self, out: BodyWriter) -> None:
        while True:
            await out.write(b"event: health\ndata: " + to_json(await self.look()) + b"\n\n")
            await self._clock.sleep(EVERY_SECONDS)

    async def look(self) -> dict[str, Any]:
        """The health of the archive."""
        async with self._turn:
            report: dict[str, Any] = {"at": self._clock.now_us()}
            parts: list[tuple[str, float, Callable[[], Awaitable[Any]]]] = [
                ("processes", EVERY_SECONDS, self._processes),
                ("lag", EVERY_SECONDS, self._lag),
                ("counts", EVERY_SECONDS, lambda: self._sources.index.count(DEFAULT_PARTITION)),
                ("dead_letters", _SELDOM_SECONDS, self._letters),
                ("received", _SELDOM_SECONDS, self._received),
                *((name, _SELDOM_SECONDS, self._passed(passes)) for name, passes in self._sources.passes.items()),
            ]
            await asyncio.gather(*(self._part(*part) for part in parts))
            report |= {name: self._answers[name][1] for name, _, _ in parts}
            report["unknown"] = [
                f"{name.replace('_', ' ')}: {why}" for name, _, _ in parts if (why := self._answers[name][2])
            ]
            processes = report["processes"] or []
            quota = self._sources.quota
            report["quota"] = None if quota is None else asdict(quota.stand())
            report["missing"] = missing(processes, EVERY) if processes else []
            return report

    async def _part(self, name: str, good_for: float, ask: Callable[[], Awaitable[Any]]) -> None:
        known = self._answers.get(name)
        now = self._clock.monotonic()
        if known is not None and now - known[0] < good_for * 0.9 and not known[2]:
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                self._answers[name] = now, await ask(), ""
        except TimeoutError:
            self._answers[name] = now, None, f"no answer within {_PATIENCE_SECONDS:g} s"
        except GantryError as error:
            self._answers[name] = now, None, str(error)

    async def _processes(self) -> list[dict[str, Any]]:
        await self._sources.reports.read()
        return self._sources.fleet.listed(self._clock.now_us(), self._silent_after)

    async def _lag(self) -> list[dict[str, Any]]:
        lags = []
        for group in self._sources.groups:
            lag = await self._sources.log.lag(group)
            lags += [{"group": group, "topic": topic, "records": records} for topic, records in sorted(lag.items())]
        return lags

    async def _letters(self) -> int:
        return len((await self._sources.letters.ledger()).open())

    async def _received(self) -> list[dict[str, Any]]:
        await self._sources.associations.read()
        now = self._clock.now_us()
        self._sources.seen.forget(now)
        return self._sources.seen.received(now)

    def _passed(self, passes: Passes[Any]) -> Callable[[], Awaitable[dict[str, Any] | None]]:
        async def latest() -> dict[str, Any] | None:
            state: Pass | None = await passes.latest()
            if state is None:
                return None
            return {name: value for name, value in asdict(state).items() if name not in _INSIDE}

        return latest
