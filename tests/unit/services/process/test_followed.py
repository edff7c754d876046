"""What a process follows on the log, and what it does not where there is nothing to follow."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from gantry.common.clock import ManualClock
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.lifecycle import Lifecycle
from gantry.services.process.followed import follow_sessions, follow_shares, follow_subscriptions

LOG, CLOCK = cast(EventLog, object()), ManualClock()
OBJECTS = cast(BlobStore, None)


class Watching:
    """Of a lifecycle, what runs with it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        work.close()
        self.names.append(name)

    @property
    def lifecycle(self) -> Lifecycle:
        return cast(Lifecycle, self)


def test_without_links_and_logins_nothing_is_followed() -> None:
    watching = Watching()
    assert follow_shares(None, LOG, CLOCK, watching.lifecycle) is None
    assert follow_sessions(None, OBJECTS, LOG, CLOCK, 60.0, watching.lifecycle) is None
    assert watching.names == []


def test_links_and_sessions_are_asked_of_what_is_followed() -> None:
    watching = Watching()
    shares, sessions = SimpleNamespace(standing=None), SimpleNamespace(ended=None)
    followed = follow_shares(cast(Any, shares), LOG, CLOCK, watching.lifecycle)
    assert followed is not None
    assert shares.standing == followed.standing
    ended = follow_sessions(cast(Any, sessions), OBJECTS, LOG, CLOCK, 60.0, watching.lifecycle)
    assert ended is not None
    assert sessions.ended == ended.has
    follow_subscriptions(LOG, CLOCK, watching.lifecycle)
    assert watching.names == ["shares", "sessions", "subscriptions"]
