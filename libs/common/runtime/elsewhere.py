"""What other archives committed of our instances (PS3.4 J, as service class user), in the object store.

    state/elsewhere/asked/DIGEST        a transaction, durable before it is asked
    state/elsewhere/answered/DIGEST     the report on it, written when all its consequences are on the log
    state/elsewhere/committed/PARTITION/DIGEST/DIGEST    for a study, by transaction: what is committed, and by whom

The digests are of the Transaction UID or the Study Instance UID: nothing that a peer sends becomes a key. Objects name
UIDs, digests of objects and AE titles, and no patient. They are in the bucket, so a restored archive knows them.

The order of effects of a report: the commitments are durable, the events are on the log, then the transaction is marked
as answered, and then the peer gets its response. After an interruption, the request or the report is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from blake3 import blake3

from gantry.common.clock import Clock
from gantry.common.commitment.requested import (
    Answered,
    RequestedTransaction,
    answer_of,
    pack_answered,
    pack_requested,
    unpack_answered,
    unpack_requested,
)
from gantry.common.commitment.wire import EventInformation
from gantry.common.errors import Archived, Corrupt, DependencyUnavailable, NotFound, PeerError
from gantry.common.events import Event, InstancesCommittedElsewhere, RouteDelayed, RouteEnded, RouteProgressed
from gantry.common.lifecycle.routes import DELIVERED, FAILED
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.statuses import INVALID_ARGUMENT_VALUE
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_ROOT = "state/elsewhere/"
_MOST_NAMED = 4_000
_LONGEST_WHY = 200
Committed = Mapping[str, frozenset[tuple[str, str]]]
"""By AE title, SOP Instance UIDs with digests of the objects that were sent."""
logger = get_logger("commitment")


class UnknownTransaction(PeerError):
    """A report for which we did not ask its sender (PS3.7 C.4.13: invalid argument value)."""

    dicom_status = INVALID_ARGUMENT_VALUE


@dataclass(frozen=True, slots=True)
class Before:
    """The last transaction of a route. `answered` is None while there is no report."""

    asked: RequestedTransaction
    answered: Answered | None


class CommittedElsewhere:
    """Reads the commitments for a study."""

    def __init__(self, objects: BlobStore) -> None:
        self._objects = objects

    async def of_study(self, partition: str, study: str) -> Committed:
        """What other archives committed of a study. Raises `DependencyUnavailable`."""
        committed: dict[str, set[tuple[str, str]]] = {}
        keys = [stat.key async for stat in self._objects.list(f"{_study_folder(partition, study)}/")]
        for key in keys:
            content = await _read(self._objects, key)
            if content is None:
                continue
            try:
                request = unpack_requested(content)
            except Corrupt as error:
                logger.error("a commitment of another archive cannot be read", key=key, error=error)
                continue
            uids = [reference.sop_instance_uid for reference in request.references]
            committed.setdefault(request.destination, set()).update(zip(uids, request.digests, strict=True))
        return {title: frozenset(group) for title, group in committed.items()}


class Elsewhere:
    """Records requests and reports, in one process."""

    def __init__(self, objects: BlobStore, log: EventLog, clock: Clock, metrics: Metrics) -> None:
        self._objects = objects
        self._log = log
        self._clock = clock
        self._metrics = metrics

    async def ask(self, request: RequestedTransaction) -> None:
        """Make a transaction durable; reports on it are accepted from now on. Raises `DependencyUnavailable`."""
        await self._objects.put(_requested_key(request.transaction_uid), [pack_requested(request)])

    async def before(self, transaction_uid: str) -> Before | None:
        """A transaction with what was reported on it; None if it was never asked. Raises `DependencyUnavailable`."""
        content = await _read(self._objects, _requested_key(transaction_uid))
        if content is None:
            return None
        answered = await _read(self._objects, _answered_key(transaction_uid))
        try:
            return Before(unpack_requested(content), None if answered is None else unpack_answered(answered))
        except Corrupt as error:
            raise DependencyUnavailable("objects", str(error)) from error

    async def reported(self, sender: str, report: EventInformation) -> Answered:
        """Process a report of the AE title `sender`, once. Raises `UnknownTransaction`, also if another AE title was
        asked, and `DependencyUnavailable`: then the sender has to repeat it."""
        before = await self.before(report.transaction_uid)
        if before is None or before.asked.destination != sender:
            logger.warning("report on a transaction that its sender was not asked for", sender=sender)
            raise UnknownTransaction("transaction uid is not known")
        if before.answered is not None:
            return before.answered
        request = before.asked
        answered = answer_of(request, report)
        # A commitment for a de-identified copy is recorded, but does not permit the deletion of the object.
        if answered.committed and not request.sent_as:
            await self._objects.put(_committed_key(request), [pack_requested(_only(request, answered))])
        now = self._clock.now_us()
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(*_facts(request, answered, now), *_of_route(request, answered, now))
        await reach(FailPoint.AFTER_PUBLISH)
        await self._objects.put(_answered_key(request.transaction_uid), [pack_answered(answered)])
        self._count(request, answered)
        return answered

    def _count(self, request: RequestedTransaction, answered: Answered) -> None:
        instances = self._metrics.instances_committed_elsewhere
        instances.labels(request.destination, "committed").inc(len(answered.committed))
        instances.labels(request.destination, "failed").inc(len(answered.failures))
        log = logger.warning if answered.failures else logger.info
        log(
            "storage commitment reported",
            destination=request.destination,
            study_instance_uid=request.study_instance_uid,
            committed=len(answered.committed),
            failed=len(answered.failures),
            trace=request.trace,
        )


def _facts(request: RequestedTransaction, answered: Answered, now_us: int) -> list[Event]:
    return [
        InstancesCommittedElsewhere(
            *(request.partition, request.trace, request.transaction_uid, request.study_instance_uid),
            *(request.destination, request.route, request.at, now_us),
            answered.committed,
            answered.digests,
            answered.failures,
        )
    ]


def _of_route(request: RequestedTransaction, answered: Answered, now_us: int) -> list[Event]:
    """The event for the route: it has ended, or is retried with what is not committed."""
    origin = request.partition, request.trace, request.study_instance_uid, request.route
    uids = [reference.sop_instance_uid for reference in answered.committed]
    slices: list[Event] = [
        RouteProgressed(*origin, tuple(uids[start : start + _MOST_NAMED]), now_us)
        for start in range(0, len(uids), _MOST_NAMED)
    ]
    why = answered.why(request.destination)[:_LONGEST_WHY]
    failed = len(answered.failures)
    if request.asks_all and not failed:
        return [*slices, RouteEnded(*origin, DELIVERED, len(uids), 0, "", now_us)]
    if failed and request.is_last:
        return [*slices, RouteEnded(*origin, FAILED, len(uids), failed, why, now_us)]
    # Two more than its try, so that this event prevails even if the try reports later that it waits.
    again = now_us + (request.again if failed else 0)
    return [*slices, RouteDelayed(*origin, request.number + 2, why, now_us, again)]


def _only(request: RequestedTransaction, answered: Answered) -> RequestedTransaction:
    return replace(request, references=answered.committed, digests=answered.digests)


async def _read(objects: BlobStore, key: str) -> bytes | None:
    try:
        return await read_whole(objects, key)
    except NotFound:
        return None
    except (Corrupt, Archived) as error:
        raise DependencyUnavailable("objects", "a transaction of storage commitment cannot be read") from error


def _digest(text: str) -> str:
    return blake3(text.encode()).hexdigest()[:40]


def _requested_key(transaction_uid: str) -> str:
    return f"{_ROOT}asked/{_digest(transaction_uid)}"


def _answered_key(transaction_uid: str) -> str:
    return f"{_ROOT}answered/{_digest(transaction_uid)}"


def _study_folder(partition: str, study: str) -> str:
    return f"{_ROOT}committed/{partition}/{_digest(study)}"


def _committed_key(request: RequestedTransaction) -> str:
    return f"{_study_folder(request.partition, request.study_instance_uid)}/{_digest(request.transaction_uid)}"
