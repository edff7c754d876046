"""The links of one process: the log is followed into them, and what is asked of them is no older than two seconds."""

from __future__ import annotations

import asyncio

from gantry.common.access.share_passes import Pass, Shown, sight_of_share
from gantry.common.access.shares import Shares
from gantry.common.clock import Clock
from gantry.common.events import TOPICS, Event, ShareCreated
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_topic import FollowedTopic

TOPIC = TOPICS[ShareCreated].name
FRESH_SECONDS = 2.0
"""A link that was revoked shows nothing after so long, at any process."""


class FollowedShares:
    """Follows the topic from its beginning: the log keeps it for ever, and `gantry restore` brings it back from the
    bucket. Who asks while the log cannot be read is told so, and not what was known before."""

    def __init__(self, log: EventLog, clock: Clock, delays: Delays | None = None) -> None:
        self._log = log
        self._clock = clock
        self._shares = Shares()
        self._topic = FollowedTopic(log, TOPIC, self._shares.apply, clock, "links", delays)
        self._confirmed = float("-inf")
        self._confirming = asyncio.Lock()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._topic.run()

    async def current(self) -> Shares:
        """The links as they were `FRESH_SECONDS` ago or later. Raises `DependencyUnavailable`."""
        if self._is_stale():
            async with self._confirming:
                if self._is_stale():
                    await self._confirm()
        return self._shares

    async def tell(self, *events: Event) -> Shares:
        """Append events, and give the links with them. Raises `DependencyUnavailable`; the events may then be there."""
        await self._log.append(*events)
        await self._confirm()
        return self._shares

    async def standing(self, one: Pass) -> Shown | None:
        """What whoever was let in by a link sees now; None where that is over. Raises `DependencyUnavailable`."""
        share = (await self.current()).named(one.share)
        if share is None or share.created is None or one.opening not in share.openings:
            return None
        if share.is_over(self._clock.now_us()):
            return None
        return Shown(sight_of_share(share.created.studies), share.created.download)

    def _is_stale(self) -> bool:
        return self._clock.monotonic() - self._confirmed > FRESH_SECONDS

    async def _confirm(self) -> None:
        begun = self._clock.monotonic()
        await self._topic.caught_up()
        self._shares.forget(self._clock.now_us())
        self._confirmed = max(self._confirmed, begun)
