"""Sending objects to a destination: in batches of contexts, with retries, counted exactly. C-MOVE and HTTP requests
share it, and with it the limits of each destination."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dimse.command import Value
from gantry.common.errors import PeerError
from gantry.common.net import Peer, connect
from gantry.common.ports.index import Location
from gantry.common.statuses import OUT_OF_RESOURCES, UNABLE_TO_PERFORM_SUB_OPERATIONS
from gantry.common.telemetry.logs import get_logger
from gantry.services.retrieve.dimse.contexts import Context, batches
from gantry.services.retrieve.dimse.destination_limits import DestinationLimits
from gantry.services.retrieve.dimse.suboperations import Counters, Deidentifies, SubOperations

logger = get_logger("retrieve")

"""PS3.4 C.4.2.1.5: out of resources, unable to perform sub-operations."""


@dataclass(frozen=True, slots=True)
class RetrieveSettings:
    """`attempts` per sub-operation; times in seconds; `max_instances` bounds one request; `window` is how many
    sub-operations we propose to have outstanding at a destination at once; `alive_every` is between pending responses
    while nothing can be sent yet."""

    attempts: int = 3
    window: int = 4
    retry_after: float = 1.0
    pending_every: float = 0.5
    alive_every: float = 5.0
    max_instances: int = 500_000


@dataclass(frozen=True, slots=True)
class MoveJob:
    """One request to send. Objects are sent while `is_wanted`; `progressed` is called after each sub-operation, and an
    error that it raises once the requester is not `is_open` ends the job. `originator` holds the elements that name the
    C-MOVE to a destination. Objects pass `through` de-identification if that is set."""

    counters: Counters
    is_wanted: Callable[[], bool]
    progressed: Callable[[], Awaitable[None]]
    is_open: Callable[[], bool] = lambda: True
    originator: Mapping[int, Value] = field(default_factory=dict)
    through: Deidentifies | None = None


class Mover:
    """Sends to destinations, to as many at once as there are lanes."""

    def __init__(
        self, sub_operations: SubOperations, clock: Clock, settings: RetrieveSettings, lanes: DestinationLimits
    ) -> None:
        self.sub_operations = sub_operations
        self.settings = settings
        self._clock = clock
        self._lanes = lanes

    async def move(self, peer: Peer, locations: Sequence[Location], job: MoveJob) -> None:
        """Send objects. When this returns, every sub-operation is counted, except those no longer wanted."""
        for contexts, batch in batches(locations):
            left = batch
            for attempt in range(self.settings.attempts):
                if attempt:
                    await self._clock.sleep(self.settings.retry_after * 2 ** (attempt - 1))
                left = await self._attempt(peer, contexts, left, job, final=attempt + 1 == self.settings.attempts)
                if not left or not job.is_wanted():
                    break

    async def _attempt(
        self, peer: Peer, contexts: list[Context], batch: list[Location], job: MoveJob, *, final: bool
    ) -> list[Location]:
        """Send a batch over one association; returns what should be tried again (nothing at the final attempt)."""
        left = dict.fromkeys(range(len(batch)))

        async def done(place: int, status: int) -> None:
            # PS3.4 B.2.3: A7xxH is out of resources, a temporary failure.
            if status & 0xFF00 == OUT_OF_RESOURCES and not final:
                return
            del left[place]
            job.counters.count(batch[place], status)
            await job.progressed()

        try:
            async with (
                self._lanes.lane_to(peer.host, peer.port),
                connect(peer, contexts, window=self.settings.window) as association,
                self.sub_operations.over(association, job.through) as transfer,
            ):
                try:
                    await transfer.send(batch, done, job.is_wanted, job.originator)
                finally:
                    job.counters.withheld.update(transfer.withheld)
                    job.counters.unable = job.counters.unable or transfer.unable
                job.counters.why = job.counters.why or transfer.why
        except PeerError as error:
            if not job.is_open():
                raise
            # If an association fails on release, after its last object, everything has been sent.
            logger.warning("move destination failed", destination=peer.called_ae_title, error=str(error))
            job.counters.why = f"{peer.called_ae_title}: {error}"
        again = [batch[place] for place in left] if job.is_wanted() else []
        if not final:
            return again
        for location in again:
            job.counters.count(location, UNABLE_TO_PERFORM_SUB_OPERATIONS)
        return []


def count_the_rest(locations: Sequence[Location], counters: Counters) -> None:
    """PS3.4 C.4.2.1.5, C.4.3.1.4: every sub-operation is counted; those without a result count as failed."""
    for location in counters.uncounted(locations):
        counters.count(location, UNABLE_TO_PERFORM_SUB_OPERATIONS)
