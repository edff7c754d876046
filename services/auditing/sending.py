"""Audit records on their way to the repository: a consumer group, so that an outage of any length loses none."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.audit.syslog import framed, syslog_message
from gantry.common.events import AuditRecorded
from gantry.common.runtime.consumer import Backoff, Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.metrics import Metrics
from gantry.services.auditing.repository import Repository, RepositoryAway

GROUP = "audit-syslog"
"""The consumer group: the log keeps what it has not committed."""


class AuditSender:
    """The handler of the consumer loop. Its offset is committed when the batch was written."""

    def __init__(self, repository: Repository, metrics: Metrics) -> None:
        self._repository = repository
        self._metrics = metrics

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        records = [delivery.event for delivery in batch if isinstance(delivery.event, AuditRecorded)]
        try:
            await self._repository.send([framed(syslog_message(record)) for record in records])
        except RepositoryAway as error:
            self._metrics.audit_syslog_failures.labels(error.reason).inc()
            raise Backoff(f"audit repository: {error}") from error
        self._metrics.audit_syslog_records.inc(len(records))
        await reach(FailPoint.AFTER_POST)
