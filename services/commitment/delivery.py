"""A transaction's report: sent until its requester has accepted it, then published as an event, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.config.role_sections import Commitment
from gantry.common.errors import DependencyUnavailable, PeerError
from gantry.common.events import CommitmentFailure, CommitmentReported, CommitmentRequested
from gantry.common.net import Association
from gantry.common.ports.log import EventLog
from gantry.common.runtime.backoff import Delays
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commitment.reports import Reports
from gantry.services.commitment.results import Results
from gantry.services.commitment.transactions import TransactionLedger

T = TypeVar("T")
Failures = list[CommitmentFailure]
_DAY = 24 * 3600.0
_AWAY = Delays(first=0.5, longest=30.0)
logger = get_logger("commitment")


async def persist(call: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """The result of `call`, which is repeated while a store is unavailable."""
    attempt = 0
    while True:
        try:
            return await call()
        except DependencyUnavailable as error:
            logger.warning("waiting for a store", error=error)
        await clock.sleep(_AWAY.after(attempt))
        attempt += 1


class ReportDelivery:
    """Delivers reports and publishes that they were delivered."""

    def __init__(
        self,
        log: EventLog,
        ledger: TransactionLedger,
        reports: Reports,
        results: Results,
        clock: Clock,
        metrics: Metrics,
        settings: Commitment,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._reports = reports
        self._results = results
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._delays = Delays(settings.retry_first, settings.retry_longest)

    async def deliver(self, request: CommitmentRequested, failures: Failures) -> None:
        """Deliver on associations that we open, until the peer has accepted the report, it was given up after
        `give_up` days, or another process has delivered it; the result of a request over HTTP is stored instead. The
        outcome is durable when this returns."""
        if self._ledger.is_reported(request.transaction_uid):
            return
        if request.over_http:
            await persist(lambda: self._results.write(request, failures), self._clock)
            self._metrics.commitment_reports.labels("delivered").inc()
            await self._publish(request, failures, True)
            return
        delivered = await self._try_for_days(request, failures)
        if delivered is not None:
            await self._publish(request, failures, delivered)

    async def deliver_on(self, association: Association, request: CommitmentRequested, failures: Failures) -> None:
        """Deliver once, on the association of the request. Raises a `PeerError`."""
        await self._reports.deliver_on(association, request, failures)
        self._metrics.commitment_reports.labels("delivered").inc()
        await self._publish(request, failures, True)

    async def _try_for_days(self, request: CommitmentRequested, failures: Failures) -> bool | None:
        """True if delivered, False if given up after too many days, None if another process was faster."""
        attempt = 0
        while not self._ledger.is_reported(request.transaction_uid):
            try:
                await self._reports.deliver(request, failures)
                self._metrics.commitment_reports.labels("delivered").inc()
                return True
            except PeerError as error:
                waited = (self._clock.now_us() - request.requested_at) / 1e6
                given_up = waited >= self._settings.give_up * _DAY
                self._metrics.commitment_reports.labels("given_up" if given_up else "retried").inc()
                logger.warning(
                    "report not delivered",
                    error=error,
                    given_up=given_up,
                    attempt=attempt,
                    transaction_uid=request.transaction_uid,
                    peer=request.calling_ae_title,
                )
                if given_up:
                    return False
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1
        return None

    async def _publish(self, request: CommitmentRequested, failures: Failures, delivered: bool) -> None:
        event = CommitmentReported(
            partition=request.partition,
            trace=request.trace,
            transaction_uid=request.transaction_uid,
            calling_ae_title=request.calling_ae_title,
            reported_at=self._clock.now_us(),
            delivered=delivered,
            failures=tuple(failures),
        )
        await persist(lambda: self._log.append(event), self._clock)
        self._ledger.apply(event)
        self._metrics.commitment_seconds.observe(max(0, event.reported_at - request.requested_at) / 1e6)
        self._metrics.commitment_instances.labels("0000").inc(len(request.references) - len(failures))
        for failure in failures:
            self._metrics.commitment_instances.labels(f"{failure.reason:04X}").inc()
