"""A missing or damaged object becomes an event, whichever role finds it: then another receipt becomes current."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import Event, ObjectLost
from gantry.common.ids import receipt_in_key
from gantry.common.ports.index import InstanceKey, Location, Loss, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.integrity import Damage
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_REMEMBERED = 10_000
logger = get_logger("integrity")


def instance_of(location: Location) -> InstanceKey:
    """The instance of an object."""
    return InstanceKey(location.study_instance_uid, location.series_instance_uid, location.sop_instance_uid)


async def losses_of(index: ReadIndex, events: Iterable[Event]) -> list[Loss]:
    """The losses that an index applies for events. Raises `DependencyUnavailable`."""
    losses: list[Loss] = []
    for event in events:
        if isinstance(event, ObjectLost):
            instance = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
            losses.append(Loss(event.partition, instance, event.receipt))
            # An instance that was moved here has a receipt of its own, but the object of its original receipt.
            known = await index.receipts(event.partition, instance)
            others = [location.id for location in known if location.object_key == event.object_key != ""]
            losses += [Loss(event.partition, instance, receipt) for receipt in others if receipt != event.receipt]
    return losses


class Losses:
    """Reports the lost objects that a process finds, each once: a lost object may be requested every second."""

    def __init__(self, log: EventLog, clock: Clock, metrics: Metrics, found_by: str) -> None:
        """`found_by` is the role or command that finds the losses."""
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._found_by = found_by
        self._reported: OrderedDict[str, None] = OrderedDict()
        self._reporting: set[asyncio.Task[None]] = set()

    async def report(self, partition: str, location: Location, damage: Damage, trace: str = "") -> ObjectLost | None:
        """Log, count and publish a loss. None if this process has done so before, or the key names no receipt. Raises
        `DependencyUnavailable` if the event log is unavailable; the loss is logged and counted even then."""
        receipt = receipt_in_key(location.object_key)
        if receipt is None or location.object_key in self._reported:
            return None
        self._metrics.objects_lost.labels(damage.value).inc()
        logger.error(
            "object lost", reason=damage.value, object_key=location.object_key, found_by=self._found_by, trace=trace
        )
        event = ObjectLost(
            partition=partition,
            trace=trace,
            study_instance_uid=location.study_instance_uid,
            series_instance_uid=location.series_instance_uid,
            sop_instance_uid=location.sop_instance_uid,
            receipt=receipt.id,
            object_key=location.object_key,
            reason=damage.value,
            found_by=self._found_by,
            found_at=self._clock.now_us(),
        )
        await self._log.append(event)
        self._reported[location.object_key] = None
        while len(self._reported) > _REMEMBERED:
            self._reported.popitem(last=False)
        return event

    def report_soon(self, partition: str, location: Location, damage: Damage) -> None:
        """`try_to_report` in the background, for callers that cannot wait."""
        task = asyncio.get_running_loop().create_task(self.try_to_report(partition, location, damage))
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    async def close(self) -> None:
        """Cancel the reports that `report_soon` began."""
        await end_tasks(*self._reporting)

    async def try_to_report(self, partition: str, location: Location, damage: Damage, trace: str = "") -> None:
        """`report` for callers that do not depend on it: if the log is unavailable, a warning is logged, and the next
        caller that finds the loss tries again."""
        try:
            await self.report(partition, location, damage, trace)
        except DependencyUnavailable as error:
            logger.warning("loss not published", object_key=location.object_key, error=error)
