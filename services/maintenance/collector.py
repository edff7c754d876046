"""Removes the objects of deleted instances when their grace time is over, and publishes a certificate.

The order: the deletion is on the log and every indexer has read it; the grace time is over, and no hold or retention
prevents it; the object is removed; `ObjectsCollected` is published. A crash anywhere leaves a receipt that is still
due: removing an object again succeeds, and a repeated certificate is the same. So two processes may collect at once;
the deletion state of the receipt is stored for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.events import INDEXERS, ObjectsCollected, ReceiptReference
from gantry.common.ids import Receipt, is_reference_key
from gantry.common.lifecycle import RetentionRule, StudyState
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import DecidedReceipt, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.following import has_followed, unfollowed
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.study_facts import known_study
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.maintenance.erasing import Eraser
from gantry.services.maintenance.families import Families
from gantry.services.maintenance.lapsing import Lapsing

_MARGIN_SECONDS = 300.0
"""Restoring is refused when the grace time is over; collecting begins this many seconds later, since clocks differ and
appends wait."""
_AT_ONCE = 500
_LOOK_AGAIN_SECONDS = 0.5
_START_SECONDS = 10.0
"""Seconds after a start by which the indexers have joined."""
logger = get_logger("collector")


@dataclass(slots=True)
class Collected:
    """The result of a run: objects removed, and receipts that are due but stay, because of a hold, a retention or a
    restoration."""

    objects: int = 0
    held: int = 0


class Collector:
    """Collects in one partition."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        *,
        grace: float,
        followers: Sequence[str] = (INDEXERS,),
        patience: float = 120.0,
        erase_after: float = 3600.0,
        await_images: float = 0.0,
        rules: Sequence[RetentionRule] = (),
        note_first: float = 0.0,
    ) -> None:
        """`grace` in seconds. Objects that `rules` retain are not collected, even if they were deleted before there was
        such a rule. `followers` are the consumer groups that must have read everything first: indexers, and archivers
        if there are any, so that a restored bucket shows why an object is gone. They are waited for up to `patience`
        seconds: while objects arrive they are always a little behind. `erase_after` is for how many seconds nothing of
        a study or patient must be left before the values of its corrections are erased, `await_images` how long they
        wait if there never was a study, `note_first` how long rejection notes wait for the instances that they name."""
        self._protection = Protection(log, index, clock, rules, CommittedElsewhere(objects))
        self._followers = followers
        self._patience = patience
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._families = Families(index, partition)
        self._eraser = Eraser(objects, log, index, clock, partition, erase_after, await_images)
        self._lapsing = Lapsing(log, index, clock, metrics, partition, note_first)
        self._grace_us = int((grace + _MARGIN_SECONDS) * 1e6)

    async def run(self, every: float) -> None:
        """Run for ever. If a run fails because of a dependency, the next one does the work."""
        await self._clock.sleep(min(every, _START_SECONDS))
        while True:
            try:
                done = await self.collect()
                if done.objects or done.held:
                    logger.info("collected", objects=done.objects, held=done.held)
            except GantryError as error:
                logger.warning("collecting broken off", error=error)
            await self._clock.sleep(every)

    async def collect(self) -> Collected:
        """Collect what is due now. Raises `DependencyUnavailable`, also if the indexers are behind: an event that they
        have not read may be a restoration."""
        done = Collected()
        await self._followed()
        async for study, due in self._due():
            for start in range(0, len(due), _AT_ONCE):
                await self._collect(study, due[start : start + _AT_ONCE], done)
        await self._eraser.erase()
        await self._lapsing.lapse()
        return done

    async def _followed(self) -> None:
        """Wait until all followers have read the log up to now."""
        until = self._clock.monotonic() + self._patience
        for group in self._followers:
            left = until - self._clock.monotonic()
            if not await has_followed(self._log, self._clock, left, group, _LOOK_AGAIN_SECONDS):
                raise DependencyUnavailable("event log", f"consumers of the group {group} are behind")

    async def _due(self) -> AsyncIterator[tuple[str, list[DecidedReceipt]]]:
        """The receipts whose objects may be collected, by study."""
        now = self._clock.now_us()
        async for page in self._index.find_decided(self._partition):
            due = [receipt for receipt in page if receipt.deletion_state.is_due(now, self._grace_us)]
            for study, group in groupby(due, lambda receipt: receipt.instance.study_instance_uid):
                yield study, list(group)

    async def _collect(self, study: str, due: Sequence[DecidedReceipt], done: Collected) -> None:
        recent = await unfollowed(self._log, self._partition, study)
        withdrawn = {receipt for receipt, state in recent.receipts.items() if state.deletion_state.withdrawn}
        allowed = await self._not_held(study, recent, [receipt for receipt in due if receipt.id not in withdrawn])
        families = await self._families.of(allowed)
        held = {study_ for study_ in _other_studies(study, families) if await self._is_held(study_)}
        allowed = [
            receipt for receipt in allowed if not held & {m.instance.study_instance_uid for m in families[receipt.id]}
        ]
        done.held += len(due) - len(allowed)
        if allowed:
            await self._remove(study, allowed, families, done)

    async def _is_held(self, study: str) -> bool:
        """Whether a study from which an instance was moved, or to which it was moved back, is under a hold."""
        recent = await unfollowed(self._log, self._partition, study)
        known = await known_study(self._index, self._partition, study, deleted=True)
        return bool(await self._protection.holds(self._partition, study, known, recent))

    async def _not_held(self, study: str, recent: StudyState, due: list[DecidedReceipt]) -> list[DecidedReceipt]:
        """The receipts under no hold and no retention, and for which no other archive has to commit first."""
        known = await known_study(self._index, self._partition, study, deleted=True)
        if await self._protection.holds(self._partition, study, known, recent):
            return []
        free = set[str]()
        if not await self._protection.retained(self._partition, study):
            free = {receipt.id for receipt in await self._protection.may_be_collected(self._partition, study, due)}
        if len(free) == len(due):
            return due
        # Removing a copy is not a loss: the same bytes of the same instance remain.
        receipts = await self._index.receipts_of(self._partition, list({receipt.instance for receipt in due}))
        return [
            receipt
            for receipt in due
            if receipt.id in free
            or any(other.digest == receipt.digest and not other.lost for other in receipts.get(receipt.instance, ()))
        ]

    async def _remove(
        self,
        study: str,
        due: Sequence[DecidedReceipt],
        families: Mapping[str, Sequence[DecidedReceipt]],
        done: Collected,
    ) -> None:
        """Remove objects, and publish what was removed. If other receipts still need an object, only the receipt is
        dropped."""
        now, elsewhere, objects, in_place = self._clock.now_us(), list[DecidedReceipt](), 0, 0
        for due_receipt in due:
            others = [member for member in families[due_receipt.id] if member.id != due_receipt.id]
            if any(_needs_object(member, now, self._grace_us) for member in others):
                continue
            receipt = Receipt(due_receipt.id)
            # If the index does not know the key, the object is in our store, or in place.
            either = receipt.object_key(self._partition), receipt.reference_key(self._partition)
            for key in (due_receipt.object_key,) if due_receipt.object_key else either:
                await self._objects.delete(key)
            in_place += is_reference_key(due_receipt.object_key)
            elsewhere += [
                member for member in others if member.deletion_state.moved_away and not member.deletion_state.collected
            ]
            objects += 1
        if in_place:
            logger.warning("bytes in place stay with their owner: `gantry left-in-place` lists them", objects=in_place)
        await reach(FailPoint.AFTER_COLLECT)
        # Receipts that were moved away come first: while this one is due, a crash repeats all of it.
        for other, group in groupby(
            sorted(elsewhere, key=lambda receipt: receipt.instance.study_instance_uid),
            lambda receipt: receipt.instance.study_instance_uid,
        ):
            await self._log.append(self._certificate(other, list(group), now))
        await self._log.append(self._certificate(study, due, now))
        await reach(FailPoint.AFTER_PUBLISH)
        done.objects += objects
        self._metrics.objects_collected.inc(objects)

    def _certificate(self, study: str, gone: Sequence[DecidedReceipt], now: int) -> ObjectsCollected:
        receipts = tuple(
            ReceiptReference(receipt.instance.series_instance_uid, receipt.instance.sop_instance_uid, receipt.id)
            for receipt in gone
        )
        return ObjectsCollected(
            self._partition, new_trace(), study, receipts, tuple(receipt.digest for receipt in gone), now
        )


def _other_studies(study: str, families: Mapping[str, Sequence[DecidedReceipt]]) -> set[str]:
    return {receipt.instance.study_instance_uid for family in families.values() for receipt in family} - {study}


def _needs_object(member: DecidedReceipt, now: int, grace: int) -> bool:
    """Whether a receipt still needs its object, or may need it again. If it was moved away, the receipt that replaced
    it counts instead."""
    deletion_state = member.deletion_state
    return not (deletion_state.collected or deletion_state.moved_away or deletion_state.is_due(now, grace))
