"""Which routes a correction or a merge of a patient gets: one to each HL7 receiver that is notified of patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.clock import Clock
from gantry.common.events import TOPICS, PatientCorrected, PatientCorrectionWithdrawn, PatientMerged
from gantry.common.lifecycle.routes import patient_requests
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger

GROUP = "patient-routing"
TOPIC = TOPICS[PatientCorrected].name
logger = get_logger("routing")


class PatientRequests:
    """The handler of the consumer loop that reads decisions about patients."""

    def __init__(self, receivers: Mapping[str, str], log: EventLog, clock: Clock) -> None:
        """`receivers` by name, each with its name as a sender to us ("hl7 APPLICATION^FACILITY"): nothing is returned
        to its origin."""
        self._receivers = receivers
        self._log = log
        self._clock = clock
        self.since_us = 0
        """Earlier decisions are history, even if a restore has appended them since."""

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Publish the routes of a batch. Raises `DependencyUnavailable`: then the whole batch comes again, and routes
        published already have the same names."""
        routes = []
        for delivery in batch:
            event = delivery.event
            if not isinstance(event, PatientCorrected | PatientMerged | PatientCorrectionWithdrawn):
                continue
            if event.at < self.since_us:
                continue
            receivers = [name for name, itself in self._receivers.items() if itself != event.by]
            routes += patient_requests(event, receivers, self._clock.now_us())
        if routes:
            await self._log.append(*routes)
            await reach(FailPoint.AFTER_PUBLISH)
            logger.info("routes requested", routes=len(routes), about="patients")
