"""Studies that are complete because a modality says so: its step has ended, and everything that the step made is here.

This is sooner than the quiet period, and nothing depends on it: if a process ends while it waits, the quiet period
completes the study (`gantry.services.completion`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES, STUDY_INSTANCE_UID
from gantry.common.errors import GantryError
from gantry.common.events import StudyCompleted
from gantry.common.ids import receipt_in_key
from gantry.common.orders import PerformedState, PerformedStep
from gantry.common.orders.performed import performed_instances
from gantry.common.ports.index import InstanceKey, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

REASON = "procedure step"
_LOOK_AGAIN = 1.0
_MOST_WAITING = 256
logger = get_logger("orders")


class StepCompletions:
    """Waits for the instances of steps, up to `patience` seconds for each."""

    def __init__(self, log: EventLog, index: ReadIndex, clock: Clock, metrics: Metrics, patience: float) -> None:
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._patience = patience
        self._waiting: set[asyncio.Task[None]] = set()

    def begin(self, step: PerformedStep, trace: str) -> None:
        """Begin to wait for a step; does nothing unless it is COMPLETED and made something."""
        if step.state is not PerformedState.COMPLETED or not self._patience or len(self._waiting) >= _MOST_WAITING:
            return
        uids = performed_instances(step.attributes)
        if uids:
            task = asyncio.create_task(self._wait(step.partition, sorted(uids), trace))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Stop waiting."""
        await end_tasks(*self._waiting)

    async def _wait(self, partition: str, uids: Sequence[str], trace: str) -> None:
        until = self._clock.monotonic() + self._patience
        while self._clock.monotonic() < until:
            try:
                if await self._complete(partition, uids, trace):
                    return
            except GantryError as error:
                logger.warning("completion by procedure step waits", error=error, trace=trace)
            await self._clock.sleep(_LOOK_AGAIN)

    async def _complete(self, partition: str, uids: Sequence[str], trace: str) -> bool:
        """Whether all its instances are here; if so, each of its studies is published as complete."""
        resolved = await self._index.resolve(partition, uids)
        if len(resolved) < len(uids):
            return False
        studies: dict[str, list[Location]] = {}
        for locations in resolved.values():
            for location in locations:
                studies.setdefault(location.study_instance_uid, []).append(location)
        for study, locations in studies.items():
            await self._log.append(await self._event(partition, study, locations, trace))
            self._metrics.studies_completed.labels(REASON).inc()
            logger.info("study complete", reason=REASON, added=len(locations), trace=trace)
        return True

    async def _event(self, partition: str, study: str, locations: Sequence[Location], trace: str) -> StudyCompleted:
        receipts = sorted(
            receipt.id for location in locations if (receipt := receipt_in_key(location.object_key)) is not None
        )
        keys = [InstanceKey(study, location.series_instance_uid, location.sop_instance_uid) for location in locations]
        known = await self._index.receipts_of(partition, keys)
        senders = {receipt.sender for group in known.values() for receipt in group} - {""}
        return StudyCompleted(
            partition,
            trace,
            study,
            REASON,
            len(locations),
            # The search may lag slightly behind the instances that were just resolved one by one.
            max(len(locations), await self._instances(partition, study)),
            receipts[0] if receipts else "",
            receipts[-1] if receipts else "",
            self._clock.now_us(),
            tuple(sorted(senders)),
        )

    async def _instances(self, partition: str, study: str) -> int:
        question = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))}, limit=1)
        async for page in self._index.find(question):
            for document in page:
                return int(next(iter(document.attributes.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ()), 0))
        return 0
