"""Whether objects are safely stored: indexed under the class named, and in the object store with acknowledged bytes.

PS3.4 J.1.2.2: an SCP that answers Success takes responsibility. So the bytes of each instance are read again and their
digest is compared before the instance is committed. Failure reasons are those of PS3.3 C.14.1.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

from gantry.common.access import EVERYTHING, Sight, restricted
from gantry.common.clock import Clock
from gantry.common.config.role_sections import Commitment
from gantry.common.errors import Archived, DependencyUnavailable
from gantry.common.events import (
    INDEXERS,
    TOPICS,
    CommitmentFailure,
    CommitmentReference,
    CommitmentRequested,
    InstanceStored,
)
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.integrity import Damage, examine
from gantry.common.runtime.losses import Losses, instance_of
from gantry.common.statuses import CLASS_INSTANCE_CONFLICT, NO_SUCH_OBJECT_INSTANCE, PROCESSING_FAILURE
from gantry.common.telemetry.logs import get_logger

_PAGE = 1000
_INSTANCES = TOPICS[InstanceStored].name
_LOOK_AGAIN = Delays(first=0.05, longest=2.0)
_READ_AGAIN = Delays(first=0.5, longest=30.0)


class CommitmentChecks:
    """Checks for all transactions of a process; they share one limit on parallel reads."""

    def __init__(
        self,
        index: ReadIndex,
        store: BlobStore,
        log: EventLog,
        clock: Clock,
        workers: Executor,
        losses: Losses,
        settings: Commitment,
        sees: Callable[[str], Sight] = lambda _: EVERYTHING,
    ) -> None:
        """`index` is restricted; `sees` says which studies an AE title sees."""
        self._sees = sees
        self._index = index
        self._log = log
        self._losses = losses
        self._store = store
        self._clock = clock
        self._workers = workers
        self._settings = settings
        self._reading = asyncio.Semaphore(settings.parallel_checks)
        self._logger = get_logger("commitment")

    async def failures(self, request: CommitmentRequested) -> list[CommitmentFailure]:
        """The references that cannot be committed to the requester, in their order, with the reason of each. What a
        peer may not see is not there for it, whoever stored it; who stores over HTTP sees everything."""
        with restricted(EVERYTHING if request.over_http else self._sees(request.calling_ae_title)):
            return await self._failures(request.partition, request.calling_ae_title, request.references)

    async def _failures(
        self, partition: str, requester: str, references: Sequence[CommitmentReference]
    ) -> list[CommitmentFailure]:
        located, unknown = await self._locate(partition, references)
        reasons: dict[CommitmentReference, int] = {}
        for start in range(0, len(references), _PAGE):
            page = references[start : start + _PAGE]
            checks = (self._reason(partition, requester, r, located.get(r.sop_instance_uid, ()), unknown) for r in page)
            for reference, reason in zip(page, await asyncio.gather(*checks), strict=True):
                if reason:
                    reasons[reference] = reason
        return await asyncio.to_thread(_as_failures, reasons)

    async def _reason(
        self,
        partition: str,
        requester: str,
        reference: CommitmentReference,
        locations: Sequence[Location],
        unknown: set[str],
    ) -> int:
        """The failure reason, 0 if the instance is safely stored. A reference names no series: if several instances
        have the UID, all of them must be."""
        if not locations:
            return PROCESSING_FAILURE if reference.sop_instance_uid in unknown else NO_SUCH_OBJECT_INSTANCE
        if all(location.sop_class_uid != reference.sop_class_uid for location in locations):
            return CLASS_INSTANCE_CONFLICT
        for location in locations:
            if location.aside and await self._is_aside(partition, requester, location):
                return PROCESSING_FAILURE
            async with self._reading:
                if reason := await self._read_again(partition, location):
                    return reason
        return 0

    async def _is_aside(self, partition: str, requester: str, location: Location) -> bool:
        """Whether a receipt of the requester may be one that is kept aside: then it must not delete its own copy, since
        another object is found under that UID. False for a requester that sent only the current bytes."""
        receipts = await self._index.receipts(partition, instance_of(location))
        current = location.digest, location.transfer_syntax_uid
        sent = [receipt for receipt in receipts if receipt.sender == requester]
        aside = not sent or any((receipt.digest, receipt.transfer_syntax_uid) != current for receipt in sent)
        if aside:
            self._logger.warning(
                "not committed: other bytes of this instance are kept aside",
                sop_instance_uid=location.sop_instance_uid,
                calling=requester,
                receipts=len(receipts),
            )
        return aside

    async def _locate(
        self, partition: str, references: Sequence[CommitmentReference]
    ) -> tuple[dict[str, list[Location]], set[str]]:
        """Where the instances are. Waits, up to the deadline, until the indexers have passed the events that were on
        the log when this was called, since instances stored earlier may be among them. Also returns the UIDs whose
        state is still unknown then: the index was unavailable, or the indexers had not caught up."""
        located: dict[str, list[Location]] = {}
        missing = [reference.sop_instance_uid for reference in references]
        end = self._clock.monotonic() + self._settings.in_flight_deadline
        ends: Mapping[int, int] | None = None
        attempt = 0
        while True:
            passed = False
            try:
                ends = await self._log.ends(_INSTANCES) if ends is None else ends
                passed = await self._log.has_passed(INDEXERS, _INSTANCES, ends)
            except DependencyUnavailable as error:
                self._logger.warning("event log unavailable", error=error)
            # The index is asked after the indexers: it holds every event that they had passed.
            unanswered = await self._resolve(partition, missing, located)
            missing = [uid for uid in missing if uid not in located]
            left = end - self._clock.monotonic()
            if not missing or (passed and not unanswered) or left <= 0:
                return located, unanswered if passed else set(missing)
            await self._clock.sleep(min(left, _LOOK_AGAIN.after(attempt)))
            attempt += 1

    async def _resolve(self, partition: str, uids: Sequence[str], located: dict[str, list[Location]]) -> set[str]:
        unanswered: set[str] = set()
        for start in range(0, len(uids), _PAGE):
            page = uids[start : start + _PAGE]
            try:
                located.update(await self._index.resolve(partition, page))
            except DependencyUnavailable as error:
                self._logger.warning("index away", error=error)
                unanswered.update(page)
        return unanswered

    async def _read_again(self, partition: str, location: Location) -> int:
        for attempt in range(self._settings.read_retries + 1):
            try:
                damage = await examine(self._store, location, self._workers)
            except Archived:
                self._logger.warning("not committed: the object lies in an archive", key=location.object_key)
                return PROCESSING_FAILURE
            except DependencyUnavailable as error:
                self._logger.warning("object cannot be read yet", key=location.object_key, error=error)
                if attempt < self._settings.read_retries:
                    await self._clock.sleep(_READ_AGAIN.after(attempt))
                continue
            if damage is None:
                return 0
            await self._losses.try_to_report(partition, location, damage)
            return NO_SUCH_OBJECT_INSTANCE if damage is Damage.MISSING else PROCESSING_FAILURE
        return PROCESSING_FAILURE


def _as_failures(reasons: Mapping[CommitmentReference, int]) -> list[CommitmentFailure]:
    return [CommitmentFailure(r.sop_class_uid, r.sop_instance_uid, reason) for r, reason in reasons.items()]
