"""Peers of the API, beside those of the policy file: every process that peers call follows them on the log."""

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
    """The follower from which `policy` gets the peers of the API, once it runs."""

    def publish(added: Mapping[str, KnownPeer], whole: bool) -> None:
        policy.stand_beside(added, whole)
        metrics.peers_added.set(len(added))

    return FollowedPeers(log, clock, publish)


async def read_peers(followed: FollowedPeers) -> None:
    """Read the peers of the API before the first association. While the log is away, peers that are not in the file are
    rejected for now."""
    with suppress(DependencyUnavailable):
        await followed.check()


async def check_peers(followed: FollowedPeers | None) -> None:
    """The readiness check. Raises `DependencyUnavailable` until the peers of the API are read, and if they cannot be
    followed. If the log goes away later, its own check reports that, and known peers remain."""
    if followed is None or (followed.is_whole and not await followed.can_ask()):
        return
    await followed.check()
