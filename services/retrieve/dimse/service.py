"""C-GET and C-MOVE (PS3.4 C.4.2, C.4.3): select, locate, send with sub-operations, answer with exact counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.standard.tags import FAILED_SOP_INSTANCE_UID_LIST
from gantry.common.dimse import CommandField, Element
from gantry.common.dimse.command import Value
from gantry.common.errors import GantryError, PeerError
from gantry.common.net import MemorySink, Peer, Request, Sink, connect
from gantry.common.ports.index import Location
from gantry.common.statuses import (
    CANCELLED,
    MOVE_DESTINATION_UNKNOWN,
    OUT_OF_RESOURCES,
    PENDING,
    SUCCESS,
    UNABLE_TO_PERFORM_SUB_OPERATIONS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.retrieve.dimse.contexts import batches
from gantry.services.retrieve.dimse.destination_limits import DestinationLimits
from gantry.services.retrieve.dimse.selection import select
from gantry.services.retrieve.dimse.suboperations import Counters, SubOperations
from gantry.services.retrieve.unindexed import Locating

logger = get_logger("retrieve")


Destinations = Callable[[str, str], Peer | None]
"""(destination AE title, our AE title) to whom to call; None where it is not configured."""


@dataclass(frozen=True, slots=True)
class RetrieveSettings:
    """`attempts` per sub-operation; times in seconds; `max_instances` bounds one request; `window` is how many
    sub-operations a destination is asked to take at once."""

    attempts: int = 3
    window: int = 4
    retry_after: float = 1.0
    pending_every: float = 0.5
    max_instances: int = 500_000


class _Progress:
    """Pending responses: the first after the first sub-operation, then at an interval."""

    def __init__(self, request: Request, counters: Counters, clock: Clock, every: float) -> None:
        self._request = request
        self._counters = counters
        self._clock = clock
        self._every = every
        self._next = clock.monotonic()

    async def tell(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next and self._counters.remaining:
            self._next = now + self._every
            await self._request.respond(PENDING, extra=self._counters.elements(with_remaining=True))


class RetrieveService:
    """C-GET and C-MOVE SCP."""

    def __init__(
        self,
        abilities: Abilities,
        index: Locating,
        sub_operations: SubOperations,
        destinations: Destinations,
        clock: Clock,
        metrics: Metrics,
        settings: RetrieveSettings | None = None,
        lanes: DestinationLimits | None = None,
    ) -> None:
        self.abilities = abilities
        self._index = index
        self._sub_operations = sub_operations
        self._destinations = destinations
        self._clock = clock
        self._metrics = metrics
        self._settings = settings or RetrieveSettings()
        self._lanes = lanes or DestinationLimits()

    def receive(self, request: Request) -> Sink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        peer: Peer | None = None
        if request.command.field == CommandField.C_MOVE_RQ:
            title = request.command.text(Element.MOVE_DESTINATION)
            peer = self._destinations(title, request.association.called_ae_title)
            if peer is None:
                # PS3.4 C.4.2.1.5: Move Destination unknown.
                await request.fail(MOVE_DESTINATION_UNKNOWN, "move destination unknown", (Element.MOVE_DESTINATION,))
                return
        elif request.command.field != CommandField.C_GET_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "neither C-GET nor C-MOVE")
            return
        query = select(request.context.abstract_syntax, request.data, request.context.transfer_syntax)
        locations = await self._locate(query)
        counters = Counters(len(locations))
        if peer is None:
            await self._get(request, locations, counters)
        else:
            await self._move(request, peer, locations, counters)
        await self._conclude(request, locations, counters)

    async def _locate(self, query: Query) -> list[Location]:
        locations: list[Location] = []
        async for page in self._index.locate(query):
            locations += page
            if len(locations) > self._settings.max_instances:
                raise GantryError(f"more than {self._settings.max_instances} instances in one request")
        return locations

    async def _get(self, request: Request, locations: list[Location], counters: Counters) -> None:
        progress = _Progress(request, counters, self._clock, self._settings.pending_every)

        async def done(place: int, status: int) -> None:
            counters.count(locations[place], status)
            await progress.tell()

        async with self._sub_operations.over(request.association) as transfer:
            await transfer.send(locations, done, lambda: not request.cancelled)

    async def _move(self, request: Request, peer: Peer, locations: list[Location], counters: Counters) -> None:
        progress = _Progress(request, counters, self._clock, self._settings.pending_every)
        originator: dict[int, Value] = {
            Element.MOVE_ORIGINATOR_AE_TITLE: request.association.calling_ae_title,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: request.command.message_id,
        }
        for contexts, batch in batches(locations):
            left = batch
            for attempt in range(self._settings.attempts):
                if attempt:
                    await self._clock.sleep(self._settings.retry_after * 2 ** (attempt - 1))
                final = attempt + 1 == self._settings.attempts
                left = await self._attempt(request, peer, contexts, left, counters, progress, originator, final)
                if not left or request.cancelled:
                    break

    async def _attempt(
        self,
        request: Request,
        peer: Peer,
        contexts: list[tuple[str, tuple[str, ...]]],
        batch: list[Location],
        counters: Counters,
        progress: _Progress,
        originator: Mapping[int, Value],
        final: bool,
    ) -> list[Location]:
        """Send a batch over one association; returns what should be tried again (nothing at the final attempt)."""
        left = dict.fromkeys(range(len(batch)))

        async def done(place: int, status: int) -> None:
            # PS3.4 B.2.3: A7xxH is out of resources, which passes.
            if status & PENDING == OUT_OF_RESOURCES and not final:
                return
            del left[place]
            counters.count(batch[place], status)
            await progress.tell()

        try:
            async with (
                self._lanes.to(peer.host, peer.port),
                connect(peer, contexts, window=self._settings.window) as association,
                self._sub_operations.over(association) as transfer,
            ):
                await transfer.send(batch, done, lambda: not request.cancelled, originator)
        except PeerError as error:
            if not request.association.is_open:
                raise
            # An association that was released badly after the last object has done its work.
            logger.warning("move destination failed", destination=peer.called_ae_title, error=str(error))
            counters.why = f"{peer.called_ae_title}: {error}"
        again = [] if request.cancelled else [batch[place] for place in left]
        if not final:
            return again
        for location in again:
            counters.count(location, UNABLE_TO_PERFORM_SUB_OPERATIONS)
        return []

    async def _conclude(self, request: Request, locations: Sequence[Location], counters: Counters) -> None:
        if not request.cancelled:
            # PS3.4 C.4.2.1.5, C.4.3.1.4: every sub-operation is counted; what nobody heard of was not sent.
            for location in counters.uncounted(locations):
                counters.count(location, UNABLE_TO_PERFORM_SUB_OPERATIONS)
        status = CANCELLED if request.cancelled and counters.remaining else counters.final_status
        elements = counters.elements(with_remaining=status == CANCELLED)
        if counters.failed and counters.why:
            # PS3.7 annex C.4: who asked hears why, and need not ask whoever can read our log.
            elements[Element.ERROR_COMMENT] = counters.why
        failed = None
        if counters.failed_uids and status != SUCCESS:
            # PS3.4 C.4.2.1.4.2: the identifier of a response that is not a success.
            failed = encode_identifier(
                {FAILED_SOP_INSTANCE_UID_LIST: counters.failed_uids}, request.context.transfer_syntax
            )
        self._count("C-MOVE" if request.command.field == CommandField.C_MOVE_RQ else "C-GET", status, counters)
        await request.respond(status, failed, elements)

    def _count(self, operation: str, status: int, counters: Counters) -> None:
        self._metrics.retrieve_requests.labels(operation, f"{status:04X}").inc()
        self._metrics.suboperation_bytes.labels(operation).inc(counters.sent_bytes)
        self._metrics.suboperations.labels(operation, "completed").inc(counters.completed)
        self._metrics.suboperations.labels(operation, "failed").inc(counters.failed)
        self._metrics.suboperations.labels(operation, "warning").inc(counters.warning)
