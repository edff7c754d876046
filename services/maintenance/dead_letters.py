"""Dead letters, for an operator: read, replayed, discarded; and counted for the metric."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import GantryError, NotFound, UndecodableEvent
from gantry.common.events import (
    INDEXERS,
    TOPICS,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    Event,
    InstanceStored,
    decode,
    letter_id,
    topic_of,
)
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance import sealing
from gantry.services.maintenance.letters import Letter, LetterLedger, described, event_of

_TOPIC = TOPICS[DeadLetter].name
_EVERY_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.05
logger = get_logger("dead letters")


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay: `handled` if the group has passed the event; `again` is the new letter if it failed
    again. Neither if the group is behind or not running: it will handle the event later."""

    letter: str
    handled: bool
    again: Letter | None = None


class DeadLetters:
    """The dead letters of a log. Everything may be repeated, also after a crash in the middle."""

    def __init__(self, log: EventLog, clock: Clock, patience: float = 10.0) -> None:
        """`patience` is how long to wait for a group, in seconds."""
        self._log = log
        self._clock = clock
        self._patience = patience

    async def ledger(self) -> LetterLedger:
        """All letters that are retained, and the decisions. Raises `DependencyUnavailable`."""
        ledger = LetterLedger()
        await read_into(ledger, self._log)
        return ledger

    async def replay(self, letter: DeadLetter, by: str) -> Replayed:
        """Publish the event again under its own topic and key, at the end. Every group of the topic reads it; for those
        that have applied it, nothing changes. Raises `NotFound` for a letter without an event of this release,
        `DependencyUnavailable`."""
        event = event_of(letter)
        if event is None:
            raise NotFound(
                "this release cannot read the event: run a release that can and replay it there, or discard the letter"
            )
        await self._log.append(event)
        # A crash here leaves the letter open: another replay changes nothing.
        await reach(FailPoint.AFTER_REPLAY)
        name, at = letter_id(letter), self._now(letter)
        await self._log.append(DeadLetterReplayed(letter.partition, letter.trace, letter.group, name, by, at))
        logger.info("dead letter replayed", letter=name, group=letter.group, by=by)
        if not await self._has_passed(letter.group, topic_of(event)[0].name):
            return Replayed(name, handled=False)
        return Replayed(name, handled=True, again=await self._failed_again(letter))

    async def discard(self, letter: DeadLetter, reason: str, by: str) -> None:
        """Record that the event is not to be applied; its object stays. Raises `DependencyUnavailable`."""
        name, at = letter_id(letter), self._now(letter)
        await self._log.append(DeadLetterDiscarded(letter.partition, letter.trace, letter.group, name, reason, by, at))
        logger.info("dead letter discarded", letter=name, group=letter.group, by=by)

    def _now(self, letter: DeadLetter) -> int:
        """A decision is never older than its letter, whatever the other machine's clock shows."""
        return max(self._clock.now_us(), letter.failed_at)

    async def _has_passed(self, group: str, topic: str) -> bool:
        ends = await self._log.ends(topic)
        until = self._clock.monotonic() + self._patience
        while not await self._log.has_passed(group, topic, ends):
            if self._clock.monotonic() >= until:
                return False
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)
        return True

    async def _failed_again(self, letter: DeadLetter) -> Letter | None:
        """The letter of the same event and group at a later offset, if there is one."""
        later = [
            other
            for other in (await self.ledger()).letters.values()
            if (other.group, other.topic, other.payload) == (letter.group, letter.topic, letter.payload)
            and other.failed_at > letter.failed_at
        ]
        return described(max(later, key=lambda other: other.failed_at)) if later else None


async def receipts_in_dead_letters(log: EventLog, receipts: Collection[str]) -> set[str]:
    """Which of the receipts have events that the indexers could not apply: they are in no index. Raises
    `DependencyUnavailable`."""
    failures: set[str] = set()
    async for record in log.replay(_TOPIC):
        letter = _event(record.payload)
        if isinstance(letter, DeadLetter) and letter.group == INDEXERS:
            event = event_of(letter)
            if isinstance(event, InstanceStored) and event.receipt in receipts:
                failures.add(event.receipt)
    return failures


async def read_into(ledger: LetterLedger, log: EventLog, since_us: int = 0) -> int:
    """Read the records appended since a time. Returns the time of the newest one, to continue from."""
    async for record in log.replay(_TOPIC, since_us):
        ledger.take(_event(record.payload))
        since_us = max(since_us, record.appended_at)
    return since_us


async def report_open(log: EventLog, clock: Clock, metrics: Metrics) -> None:
    """Update the gauge of open dead letters, for ever."""
    ledger, since = LetterLedger(), 0
    groups = {INDEXERS, sealing.GROUP}
    while True:
        try:
            since = await read_into(ledger, log, since)
            waiting = [letter.group for letter in ledger.open()]
            groups.update(waiting)
            for group in groups:
                metrics.dead_letters_open.labels(group).set(waiting.count(group))
        except GantryError as error:
            logger.warning("dead letters were not counted", error=error)
        await clock.sleep(_EVERY_SECONDS)


def _event(payload: bytes) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent:
        return None
