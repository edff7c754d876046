"""Counts the content of the archive by modality, by sender and by month of arrival, in passes (`passes`).

It counts current objects, with the bytes of their data sets. Redundant receipts, and conflicting ones aside, are not
included.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, Single
from gantry.common.dicom.standard.tags import MODALITY, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, NotUnderstood
from gantry.common.ids import FOLDER_MS, is_reference_key, receipt_in_key
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, Location, ReadIndex
from gantry.common.runtime.quota.counts import write_count
from gantry.common.runtime.quota.sums import StoredCount, covered_to
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pace, Pass, Passes

OTHERS = "others"
"""The sum for all after the first `_MOST_NAMES` modalities or senders: senders may invent names."""
_MOST_NAMES = 200
_TOGETHER = 50
logger = get_logger("usage")

Amount = list[int]
"""Instances and bytes."""


@dataclass(slots=True)
class Usage(Pass):
    """The progress of a count. Amounts by modality, by sender (the calling AE title, or the caller's name over HTTP; ""
    if an earlier release did not record it) and by the month of arrival, as 2026-11. `place` is its position in the
    listing of studies. `settled` is what a quota counts (`gantry.common.runtime.quota`): the bytes of what arrived
    before its folder `since`, without foreign objects in place; None in a pass that an earlier release began."""

    studies: int = 0
    instances: int = 0
    bytes: int = 0
    modalities: dict[str, Amount] = field(default_factory=dict)
    senders: dict[str, Amount] = field(default_factory=dict)
    months: dict[str, Amount] = field(default_factory=dict)
    place: list[Any] = field(default_factory=list)
    settled: int | None = None

    def add(self, modality: str, sender: str, month: str, size: int) -> None:
        """Count one instance."""
        self.instances += 1
        self.bytes += size
        for amounts, name in ((self.modalities, modality), (self.senders, sender), (self.months, month)):
            if name not in amounts and len(amounts) >= _MOST_NAMES:
                name = OTHERS
            amount = amounts.setdefault(name, [0, 0])
            amount[0] += 1
            amount[1] += size

    def settle(self, object_key: str, size: int) -> None:
        """Count one instance for the quota."""
        receipt = receipt_in_key(object_key)
        recent = receipt is not None and receipt.milliseconds // FOLDER_MS >= covered_to(self.begun_at)
        if self.settled is not None and not recent and not is_reference_key(object_key):
            self.settled += size


class UsageCounter:
    """Counts one partition."""

    def __init__(
        self, objects: BlobStore, index: ReadIndex, clock: Clock, metrics: Metrics, partition: str, *, rate: float
    ) -> None:
        """`rate` is in instances per second; 0 for no limit."""
        self._objects = objects
        self._clock = clock
        self._index = index
        self._metrics = metrics
        self._partition = partition
        self._pace = Pace(clock, rate)
        self.passes = Passes(objects, clock, "usage", Usage)

    async def run(self, every: float) -> None:
        """Run for ever: a pass begins `every` seconds after the one before ended."""
        with suppress(DependencyUnavailable):
            self._show(await self.passes.latest())
        await self.passes.run(every, self.count)

    async def count(self, state: Usage | None = None, progress: Callable[[Usage], None] = lambda _: None) -> Usage:
        """A whole pass, or the rest of an unfinished `state`. Raises `DependencyUnavailable`; the pass can then be
        continued."""
        state = self.passes.begun(state)
        if not state.studies:
            state.settled = 0
        while studies := await self._next(state):
            for study in studies:
                await self._study(str(study.attributes[STUDY_INSTANCE_UID][0]), state)
                state.studies += 1
                state.place = list(study.place)
                progress(state)
                await self.passes.save_now_and_then(state)
        state.place = []
        if state.settled is not None:
            count = StoredCount(state.begun_at, self._clock.now_us(), state.settled)
            await write_count(self._objects, count)
        await self.passes.end(state)
        self._show(state)
        logger.info("counted", studies=state.studies, instances=state.instances, bytes=state.bytes)
        return state

    def _show(self, state: Usage | None) -> None:
        """Set the gauges to the result of a finished pass."""
        if state is None or not state.finished_at:
            return
        self._metrics.counted_bytes.clear()  # for modalities without objects
        for modality, (_, size) in state.modalities.items():
            self._metrics.counted_bytes.labels(modality).set(size)

    async def _next(self, state: Usage) -> list[Document]:
        """The next studies. Starts over if the index was rebuilt meanwhile: with counts of nothing, too."""
        query = Query(self._partition, Level.STUDY, limit=_TOGETHER)
        try:
            return [study async for page in self._index.find(query, tuple(state.place)) for study in page]
        except NotUnderstood:
            state.studies = state.instances = state.bytes = state.settled = 0
            for amounts in (state.modalities, state.senders, state.months):
                amounts.clear()
            return [study async for page in self._index.find(query) for study in page]

    async def _study(self, study: str, state: Usage) -> None:
        of_study = {STUDY_INSTANCE_UID: Single((study,))}
        series = Query(self._partition, Level.SERIES, of_study)
        modalities = {
            str(document.attributes[SERIES_INSTANCE_UID][0]): str(
                next(iter(document.attributes.get(MODALITY) or ()), "")
            )
            async for page in self._index.find(series)
            for document in page
        }
        async for page in self._index.locate(Query(self._partition, Level.STUDY, of_study)):
            senders = await self._senders(page)
            for location in page:
                key = location.object_key
                modality = modalities.get(location.series_instance_uid, "")
                state.add(modality, senders.get(key, ""), _month(key), location.data_set_length)
                state.settle(key, location.data_set_length)
            await self._pace(len(page))

    async def _senders(self, locations: list[Location]) -> dict[str, str]:
        """The senders of the current objects, by object key."""
        instances = [
            InstanceKey(location.study_instance_uid, location.series_instance_uid, location.sop_instance_uid)
            for location in locations
        ]
        receipts = await self._index.receipts_of(self._partition, instances)
        return {receipt.object_key: receipt.sender for group in receipts.values() for receipt in group}


def _month(object_key: str) -> str:
    receipt = receipt_in_key(object_key)
    return "" if receipt is None else datetime.fromtimestamp(receipt.milliseconds / 1000, UTC).strftime("%Y-%m")
