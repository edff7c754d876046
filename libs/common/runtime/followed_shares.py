"""The links as one process knows them by following the log; answers are at most two seconds old."""

from __future__ import annotations

import asyncio

from gantry.common.access.share_passes import SharedView, SharePass, sight_of_share
from gantry.common.access.shares import Share, Shares
from gantry.common.clock import Clock
from gantry.common.events import TOPICS, Event, ShareCreated
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_topic import FollowedTopic

TOPIC = TOPICS[ShareCreated].name
FRESH_SECONDS = 2.0
"""After this time a revoked link shows nothing, at any process."""
NEWS_SECONDS = 0.2
"""How often, at most, an unknown link is looked for on the log: another process may have made it a moment ago."""


class FollowedShares:
    """Follows the topic from its beginning: the log keeps it for ever, and `gantry restore` brings it back from the
    bucket. While the log cannot be read, requests fail, and do not get older answers."""

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

    async def current(self, within: float = FRESH_SECONDS) -> Shares:
        """The links as they were `within` seconds ago or later. Raises `DependencyUnavailable`."""
        if self._is_stale(within):
            async with self._confirming:
                if self._is_stale(within):
                    await self._confirm()
        return self._shares

    async def latest(self) -> Shares:
        """The links with all that is on the log now. Raises `DependencyUnavailable`."""
        await self._confirm()
        return self._shares

    async def tell(self, *events: Event) -> Shares:
        """Append events, and return the links with them. Raises `DependencyUnavailable`; the events may be on the log
        even then."""
        await self._log.append(*events)
        await self._confirm()
        return self._shares

    async def standing(self, share_pass: SharePass) -> SharedView | None:
        """What a visitor of a link sees now; None if the visit has ended. Raises `DependencyUnavailable`."""
        share = (await self.current()).named(share_pass.share)
        if not _has_let_in(share, share_pass):
            # Another process may have admitted the visitor just now: an unknown visit has not ended.
            share = (await self.latest()).named(share_pass.share)
        if share is None or share.created is None or share_pass.opening not in share.openings:
            return None
        if share.is_over(self._clock.now_us()):
            return None
        made = share.created
        copies = made.share if made.deidentified_by else ""
        copies_by_study = dict(zip(made.studies, made.copies_of, strict=False))
        return SharedView(sight_of_share(made.studies, copies), made.download, copies_by_study, made.deidentified_by)

    def _is_stale(self, within: float) -> bool:
        return self._clock.monotonic() - self._confirmed > within

    async def _confirm(self) -> None:
        begun = self._clock.monotonic()
        await self._topic.caught_up()
        self._shares.forget(self._clock.now_us())
        self._confirmed = max(self._confirmed, begun)


def _has_let_in(share: Share | None, share_pass: SharePass) -> bool:
    return share is not None and share.created is not None and share_pass.opening in share.openings
