"""The process that took a request: it checks the objects and reports on the requesting association while that is open,
which no other process can; the result of a request over HTTP it stores. Its findings serve the active member
(`member`), if that is in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gantry.common.clock import Clock
from gantry.common.config.role_sections import Commitment
from gantry.common.errors import PeerError
from gantry.common.events import CommitmentRequested
from gantry.common.net import Association
from gantry.common.telemetry.logs import get_logger
from gantry.services.commitment.checks import CommitmentChecks
from gantry.services.commitment.delivery import Failures, ReportDelivery

_REMEMBERED_HERE = 10_000
logger = get_logger("commitment")


class Taking:
    """A request in progress: it counts once `accepted` is called, when its event is on the log."""

    def __init__(self) -> None:
        self.request: CommitmentRequested | None = None

    def accepted(self, request: CommitmentRequested) -> None:
        """The event is on the log."""
        self.request = request


class Takers:
    """The requests that this process takes."""

    def __init__(self, checks: CommitmentChecks, delivery: ReportDelivery, clock: Clock, settings: Commitment) -> None:
        self._checks = checks
        self._delivery = delivery
        self._clock = clock
        self._settings = settings
        self._findings: dict[str, asyncio.Future[Failures | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def taking(self, transaction_uid: str, association: Association | None) -> AsyncIterator[Taking]:
        """Publish a request and answer it within this context; it came on `association`, or over HTTP. A member that
        reads the event meanwhile waits for the findings of this process; the work begins when the block is left, and
        only if `accepted` was called."""
        while len(self._findings) >= _REMEMBERED_HERE:
            del self._findings[next(iter(self._findings))]
        findings = self._findings[transaction_uid] = asyncio.get_running_loop().create_future()
        taking = Taking()
        try:
            yield taking
        finally:
            if taking.request is None:
                del self._findings[transaction_uid]
                findings.set_result(None)
            else:
                task = asyncio.create_task(self._work(taking.request, association, findings))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def findings(self, transaction_uid: str) -> Failures | None:
        """The findings of this process if it took the request; waits for them. None if it did not take the request,
        or found nothing because its checks failed."""
        future = self._findings.get(transaction_uid)
        return await asyncio.shield(future) if future is not None else None

    def cancel(self) -> None:
        """Cancel the unfinished work; it is resumed at the next start."""
        for task in self._tasks:
            task.cancel()

    async def _work(
        self, request: CommitmentRequested, association: Association | None, findings: asyncio.Future[Failures | None]
    ) -> None:
        failures: Failures | None = None
        until = self._clock.monotonic() + self._settings.same_association_wait
        try:
            failures = await self._checks.failures(request)
            if association is None:
                await self._delivery.deliver(request, failures)
            elif association.is_open and self._clock.monotonic() < until:
                await self._delivery.deliver_on(association, request, failures)
        except PeerError as error:
            logger.info("no report on the requesting association", error=error)
        except Exception as error:
            logger.error("transaction failed", error=error, transaction_uid=request.transaction_uid)
        finally:
            if not findings.done():
                findings.set_result(failures)
