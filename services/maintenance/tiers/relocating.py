"""Moves objects of a study: first they are copied and verified, then the move is published."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

from gantry.common.clock import Clock
from gantry.common.errors import Archived, Corrupt, NotFound
from gantry.common.events import ObjectsRelocated, ReceiptReference
from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle import HOT
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.integrity import Damage
from gantry.common.runtime.losses import Losses
from gantry.common.runtime.tiered import TieredStore
from gantry.common.runtime.wanted import RestoreRequests
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.maintenance.tiers.copying import TierCopier
from gantry.services.maintenance.tiers.planning import PlannedObject, StudyMove

_AT_ONCE = 4
"""Objects that are copied at the same time: small ones wait for a server, not for bytes."""
logger = get_logger("tiers")


class Relocator:
    """Carries moves out."""

    def __init__(
        self,
        tiers: TieredStore,
        copier: TierCopier,
        log: EventLog,
        index: ReadIndex,
        losses: Losses,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        wanted: RestoreRequests,
    ) -> None:
        """`wanted` restores objects in an archive tier that are to be moved from there."""
        self._wanted = wanted
        self._tiers = tiers
        self._copier = copier
        self._log = log
        self._index = index
        self._losses = losses
        self._clock = clock
        self._metrics = metrics
        self._partition = partition

    async def relocate(self, move: StudyMove) -> tuple[int, int]:
        """Move objects of a study. Returns how many were moved, and their bytes. Lost or damaged objects stay, and are
        reported. Raises `DependencyUnavailable`: by then, objects whose move was published are moved; the rest is
        copied, and only compared when it is planned again."""
        if move.tier.store != HOT:
            await self._tiers.mark(move.tier.store, needed=True)
        turns, moved = asyncio.Semaphore(_AT_ONCE), list[tuple[PlannedObject, int]]()

        async def bring(planned: PlannedObject) -> None:
            async with turns:
                length = await self._brought(planned, move.tier.store)
            if length is not None:
                moved.append((planned, length))

        tasks = [asyncio.ensure_future(bring(planned)) for planned in move.objects]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_tasks(*tasks)
        if moved:
            await reach(FailPoint.BEFORE_PUBLISH)
            await self._publish(move, [planned for planned, _ in moved])
            await reach(FailPoint.AFTER_PUBLISH)
        length = sum(length for _, length in moved)
        self._metrics.objects_relocated.labels(move.tier.store).inc(len(moved))
        self._metrics.relocated_bytes.labels(move.tier.store).inc(length)
        return len(moved), length

    async def _brought(self, planned: PlannedObject, store: str) -> int | None:
        """The length of an object that is in the store now; None for one that cannot be moved."""
        try:
            return await self._copier.bring(planned, store)
        except Archived:
            await self._wanted.ask(planned.key)
            self._metrics.relocation_failures.labels("archived").inc()
            return None
        except NotFound:
            damage = Damage.MISSING
        except Corrupt as error:
            damage = Damage.DAMAGED
            logger.error("object is not moved", key=planned.key, store=store, error=error)
        self._metrics.relocation_failures.labels(damage.value).inc()
        if planned.location is not None:
            # The location in the index may be outdated: it is read once more before it is reported.
            await self._losses.try_to_report(self._partition, planned.location, damage)
        return None

    async def _publish(self, move: StudyMove, objects: Sequence[PlannedObject]) -> None:
        receipts = [pair for planned in objects for pair in planned.receipts]
        receipts += await self._origins(objects)
        at = self._clock.now_us()
        for study, pairs in groupby(
            sorted(set(receipts), key=lambda pair: (pair[0].study_instance_uid, pair[1])),
            lambda pair: pair[0].study_instance_uid,
        ):
            references = tuple(
                ReceiptReference(key.series_instance_uid, key.sop_instance_uid, name) for key, name in pairs
            )
            await self._log.append(
                ObjectsRelocated(self._partition, new_trace(), study, references, move.tier.store, at)
            )

    async def _origins(self, objects: Sequence[PlannedObject]) -> list[tuple[InstanceKey, str]]:
        """For objects that were moved here from another study, their original receipts: by these their store is known
        (`leftovers`), also when they are moved back."""
        own = {name.id for planned in objects if (name := receipt_in_key(planned.key)) is not None}
        own -= {name for planned in objects for _, name in planned.receipts}
        decided = await self._index.decided_receipts(self._partition, sorted(own)) if own else {}
        return [(receipt.instance, name) for name, receipt in decided.items()]
