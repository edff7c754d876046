"""The peers of the API, as one process knows them by following the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gantry.common.access.added_peers import AddedPeers, PeerChangeOutcome
from gantry.common.clock import Clock
from gantry.common.config.policy import KnownPeer
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import TOPICS, Event, PeerRemoved, PeerSet
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.followed_topic import FollowedTopic
from gantry.common.telemetry.logs import get_logger

TOPIC = TOPICS[PeerSet].name


class FollowedPeers:
    """Follows the topic from its beginning: the log keeps it for ever, and `gantry restore` brings it back from the
    bucket. While the log is unavailable, the peers known last stay in force."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        publish: Callable[[Mapping[str, KnownPeer], bool], None],
        delays: Delays | None = None,
    ) -> None:
        """`publish` is called after each change with all peers, and whether everything was read that was on the log
        when this process began: until then a missing peer may exist."""
        self._log = log
        self._clock = clock
        self._publish = publish
        self._delays = delays or Delays(longest=5.0)
        self._added = AddedPeers()
        self._topic = FollowedTopic(log, TOPIC, self._take, clock, "peers", self._delays)
        self._verdicts: dict[str, PeerChangeOutcome | None] = {}
        self._whole = False
        self._logger = get_logger("policy")

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as following:
            following.create_task(self._topic.run())
            following.create_task(self._read_first())

    @property
    def is_whole(self) -> bool:
        """Whether everything was read that was on the log when this process began."""
        return self._whole

    async def can_ask(self) -> bool:
        """Whether the log is available now."""
        try:
            await self._log.ends(TOPIC)
        except DependencyUnavailable:
            return False
        return True

    async def check(self) -> None:
        """Raises `DependencyUnavailable` while the log has changes that are not read."""
        await self._topic.caught_up()
        self._become_whole()

    async def latest(self) -> AddedPeers:
        """The peers with all that is on the log now. Raises `DependencyUnavailable`."""
        await self.check()
        return self._added

    async def tell(self, event: PeerSet | PeerRemoved) -> PeerChangeOutcome:
        """Append a change. Returns its outcome. Raises `DependencyUnavailable`; the change may be accepted even
        then."""
        self._verdicts[event.change] = None
        try:
            await self._log.append(event)
            await self.check()
            verdict = self._verdicts[event.change]
        finally:
            del self._verdicts[event.change]
        if verdict is None:
            raise DependencyUnavailable("event log", "the change was written and not read back: look whether it stands")
        return verdict

    async def _read_first(self) -> None:
        attempt = 0
        while not self._whole:
            try:
                await self.check()
            except DependencyUnavailable:
                await self._clock.sleep(self._delays.after(attempt))
                attempt += 1

    def _become_whole(self) -> None:
        if not self._whole:
            self._whole = True
            self._publish(self._added.peers, True)
            self._logger.info("peers of the api read", peers=len(self._added.peers))

    def _take(self, event: Event) -> None:
        if not isinstance(event, PeerSet | PeerRemoved):
            return
        verdict = self._added.apply(event)
        if event.change in self._verdicts and self._verdicts[event.change] is None:
            self._verdicts[event.change] = verdict
        if verdict is PeerChangeOutcome.UNREADABLE:
            self._logger.error("a peer of the api is of a newer release, and not admitted", ae_title=event.ae_title)
        elif verdict is PeerChangeOutcome.TAKEN and self._whole:
            message = "peer set by the api" if isinstance(event, PeerSet) else "peer of the api removed"
            self._logger.info(message, ae_title=event.ae_title, by=event.by)
        self._publish(self._added.peers, self._whole)
