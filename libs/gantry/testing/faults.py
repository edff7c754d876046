"""Faults on demand, and a record of all that was received: stands between the network and the services of an archive.

A test plans faults from its own thread, the archive's event loop takes them up; a lock is between the two.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.dimse import CommandField
from gantry.common.errors import AssociationAborted
from gantry.common.net import Association, MemorySink, Request, Service, Sink
from gantry.common.net.server_state import Admission, ServerObserver
from gantry.common.ul import Abilities, AssociateReject, AssociateRequest
from gantry.testing.records import AssociationRecord, Operation, Received

_OPERATIONS: dict[int, Operation] = {
    CommandField.C_ECHO_RQ: Operation.ECHO,
    CommandField.C_STORE_RQ: Operation.STORE,
    CommandField.C_FIND_RQ: Operation.FIND,
    CommandField.C_GET_RQ: Operation.GET,
    CommandField.C_MOVE_RQ: Operation.MOVE,
    CommandField.N_ACTION_RQ: Operation.COMMIT,
}
_COMMENT = "asked for by the test"


@dataclass(slots=True)
class _Plan:
    """What is to go wrong, for one operation or all."""

    operation: Operation | None
    times: int
    status: int | None = None
    seconds: float = 0.0


class Faults:
    """What is to go wrong, and what came. Methods may be called from any thread."""

    any_title = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: list[_Plan] = []
        self._delays: list[_Plan] = []
        self._rejected: dict[str, tuple[int, int, int]] = {}
        self._abort_after: deque[int] = deque()
        self._limits: dict[Association, int] = {}
        self._messages: Counter[Association] = Counter()
        self._records: dict[Association, AssociationRecord] = {}
        self._received: list[Received] = []
        self._associations: list[AssociationRecord] = []

    # ---- the test's side

    def fail_next(self, operation: str | Operation, status: int, times: int = 1) -> None:
        """See `InProcessGantry.fail_next`."""
        if not 0 < status <= 0xFFFF:
            raise ValueError(f"{status:#06x} is not a status of a failure")
        with self._lock:
            self._failures.append(_Plan(Operation(operation), _positive(times), status=status))

    def delay(self, seconds: float, operation: str | Operation | None = None, times: int | None = None) -> None:
        """See `InProcessGantry.delay`."""
        if seconds < 0:
            raise ValueError("a delay is not negative")
        with self._lock:
            wanted = None if operation is None else Operation(operation)
            self._delays.append(_Plan(wanted, -1 if times is None else _positive(times), seconds=seconds))

    def abort_after(self, messages: int) -> None:
        """See `InProcessGantry.abort_after`."""
        with self._lock:
            self._abort_after.append(_positive(messages))

    def reject(self, calling_ae_title: str, result: int, source: int, reason: int) -> None:
        """See `InProcessGantry.reject`."""
        with self._lock:
            self._rejected[calling_ae_title] = result, source, reason

    def clear(self) -> None:
        """Nothing more goes wrong. What was received stays on record."""
        with self._lock:
            self._failures.clear()
            self._delays.clear()
            self._rejected.clear()
            self._abort_after.clear()
            self._limits.clear()

    @property
    def received(self) -> list[Received]:
        """A copy, in the order of the final answers."""
        with self._lock:
            return list(self._received)

    @property
    def associations(self) -> list[AssociationRecord]:
        """A copy of the list, in the order in which they were asked for."""
        with self._lock:
            return list(self._associations)

    # ---- the archive's side (`gantry.services.process.archive.Interposed`)

    def admission(self, inner: Admission) -> Admission:
        """Rejects whom the test wants rejected, and asks `inner` for all others."""
        return _Admission(self, inner)

    def observer(self, inner: ServerObserver) -> ServerObserver:
        """Puts associations on record."""
        return _Observer(self, inner)

    def service(self, inner: Service) -> Service:
        """Puts requests on record, and fails, delays or aborts as planned."""
        return _Service(self, inner)

    def rejection_of(self, request: AssociateRequest) -> AssociateReject | None:
        """How the test wants a request answered; None where it is none of its business."""
        with self._lock:
            numbers = self._rejected.get(request.calling_ae_title)
        return None if numbers is None else AssociateReject(*numbers, _COMMENT)

    def rejected(self, request: AssociateRequest, why: str) -> None:
        """It was not accepted."""
        with self._lock:
            number = len(self._associations) + 1
            titles = request.calling_ae_title, request.called_ae_title
            self._associations.append(AssociationRecord(number, *titles, outcome="rejected", why=why))

    def opened(self, association: Association) -> None:
        """It was accepted."""
        with self._lock:
            record = AssociationRecord(
                len(self._associations) + 1,
                association.calling_ae_title,
                association.called_ae_title,
                accepted=tuple(dict.fromkeys(cx.abstract_syntax for cx in association.contexts.values())),
                max_pdu=association.peer_max_pdu,
                tls=association.peer_speaks_tls,
            )
            self._associations.append(record)
            self._records[association] = record
            if self._abort_after:
                self._limits[association] = self._abort_after.popleft()

    def closed(self, association: Association, outcome: str) -> None:
        """It has ended."""
        with self._lock:
            record = self._records.get(association)
            if record is not None:
                kind, _, why = outcome.partition(": ")
                record.outcome, record.why = kind, why
            self._limits.pop(association, None)
            self._messages.pop(association, None)

    async def before(self, request: Request, operation: Operation) -> int | None:
        """Waits as long as planned; the status that is to be answered, None for the true one."""
        with self._lock:
            seconds = sum(plan.seconds for plan in _due(self._delays, operation))
            failure = next(iter(_due(self._failures, operation, most=1)), None)
        if seconds:
            await self._clock.sleep(seconds)
        return failure.status if failure is not None else None

    def after(self, request: Request, operation: Operation, data: bytes) -> None:
        """Puts the request on record; aborts the association where its messages have reached the planned number."""
        association, command = request.association, request.command
        with self._lock:
            record = self._records.get(association)
            self._received.append(
                Received(
                    operation,
                    association.calling_ae_title,
                    association.called_ae_title,
                    request.context.abstract_syntax,
                    command.sop_instance_uid,
                    request.context.transfer_syntax,
                    data,
                    request.status,
                    record.number if record is not None else 0,
                )
            )
            self._messages[association] += 1
            limit = self._limits.get(association)
            ends = limit is not None and self._messages[association] >= limit
        if ends:
            association.abort(_COMMENT)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError("at least 1")
    return number


def _due(plans: list[_Plan], operation: Operation, most: int | None = None) -> list[_Plan]:
    """The plans for an operation, each counted as used once; those that are used up are removed."""
    due = [plan for plan in plans if plan.operation in (None, operation)][:most]
    for plan in due:
        plan.times -= 1
    plans[:] = [plan for plan in plans if plan.times != 0]
    return due


class _Admission:
    def __init__(self, faults: Faults, inner: Admission) -> None:
        self._faults = faults
        self._inner = inner

    def admit(
        self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str
    ) -> AssociateReject | frozenset[str] | None:
        return self._faults.rejection_of(request) or self._inner.admit(request, peer_address, tls, certificate)


class _Observer:
    def __init__(self, faults: Faults, inner: ServerObserver) -> None:
        self._faults = faults
        self._inner = inner

    def opened(self, association: Association) -> None:
        self._inner.opened(association)
        self._faults.opened(association)

    def message(self, association: Association, field: int, seconds: float) -> None:
        self._inner.message(association, field, seconds)

    def closed(self, association: Association, outcome: str) -> None:
        self._inner.closed(association, outcome)
        self._faults.closed(association, outcome)

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        self._inner.rejected(request, reject, peer_address)
        self._faults.rejected(request, reject.why or reject.words)

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        self._inner.failed(peer_address, why, certificate)


class _RecordingSink:
    """Passes a data set on to the service's own sink, and keeps a copy."""

    def __init__(self, inner: Sink) -> None:
        self.inner = inner
        self.copy = bytearray()

    def write(self, views: Sequence[memoryview]) -> bool:
        for view in views:
            self.copy += view
        return self.inner.write(views)

    async def ready(self) -> None:
        await self.inner.ready()

    async def discard(self) -> None:
        await self.inner.discard()


class _Service:
    def __init__(self, faults: Faults, inner: Service) -> None:
        self._faults = faults
        self._inner = inner

    @property
    def abilities(self) -> Abilities:
        return self._inner.abilities

    def receive(self, request: Request) -> Sink:
        return _RecordingSink(self._inner.receive(request))

    async def perform(self, request: Request) -> None:
        operation = _OPERATIONS.get(request.command.field)
        sink, data = request.sink, b""
        if isinstance(sink, _RecordingSink):
            request.sink, data = sink.inner, bytes(sink.copy)
        if operation is None:
            await self._inner.perform(request)
            return
        try:
            status = await self._faults.before(request, operation)
            if status is None:
                await self._inner.perform(request)
            else:
                if request.sink is not None and not isinstance(request.sink, MemorySink):
                    await request.sink.discard()
                await request.fail(status, _COMMENT)
        except AssociationAborted:
            pass
        finally:
            self._faults.after(request, operation, data)
