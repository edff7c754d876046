"""Peers of the API beside those of the policy file: followed from the log by every process that peers call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.config.policy import KnownPeer
from gantry.common.config.reload import PolicyFile
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.log import EventLog
from gantry.common.runtime.followed_peers import FollowedPeers
from gantry.common.telemetry.metrics import Metrics


def follow_peers(log: EventLog, clock: Clock, policy: PolicyFile, metrics: Metrics) -> FollowedPeers:
    """What `policy` gets its peers of the API from, once it runs."""

    def publish(added: Mapping[str, KnownPeer], whole: bool) -> None:
        policy.stand_beside(added, whole)
        metrics.peers_added.set(len(added))

    return FollowedPeers(log, clock, publish)


async def read_peers(followed: FollowedPeers) -> None:
    """Read what is there before anybody calls. While the log is away, who is not in the file is rejected for now."""
    with suppress(DependencyUnavailable):
        await followed.check()


async def check_peers(followed: FollowedPeers | None) -> None:
    """For readiness. Raises `DependencyUnavailable` until the peers of the API are read, and when they cannot be
    followed. A log that goes away afterwards is a matter of its own check: what was known goes on."""
    if followed is None or (followed.is_whole and not await followed.can_ask()):
        return
    await followed.check()
