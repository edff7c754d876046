"""What a process follows on the log while it runs: links, sessions and subscriptions, if they are configured."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.followed_sessions import FollowedSessions
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.lifecycle import Lifecycle
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.web.sessions import Sessions
from gantry.common.web.shares import SealedShares


def follow_shares(
    shares: SealedShares | None, log: EventLog, clock: Clock, lifecycle: Lifecycle
) -> FollowedShares | None:
    """Follow links: every process must know which have ended, since each serves images."""
    if shares is None:
        return None
    followed = FollowedShares(log, clock)
    shares.standing = followed.standing
    lifecycle.watch(followed.run(), "shares")
    return followed


def follow_sessions(
    sessions: Sessions | None, objects: BlobStore, log: EventLog, clock: Clock, longest: float, lifecycle: Lifecycle
) -> FollowedSessions | None:
    """Follow logouts, so that sessions end that the identity provider has signed out. `longest` is in seconds."""
    if sessions is None:
        return None
    followed = FollowedSessions(log, clock, longest, RestoredLog(objects, clock))
    sessions.ended = followed.has
    lifecycle.watch(followed.run(), "sessions")
    return followed


def follow_subscriptions(log: EventLog, clock: Clock, lifecycle: Lifecycle) -> FollowedSubscriptions:
    """Follow subscriptions, for queries about them, and to notify subscribers."""
    followed = FollowedSubscriptions(log, clock)
    lifecycle.watch(followed.run(), "subscriptions")
    return followed
