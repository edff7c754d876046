"""Removes the values of corrections when nothing of the study, or of the patient, is left.

The order: everything of it is collected, and has been for some time; the values are removed; `StudyCorrectionsErased`
or `PatientCorrectionsErased` is published, and the index drops them. After a crash anywhere, the values are examined
again. The delay is for a restore, in which a study may appear later than the decisions about it.

If a patient had no studies when a message corrected or merged it, the delay is longer: a modality may still send images
with the old name or ID. It ends when a study arrives: if that is deleted, the values are erased like all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from gantry.common.clock import Clock
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import PatientCorrectionsErased, StudyCorrectionsErased
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import OrphanedCorrections, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.corrections import end_waiting, read_values
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.sealed_events import keys
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.traces import new_trace

_ON_ITS_WAY_MS = 24 * 3600 * 1000
_LOOKED_AT_MS = 3 * _ON_ITS_WAY_MS
"""Age in milliseconds beyond which values are no longer examined; by then each was examined several times."""
_READ_TOGETHER = 16
logger = get_logger("collector")


class Eraser:
    """Erases in one partition. Times in seconds: `after` since nothing is left, or `awaited` since the correction if
    there was nothing yet."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        partition: str,
        after: float,
        awaited: float = 0.0,
    ) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._partition = partition
        self._after = after
        self._since: dict[OrphanedCorrections, float] = {}
        self._awaited_ms = int(awaited * 1000)
        self._waiting: dict[str, bool] = {}
        """Whether a correction waits for a first study, by its id; read from the object store once."""
        self._began = False

    async def erase(self) -> int:
        """Erase what is due now; the caller has made sure that the indexers have followed. Returns how many corrections
        that were. Raises `DependencyUnavailable`."""
        now, erased = self._clock.monotonic(), 0
        since: dict[OrphanedCorrections, float] = {}
        waiting: dict[str, bool] = {}
        async for page in self._index.orphaned_corrections(self._partition):
            for leftover in page:
                since[leftover] = self._since.get(leftover, now)
                due = [correction for correction in leftover.corrections if not await self._waits(correction, waiting)]
                if due and now - since[leftover] >= self._after:
                    await self._erase(replace(leftover, corrections=tuple(due)))
                    erased += len(due)
        for correction in await self._waited_for(waiting):
            with suppress(NotFound, NotUnderstood):
                await end_waiting(self._objects, Receipt(correction).values_key(self._partition))
        self._since, self._waiting, self._began = since, waiting, True
        await self._remove_unheard_of()
        return erased

    async def _waits(self, correction: str, waiting: dict[str, bool]) -> bool:
        """Whether a correction is young enough to wait for a first study, and is waiting."""
        receipt = Receipt(correction)
        if self._clock.now_us() // 1000 - receipt.milliseconds >= self._awaited_ms:
            return False
        known = self._waiting.get(correction)
        if known is None:
            try:
                subject, _ = await read_values(self._objects, receipt.values_key(self._partition))
            except (NotFound, NotUnderstood):
                return False
            known = subject.awaited
        waiting[correction] = known
        return known

    async def _waited_for(self, waiting: dict[str, bool]) -> list[str]:
        """Corrections that no longer wait, since a study has arrived. The first call examines all of that age: a study
        may have arrived while no process was running."""
        if self._began:
            return [correction for correction, waits in self._waiting.items() if waits and correction not in waiting]
        now_ms, corrections, several = self._clock.now_us() // 1000, list[str](), list[tuple[str, str]]()
        async for key, receipt in keys(
            self._objects, "corrections", self._partition, max(1, now_ms - self._awaited_ms), now_ms
        ):
            if receipt.id not in waiting:
                several.append((key, receipt.id))
            if len(several) == _READ_TOGETHER:
                corrections += await self._had_their_study(several)
                several = []
        return corrections + await self._had_their_study(several)

    async def _had_their_study(self, several: Sequence[tuple[str, str]]) -> list[str]:
        return [
            correction
            for (_, correction), had in zip(
                several, await asyncio.gather(*(self._had_its_study(*pair) for pair in several)), strict=True
            )
            if had
        ]

    async def _had_its_study(self, key: str, correction: str) -> bool:
        """Whether a correction was made to wait, but no longer waits."""
        try:
            subject, _ = await read_values(self._objects, key)
        except (NotFound, NotUnderstood):
            return False
        if not subject.awaited:
            return False
        known = await self._index.corrections(self._partition, subject.study, subject.patient)
        # A correction whose event is still on its way waits, too.
        return correction in known.made

    async def _remove_unheard_of(self) -> None:
        """Remove values that no event names: their writer died before the event was on the log."""
        now_ms = self._clock.now_us() // 1000
        async for key, receipt in keys(self._objects, "corrections", self._partition, now_ms - _LOOKED_AT_MS, now_ms):
            if receipt.milliseconds > now_ms - _ON_ITS_WAY_MS:
                continue
            try:
                subject, _ = await read_values(self._objects, key)
            except (NotFound, NotUnderstood) as error:
                logger.warning("the values of a correction cannot be read", key=key, error=error)
                continue
            known = await self._index.corrections(self._partition, subject.study, subject.patient)
            if receipt.id not in known.made:
                await self._objects.delete(key)
                logger.warning("values of a correction that no event names were removed", key=key)

    async def _erase(self, leftover: OrphanedCorrections) -> None:
        for correction in leftover.corrections:
            await self._objects.delete(Receipt(correction).values_key(self._partition))
        await reach(FailPoint.AFTER_COLLECT)
        trace, at = new_trace(), self._clock.now_us()
        if leftover.study_instance_uid:
            await self._log.append(
                StudyCorrectionsErased(self._partition, trace, leftover.study_instance_uid, leftover.corrections, at)
            )
        else:
            await self._log.append(
                PatientCorrectionsErased(self._partition, trace, leftover.patient, leftover.corrections, at)
            )
        logger.info("corrections erased", corrections=len(leftover.corrections))
