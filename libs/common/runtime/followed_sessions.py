"""The sessions that identity providers ended, as one process knows them by following the log.

The log retains them as long as sessions last, and the bucket does not: after a restore it is unknown who was signed
out, so all sessions from before it have ended.
"""

from __future__ import annotations

import asyncio

from gantry.common.access.logouts import EndedSessions
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import TOPICS, Event, SessionsEnded
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_topic import FollowedTopic
from gantry.common.runtime.restored_log import RestoredLog

TOPIC = TOPICS[SessionsEnded].name
_FORGET_AFTER = 1000
"""Events."""
_LOOK_AGAIN_SECONDS = 30.0


class FollowedSessions:
    """Answers at once from what was read: while the log is unavailable, sessions continue, and end with their tokens at
    the latest (docs/access.md#login)."""

    def __init__(
        self, log: EventLog, clock: Clock, longest: float, restored: RestoredLog, delays: Delays | None = None
    ) -> None:
        """`longest` is how long a session lasts at most, in seconds."""
        self._restored = restored
        self._restored_at = 0.0
        self._delays = delays or Delays(longest=5.0)
        self._log = log
        self._clock = clock
        self._ended = EndedSessions(longest)
        self._topic = FollowedTopic(log, TOPIC, self._take, clock, "sessions", delays)
        self._taken = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._topic.run())
            tasks.create_task(self._look_for_restore())

    async def _look_for_restore(self) -> None:
        attempt = 0
        while True:
            try:
                self._restored_at = await self._restored.last_ms() / 1000
                attempt = 0
                # A restore may be made beside processes that run.
                await self._clock.sleep(_LOOK_AGAIN_SECONDS)
            except DependencyUnavailable:
                await self._clock.sleep(self._delays.after(attempt))
                attempt += 1

    def has(self, issuer: str, subject: str, sid: str, began: float) -> bool:
        """Whether the provider ended a session, according to `EndedSessions`, or may have."""
        return began <= self._restored_at or self._ended.has(issuer, subject, sid, began)

    async def end(self, event: SessionsEnded) -> None:
        """Publish the end to every process. Raises `DependencyUnavailable`; the event may be on the log even then."""
        await self._log.append(event)
        await self._topic.caught_up()

    def _take(self, event: Event) -> None:
        if isinstance(event, SessionsEnded):
            self._ended.apply(event)
        self._taken += 1
        if self._taken % _FORGET_AFTER == 0:
            self._ended.forget(self._clock.now_us() / 1e6)
