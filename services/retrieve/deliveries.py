"""What was delivered to whom, as events: `gantry where` answers from them. They are kept for 14 days, and name studies,
not patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.events import StudyDelivered
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.ports.index import Location
from gantry.common.ports.log import EventLog
from gantry.common.runtime.record_queue import RecordQueue
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, TRACE, Handler
from gantry.services.retrieve.dimse.suboperations import Counters

_LONGEST_WHY = 200
_READING = frozenset(
    (
        *(Resource.OBJECTS, Resource.RENDERED, Resource.FRAMES, Resource.BULK_DATA, Resource.METADATA),
        *(Resource.WADO_URI, Resource.DEIDENTIFIED),
    )
)
"""The resources that count as a delivery to a viewer or client. Thumbnails do not: lists show them for studies that are
never opened."""


class Deliveries:
    """The deliveries of one process. Noting one returns at once, and never fails a retrieval."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._queue = RecordQueue(clock, metrics)
        self._seldom = RateLimited()

    async def run(self, log: EventLog) -> None:
        """Publish the noted deliveries, once a second, for ever."""
        await self._queue.run(log)

    async def flush(self, log: EventLog) -> None:
        """Publish what waits, if the log is available."""
        await self._queue.flush(log)

    def sent(
        self,
        over: str,
        calling_ae_title: str,
        receiver: tuple[str, str],
        locations: Sequence[Location],
        counters: Counters,
        trace: str = "",
    ) -> None:
        """A request to send is over; `receiver` is an AE title and an address. One event for each study."""
        failed_uids = set(counters.failed_uids)
        waiting = {id(location) for location in counters.uncounted(locations)}
        completed, failed = Counter[str](), Counter[str]()
        for location in locations:
            done = id(location) not in waiting and location.sop_instance_uid not in failed_uids
            (completed if done else failed)[location.study_instance_uid] += 1
        for study in dict.fromkeys(location.study_instance_uid for location in locations):
            why = counters.why[:_LONGEST_WHY] if failed[study] else ""
            numbers = completed[study], failed[study]
            self._add(trace, study, calling_ae_title, receiver, over, numbers, why)

    def noted(self, handlers: Mapping[Resource, Handler]) -> dict[Resource, Handler]:
        """The handlers; those that return part of a study note who got it: at most one event a minute for each study
        and receiver."""
        return {
            resource: self._wrap(handler) if resource in _READING else handler for resource, handler in handlers.items()
        }

    def _wrap(self, handler: Handler) -> Handler:
        async def noting(request: web.BaseRequest, match: Match) -> web.StreamResponse:
            response = await handler(request, match)
            # PS3.18 9.1.2.1.1: over WADO-URI the study is a parameter.
            study = match.study or request.query.get("studyUID", "")
            if response.status < 300 and is_uid(study):
                caller = request[CALLER]
                study = caller.copies_of.get(study, study)
                receiver = caller.name, str(caller.address or "")
                times = self._seldom.times((study, *receiver), self._clock.monotonic())
                if times:
                    trace = request[TRACE]
                    self._add(trace, study, "", receiver, "DICOMweb", (0, 0), "", times)
            return response

        return noting

    def _add(
        self,
        trace: str,
        study: str,
        calling_ae_title: str,
        receiver: tuple[str, str],
        over: str,
        numbers: tuple[int, int],
        why: str,
        times: int = 1,
    ) -> None:
        now = self._clock.now_us()
        self._queue.add(
            StudyDelivered(
                DEFAULT_PARTITION, trace, study, calling_ae_title, *receiver, over, *numbers, why, now, times
            )
        )
