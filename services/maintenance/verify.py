"""Objects read again and compared with what was acknowledged: slowly, all of them, over and over.

    state/verify/RECEIPT.json: how far a pass is; the newest counts. An interrupted pass continues from there.

For a missing or damaged object an event is published (`ObjectLost`): another receipt of the same bytes, if there is
one, becomes current; otherwise the sender's next attempt does (`gantry.services.indexer.healing`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, GantryError, NotFound, NotUnderstood
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.index import Location, SearchIndex
from gantry.common.runtime.integrity import Damage, examine
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

ROOT = "state/verify/"
_NAMED = 1000
"""Damaged objects that a state names; all of them are counted, and published as events."""
_TOGETHER = 20
_SAVE_SECONDS = 30.0
_ALIVE_SECONDS = 300.0
"""A pass whose state was saved within this time is running: other processes leave it alone."""
logger = get_logger("verify")


@dataclass(slots=True)
class Verified:
    """The progress of a pass: studies, objects and bytes read, damage found, and whether it is over. Times are in
    microseconds since the epoch; `place` is its position in the listing of studies."""

    begun_at: int = 0
    saved_at: int = 0
    finished_at: int = 0
    studies: int = 0
    objects: int = 0
    bytes: int = 0
    missing: int = 0
    damaged: int = 0
    by: str = ""
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
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._rate = rate
        self._by = Receipt.at(clock.now_us()).id
        self._free_at = 0.0

    async def latest(self) -> Verified | None:
        """The newest state of a pass, over or not; None before the first. Raises `DependencyUnavailable`."""
        keys = [stat.key async for stat in self._objects.list(ROOT)]
        for key in reversed(keys):
            try:
                return Verified(**json.loads(await read_whole(self._objects, key)))
            except (NotFound, ValueError, TypeError):
                continue  # removed meanwhile, or written by a release with another format
        return None

    async def run(self, every: float) -> None:
        """Run for ever: a pass begins `every` seconds after the one before ended."""
        while True:
            try:
                state = await self.latest()
                if state is None or self._is_due(state, every):
                    await self.verify(state)
            except GantryError as error:
                logger.warning("verification broken off", error=error)
            await self._clock.sleep(min(every, 600.0))

    def _is_due(self, state: Verified, every: float) -> bool:
        now = self._clock.now_us()
        if state.finished_at:
            return now - state.finished_at >= every * 1e6
        return state.by == self._by or now - state.saved_at >= _ALIVE_SECONDS * 1e6

    async def verify(
        self, state: Verified | None = None, progress: Callable[[Verified], None] = lambda _: None
    ) -> Verified:
        """A whole pass, or the rest of an unfinished `state`. Raises `DependencyUnavailable`; the pass can then be
        continued."""
        if state is None or state.finished_at:
            state = Verified(begun_at=self._clock.now_us())
        state.by = self._by
        saved = self._clock.monotonic()
        while studies := await self._next(state):
            for study in studies:
                await self._study(str(study.attributes[STUDY_INSTANCE_UID][0]), state)
                state.studies += 1
                state.place = list(study.place)
                progress(state)
                if self._clock.monotonic() - saved >= _SAVE_SECONDS:
                    await self._save(state)
                    saved = self._clock.monotonic()
        state.finished_at, state.place = self._clock.now_us(), []
        await self._save(state)
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
                damage = await examine(self._objects, location, pace=self._pace)
                state.objects += 1
                state.bytes += location.data_set_length
                self._metrics.objects_verified.inc()
                if damage is not None:
                    await self._found(location, damage, state)

    async def _found(self, location: Location, damage: Damage, state: Verified) -> None:
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

    async def _pace(self, count: int) -> None:
        """Return when `count` more bytes fit into the rate."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        if self._free_at - now > 0.05:
            await self._clock.sleep(self._free_at - now)

    async def _save(self, state: Verified) -> None:
        """Make the state durable, and remove older ones."""
        state.saved_at = self._clock.now_us()
        key = f"{ROOT}{Receipt.at(state.saved_at).id}.json"
        try:
            await self._objects.put(key, [json.dumps(asdict(state)).encode()])
        except DependencyUnavailable as error:
            logger.warning("how far verification is was not saved", error=error)
            return
        async for stat in self._objects.list(ROOT):
            if stat.key < key:
                await self._objects.delete(stat.key)
