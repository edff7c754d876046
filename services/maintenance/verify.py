"""Reads all objects again and compares them with what was acknowledged: slowly, and repeatedly (`passes`).

It reads the current objects, and the conflicting ones aside. For a missing or damaged object an event is published
(`ObjectLost`): another receipt of the same bytes, if there is one, becomes current; otherwise the sender's next attempt
does (`gantry.services.indexer.healing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import Archived, Corrupt, NotFound, NotUnderstood
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import KnownReceipt, Location, SearchIndex
from gantry.common.runtime.integrity import Damage, data_set_offset_in, examine
from gantry.common.runtime.losses import Losses, instance_of
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pace, Pass, Passes

_NAMED = 1000
"""Most damaged objects that a state names; all of them are counted, and published as events."""
_TOGETHER = 20
logger = get_logger("verify")


@dataclass(slots=True)
class Verified(Pass):
    """The progress of a pass: studies, objects and bytes read, objects in an archive (`archived`; they are not read),
    and damage found. `place` is its position in the listing
    of studies."""

    studies: int = 0
    objects: int = 0
    bytes: int = 0
    archived: int = 0
    missing: int = 0
    damaged: int = 0
    place: list[Any] = field(default_factory=list)
    found: list[dict[str, str]] = field(default_factory=list)


class Verifier:
    """Passes over one partition, one after the other."""

    def __init__(
        self,
        objects: BlobStore,
        index: SearchIndex,
        losses: Losses,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        *,
        rate: float,
    ) -> None:
        """`rate` is in bytes per second; 0 for no limit."""
        self._objects = objects
        self._index = index
        self._losses = losses
        self._metrics = metrics
        self._partition = partition
        self._pace = Pace(clock, rate)
        self.passes = Passes(objects, clock, "verify", Verified)

    async def run(self, every: float) -> None:
        """Run for ever: a pass begins `every` seconds after the one before ended."""
        await self.passes.run(every, self.verify)

    async def verify(
        self, state: Verified | None = None, progress: Callable[[Verified], None] = lambda _: None
    ) -> Verified:
        """A whole pass, or the rest of an unfinished `state`. Raises `DependencyUnavailable`; the pass can then be
        continued."""
        state = self.passes.begun(state)
        while studies := await self._next(state):
            for study in studies:
                await self._study(str(study.attributes[STUDY_INSTANCE_UID][0]), state)
                state.studies += 1
                state.place = list(study.place)
                progress(state)
                await self.passes.save_now_and_then(state)
        state.place = []
        await self.passes.end(state)
        logger.info("verified", objects=state.objects, bytes=state.bytes, missing=state.missing, damaged=state.damaged)
        return state

    async def verify_study(self, study: str, state: Verified) -> None:
        """Verify one study, outside a pass."""
        await self._study(study, state)
        state.studies += 1

    async def _next(self, state: Verified) -> list[Document]:
        """The next studies, a few at a time: reading them may take longer than a listing may stay open. Starts over if
        the index was rebuilt meanwhile."""
        query = Query(self._partition, Level.STUDY, limit=_TOGETHER)
        try:
            return [study async for page in self._index.find(query, tuple(state.place)) for study in page]
        except NotUnderstood:
            return [study async for page in self._index.find(query) for study in page]

    async def _study(self, study: str, state: Verified) -> None:
        query = Query(self._partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        async for page in self._index.locate(query):
            for location in page:
                await self._object(location, state)
            several = [instance_of(location) for location in page if location.aside]
            known = await self._index.receipts_of(self._partition, several) if several else {}
            for location in page:
                for receipt in known.get(instance_of(location), ()):
                    if receipt.digest != location.digest and not receipt.lost:
                        await self._aside(location, receipt, state)

    async def _aside(self, current: Location, receipt: KnownReceipt, state: Verified) -> None:
        """Verify the conflicting objects of an instance, which stay aside until an operator decides."""
        place = replace(current, object_key=receipt.object_key, digest=receipt.digest, layout=b"", aside=0)
        try:
            offset = receipt.data_set_offset
            if offset < 0:
                offset = await data_set_offset_in(self._objects, receipt.object_key)
            length = (await self._objects.stat(receipt.object_key)).size - offset
        except NotFound:
            await self._report_damage(place, Damage.MISSING, state)
            return
        except Corrupt:
            await self._report_damage(place, Damage.DAMAGED, state)
            return
        await self._object(replace(place, data_set_offset=offset, data_set_length=max(0, length)), state)

    async def _object(self, location: Location, state: Verified) -> None:
        try:
            damage = await examine(self._objects, location, pace=self._pace)
        except Archived:
            state.archived += 1
            return
        state.objects += 1
        state.bytes += location.data_set_length
        self._metrics.objects_verified.inc()
        if damage is not None:
            await self._report_damage(location, damage, state)

    async def _report_damage(self, location: Location, damage: Damage, state: Verified) -> None:
        if damage is Damage.MISSING:
            state.missing += 1
        else:
            state.damaged += 1
        if len(state.found) < _NAMED:
            state.found.append(
                {
                    "study": location.study_instance_uid,
                    "series": location.series_instance_uid,
                    "instance": location.sop_instance_uid,
                    "object_key": location.object_key,
                    "reason": damage.value,
                }
            )
        await self._losses.try_to_report(self._partition, location, damage)
