"""Named places in the code where a test may make the process die, fail, refuse or stall.

    GANTRY_FAILPOINTS="after-blob-put=kill,before-publish=raise@3,before-commit=sleep:2.5"

`kill` sends SIGKILL to this process; `raise` raises an unexpected exception; `refuse` reports a dependency as
unavailable; `sleep:S` waits S seconds. `@N` acts the Nth time only. The environment is read once, at import; without it
a fail point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import Enum

from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable


class FailPoint(Enum):
    """Where a crash would hurt most."""

    AFTER_BLOB_PUT = "after-blob-put"
    """ingest: the bytes are durable, their event is not published yet."""
    BEFORE_PUBLISH = "before-publish"
    """Any service: about to append an event."""
    AFTER_PUBLISH = "after-publish"
    """ingest: the event is durable, the peer has no answer yet."""
    AFTER_COLLECT = "after-collect"
    """maintenance: objects are gone, their certificate is not published yet."""
    AFTER_COPY = "after-copy"
    """maintenance: an object is complete in another store, too, and its relocation is not published yet."""
    BEFORE_LEAVE = "before-leave"
    """maintenance: about to remove the copy that a relocated object leaves."""
    AFTER_LEAVE = "after-leave"
    """maintenance: that copy is gone."""
    AFTER_POST = "after-post"
    """webhooks: the receiver has accepted a post, its offset is not committed yet."""
    AFTER_REPLAY = "after-replay"
    """maintenance: the event of a dead letter is published again, and the letter is still open."""
    AFTER_APPLY = "after-apply"
    """orders: an HL7 message is applied, its answer is not durable yet."""
    AFTER_FOLD = "after-fold"
    """orders: events are folded, and waiting callers are not notified yet."""
    BEFORE_ERASE = "before-erase"
    """orders: the erasure of an order is on the log, its values are still in the bucket."""
    AFTER_KEYS = "after-keys"
    """maintenance: an archive is being destroyed, its keys are gone, and everything else is still present."""
    BEFORE_ANSWER = "before-answer"
    """Any service: about to send the response that makes the promise."""
    BEFORE_COMMIT = "before-commit"
    """Any consumer: effects are durable, the offset is not."""


class FailPointRaised(Exception):
    """The exception of `raise`: no code expects it."""


@dataclass(slots=True)
class _Action:
    word: str
    seconds: float
    at: int
    seen: int = 0


def parse(text: str) -> dict[FailPoint, _Action]:
    """The actions in a GANTRY_FAILPOINTS value. Raises `ValueError` if a name or an action is unknown."""
    actions = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition("=")
        action, _, at = action.partition("@")
        word, _, seconds = action.partition(":")
        if word not in ("kill", "raise", "refuse", "sleep"):
            raise ValueError(f"fail point {name!r} has unknown action {word!r}")
        actions[FailPoint(name)] = _Action(word, float(seconds or 0), int(at or 0))
    return actions


_ARMED = parse(os.environ.get("GANTRY_FAILPOINTS", ""))


async def reach(point: FailPoint) -> None:
    """Pass a fail point, or take the action that the environment sets for it."""
    if _ARMED and (action := _ARMED.get(point)) is not None:
        await _act(point, action)


async def _act(point: FailPoint, action: _Action) -> None:
    action.seen += 1
    if action.at and action.seen != action.at:
        return
    if action.word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.word == "raise":
        raise FailPointRaised(point.value)
    elif action.word == "refuse":
        raise DependencyUnavailable("fail point", point.value)
    else:
        await SystemClock().sleep(action.seconds)
