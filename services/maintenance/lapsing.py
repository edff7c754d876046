"""Reports and withdraws rejection notes that arrived before their instances and waited in vain.

If nothing arrived in time, the rejection is withdrawn by an ordinary event, so that later arrivals are not rejected,
whatever the settings are by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.events import InstancesRestored, ReceiptReference
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Deletion, is_waiting
from gantry.common.ports.index import DecidedReceipt, InstanceKey, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace

_AT_ONCE = 2000
logger = get_logger("collector")


@dataclass(slots=True)
class StudyRejections:
    """The early notes of a study that are in force: what they wait for, and what arrived."""

    waiting: list[tuple[Deletion, DecidedReceipt]] = field(default_factory=list)
    came: set[tuple[str, InstanceKey]] = field(default_factory=set)

    def add(self, receipt: DecidedReceipt) -> None:
        """Add a receipt with decisions."""
        at = receipt.instance.series_instance_uid, receipt.instance.sop_instance_uid
        for deletion in receipt.deletion_state.standing:
            if is_waiting(receipt.id, deletion, *at):
                self.waiting.append((deletion, receipt))
            else:
                self.came.add((deletion.id, receipt.instance))

    def lapsed(self, now_ms: int, note_first_ms: int) -> list[tuple[Deletion, DecidedReceipt]]:
        """The instances that were awaited in vain; times in milliseconds."""
        return [
            (deletion, receipt)
            for deletion, receipt in self.waiting
            if (deletion.id, receipt.instance) not in self.came
            and Receipt(deletion.id).milliseconds + note_first_ms < now_ms
        ]


class Lapsing:
    """Withdraws rejections in one partition."""

    def __init__(
        self, log: EventLog, index: SearchIndex, clock: Clock, metrics: Metrics, partition: str, note_first: float
    ) -> None:
        """`note_first` in seconds: how long before its objects a note may arrive."""
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._note_first_ms = int(note_first * 1000)

    async def lapse(self) -> int:
        """Withdraw rejections that waited in vain. Returns for how many instances. To be called when the indexers have
        read the whole log: then all arrivals in time are known. Raises `DependencyUnavailable`."""
        count = 0
        async for study, rejections in self._studies():
            now = self._clock.now_us()
            by_note: defaultdict[Deletion, list[ReceiptReference]] = defaultdict(list)
            for deletion, receipt in rejections.lapsed(now // 1000, self._note_first_ms):
                key = receipt.instance
                reference = ReceiptReference(key.series_instance_uid, key.sop_instance_uid, receipt.id)
                by_note[deletion].append(reference)
            for deletion, receipts in by_note.items():
                await self._withdraw(study, deletion, receipts, now)
                count += len(receipts)
        return count

    async def _studies(self) -> AsyncIterator[tuple[str, StudyRejections]]:
        """The rejections by study, in order: pages are ordered by study."""
        study, known = "", StudyRejections()
        async for page in self._index.find_decided(self._partition):
            for receipt in page:
                if receipt.instance.study_instance_uid != study:
                    if known.waiting:
                        yield study, known
                    study, known = receipt.instance.study_instance_uid, StudyRejections()
                known.add(receipt)
        if known.waiting:
            yield study, known

    async def _withdraw(self, study: str, deletion: Deletion, receipts: Iterable[ReceiptReference], now: int) -> None:
        every = tuple(receipts)
        reason = f"{deletion.code}: its note arrived first, and its instances did not arrive in time"
        for start in range(0, len(every), _AT_ONCE):
            batch = every[start : start + _AT_ONCE]
            await self._log.append(
                InstancesRestored(self._partition, new_trace(), study, (deletion.id,), batch, reason, "gantry", now)
            )
        self._metrics.rejections_lapsed.inc(len(every))
        logger.warning(
            "a rejection note arrived first, and its instances did not arrive in time",
            study_instance_uid=study,
            code=deletion.code,
            instances=len(every),
        )
