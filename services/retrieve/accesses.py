"""When studies were accessed, for retention that counts from it: at most one event a day for each study.

Retrieval only notes a UID in memory and continues; the events are published in the background. An access noted just
before a crash may be lost; the next access of that study is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import StudyAccessed
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.traces import new_trace
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, Handler

_DAY_US = 24 * 3600 * 1_000_000
_AGAIN_SECONDS = 5.0
MOST_WAITING = 10_000
"""Studies that wait to be published; more are noted at their next access."""
MOST_KNOWN = 100_000
"""Studies that this process knows were accessed today; for any other, it asks the index again."""
_READING = frozenset(
    (
        *(Resource.OBJECTS, Resource.RENDERED, Resource.FRAMES, Resource.BULK_DATA, Resource.WADO_URI),
        *(Resource.SEND, Resource.DEIDENTIFIED),
    )
)
"""The resources that count as an access. Metadata and thumbnails do not: lists show them for studies that are never
opened."""
logger = get_logger("retrieve")


class ProcessAccesses:
    """The accesses that one process sees."""

    def __init__(self, log: EventLog, index: ReadIndex, clock: Clock) -> None:
        self._log = log
        self._index = index
        self._clock = clock
        self._known: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._news = asyncio.Event()

    def note(self, study: str) -> None:
        """A study was accessed now. Returns at once, and never fails."""
        now = self._clock.now_us()
        if self._known.get(study) == now // _DAY_US or len(self._waiting) >= MOST_WAITING:
            return
        self._known.pop(study, None)
        self._known[study] = now // _DAY_US
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._waiting[study] = now
        self._news.set()

    def noted(self, handlers: Mapping[Resource, Handler]) -> dict[Resource, Handler]:
        """The handlers; those that return part of a study note its access."""
        return {
            resource: self._wrap(handler) if resource in _READING else handler for resource, handler in handlers.items()
        }

    async def run(self) -> None:
        """Publish, for ever. What cannot be published now is retried."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.publish()
            except DependencyUnavailable as error:
                logger.warning("accesses are not published yet", error=error, studies=len(self._waiting))
                await self._clock.sleep(_AGAIN_SECONDS)
                self._news.set()

    async def publish(self) -> None:
        """Publish what was noted. Raises `DependencyUnavailable`; what was not published stays noted."""
        for study, at in list(self._waiting.items()):
            # After a restart, or beside other processes, today's access may have been published already.
            last = await self._index.last_access(DEFAULT_PARTITION, study)
            if last // _DAY_US < at // _DAY_US:
                await self._log.append(StudyAccessed(DEFAULT_PARTITION, new_trace(), study, at))
            self._waiting.pop(study, None)

    def _wrap(self, handler: Handler) -> Handler:
        async def noting(request: web.BaseRequest, match: Match) -> web.StreamResponse:
            response = await handler(request, match)
            # PS3.18 9.1.2.1.1: over WADO-URI the study is a parameter.
            study = match.study or request.query.get("studyUID", "")
            if response.status < 300 and is_uid(study):
                self.note(request[CALLER].copies_of.get(study, study))
            return response

        return noting
