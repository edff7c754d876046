"""C-GET and C-MOVE (PS3.4 C.4.2, C.4.3): select, locate, send with sub-operations, answer with exact counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from gantry.common.clock import Clock
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.standard.tags import FAILED_SOP_INSTANCE_UID_LIST
from gantry.common.dimse import CommandField, Element
from gantry.common.dimse.command import Value
from gantry.common.errors import AssociationAborted, GantryError
from gantry.common.net import MemorySink, Peer, Request, Sink
from gantry.common.ports.index import Location
from gantry.common.statuses import (
    CANCELLED,
    MOVE_DESTINATION_UNKNOWN,
    PENDING,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.retrieve.corrections import as_stored
from gantry.services.retrieve.dimse.moving import MoveJob, Mover, count_the_rest
from gantry.services.retrieve.dimse.selection import select
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.fetching.holders import NOTHING, Lack, studies_of
from gantry.services.retrieve.unindexed import Locating

_CANCELLED_SECONDS = 0.5
"""Longest delay until a C-CANCEL is noticed while a study is fetched."""
logger = get_logger("retrieve")


Delivered = Callable[[str, str, tuple[str, str], Sequence[Location], Counters, str], None]
"""Called when a request ends, with its operation, the requester, the receiver's name and address, the objects, the
counters, and the trace."""
Begins = Callable[[str, str, tuple[str, str], Sequence[Location], str], None]
"""Called when a request begins to send, with its operation, the requester, the receiver's name and address, the
objects, and the trace."""


class Through(Protocol):
    """Fetches studies that only other archives have."""

    def is_for(self, calling_ae_title: str) -> bool:
        """Whether it fetches for this peer."""

    async def bring(self, study: str, trace: str) -> Lack:
        """Wait until a study is here. Returns what is lacking."""


class MoveRecord(Protocol):
    """The record of one C-MOVE on the log."""

    async def end(self) -> None:
        """The move is over, and its final response is next: record what was not taken. Never raises."""

    def leave(self) -> None:
        """The move is aborted, unless it has ended: what was not taken is left to others. Returns at once."""


MoveBegins = Callable[[Request, Peer, Query, Sequence[Location], Counters], Awaitable[MoveRecord | None]]
"""Called before the first sub-operation of a C-MOVE; None if it is not recorded."""
Destinations = Callable[[str, str], Peer | None]
"""(destination AE title, our AE title) to the peer to connect to; None if the destination is not configured."""


async def unrecorded(*_: object) -> MoveRecord | None:
    """`MoveBegins` for a process that records no moves."""
    return None


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
            # `request.cancelled` shows that the association has ended: sub-operations under way end by themselves, and
            # the destination's answers to them are counted.
            with suppress(AssociationAborted):
                await self._request.respond(PENDING, extra=self._counters.elements(with_remaining=True))


class RetrieveService:
    """C-GET and C-MOVE SCP."""

    def __init__(
        self,
        abilities: Abilities,
        index: Locating,
        mover: Mover,
        destinations: Destinations,
        clock: Clock,
        metrics: Metrics,
        gets_originals: Callable[[str], bool] = lambda _: False,
        accessed: Callable[[str], None] = lambda _: None,
        delivered: Delivered = lambda *_: None,
        begins: Begins = lambda *_: None,
        move_begins: MoveBegins = unrecorded,
        through: Through | None = None,
    ) -> None:
        """`gets_originals` takes an AE title: whether it gets objects without corrections. `accessed` is called, once a
        request, with the UID of each study of which something may have been sent; `begins` before anything is sent, and
        `delivered` with the outcome. `through` fetches what only other archives have."""
        self._through = through
        self._begins = begins
        self._move_begins = move_begins
        self._accessed = accessed
        self._delivered = delivered
        self.abilities = abilities
        self._index = index
        self._mover = mover
        self._destinations = destinations
        self._clock = clock
        self._metrics = metrics
        self._settings = mover.settings
        self._gets_originals = gets_originals

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
            await request.fail(UNRECOGNISED_OPERATION, "only C-GET and C-MOVE are served in this context")
            return
        query = select(request.context.abstract_syntax, request.data, request.context.transfer_syntax)
        lack = await self._fetched(request, query)
        if lack is None:
            await self._cancelled(request)
            return
        locations = await self._locate(query)
        receiver = request.association.calling_ae_title if peer is None else peer.called_ae_title
        if self._gets_originals(receiver):
            locations = as_stored(locations)
        counters = Counters(len(locations), failed=lack.instances, why=lack.why[:64])
        association = request.association
        at = (receiver, association.peer_address if peer is None else peer.host)
        over = "C-GET" if peer is None else "C-MOVE"
        self._begins(over, association.calling_ae_title, at, locations, association.trace)
        record = None
        try:
            if peer is None:
                await self._get(request, locations, counters)
            else:
                record = await self._move_begins(request, peer, query, locations, counters)
                await self._move(request, peer, locations, counters)
            await self._conclude(request, locations, counters, record)
        finally:
            if record is not None:
                record.leave()
            self._delivered(over, association.calling_ae_title, at, locations, counters, association.trace)

    async def _fetched(self, request: Request, query: Query) -> Lack | None:
        """Wait for what is fetched from other archives. Returns what is lacking; None if the request was cancelled
        meanwhile (the fetch continues)."""
        if self._through is None or not self._through.is_for(request.association.calling_ae_title):
            return NOTHING
        lacking, why = 0, ""
        for study in studies_of(query):
            lack = await self._alive(request, self._through.bring(study, request.association.trace))
            if lack is None:
                return None
            lacking, why = lacking + lack.instances, why or lack.why
        return Lack(lacking, why)

    async def _cancelled(self, request: Request) -> None:
        """PS3.4 C.4.2.1.5, C.4.3.1.4: sub-operations terminated due to Cancel, before the first one."""
        operation = "C-MOVE" if request.command.field == CommandField.C_MOVE_RQ else "C-GET"
        self._metrics.retrieve_requests.labels(operation, f"{CANCELLED:04X}").inc()
        await request.respond(CANCELLED, extra=Counters(1).elements(with_remaining=True))

    async def _alive(self, request: Request, work: Coroutine[Any, Any, Lack]) -> Lack | None:
        """Wait for a study. PS3.4 C.4.2.3.1: pending responses keep the requester from timing out; at least one
        sub-operation is still to come."""
        fetching = asyncio.create_task(work)
        reported_at = self._clock.monotonic()
        try:
            while not request.cancelled:
                done, _ = await asyncio.wait((fetching,), timeout=_CANCELLED_SECONDS)
                if done:
                    return fetching.result()
                if request.cancelled or self._clock.monotonic() - reported_at < self._settings.alive_every:
                    continue
                reported_at = self._clock.monotonic()
                with suppress(AssociationAborted):
                    await request.respond(PENDING, extra=Counters(1).elements(with_remaining=True))
            return None
        finally:
            fetching.cancel()

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

        async with self._mover.sub_operations.over(request.association) as transfer:
            await transfer.send(locations, done, lambda: not request.cancelled)
            counters.why = counters.why or transfer.why

    async def _move(self, request: Request, peer: Peer, locations: list[Location], counters: Counters) -> None:
        progress = _Progress(request, counters, self._clock, self._settings.pending_every)
        originator: dict[int, Value] = {
            Element.MOVE_ORIGINATOR_AE_TITLE: request.association.calling_ae_title,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: request.command.message_id,
        }
        job = MoveJob(
            counters,
            is_wanted=lambda: not request.cancelled,
            progressed=progress.tell,
            is_open=lambda: request.association.is_open,
            originator=originator,
        )
        await self._mover.move(peer, locations, job)

    async def _conclude(
        self, request: Request, locations: Sequence[Location], counters: Counters, record: MoveRecord | None
    ) -> None:
        if not request.cancelled:
            count_the_rest(locations, counters)
        status = CANCELLED if request.cancelled and counters.remaining else counters.final_status
        elements = counters.elements(with_remaining=status == CANCELLED)
        if counters.failed and counters.why:
            # PS3.7 annex C.4: the requester gets the reason, and need not ask an operator with access to our log.
            elements[Element.ERROR_COMMENT] = counters.why
        failed = None
        if counters.failed_uids and status != SUCCESS:
            # PS3.4 C.4.2.1.4.2: the identifier of a response that is not a success.
            failed = encode_identifier(
                {FAILED_SOP_INSTANCE_UID_LIST: counters.failed_uids}, request.context.transfer_syntax
            )
        operation = "C-MOVE" if request.command.field == CommandField.C_MOVE_RQ else "C-GET"
        self._metrics.retrieve_requests.labels(operation, f"{status:04X}").inc()
        count_suboperations(self._metrics, operation, counters)
        if counters.completed or counters.warning:
            for study in {location.study_instance_uid for location in locations}:
                self._accessed(study)
        if record is not None:
            await record.end()
        await request.respond(status, failed, elements)


def count_suboperations(metrics: Metrics, operation: str, counters: Counters) -> None:
    """Add the counters of a finished request to the metrics."""
    metrics.suboperation_bytes.labels(operation).inc(counters.sent_bytes)
    metrics.suboperations.labels(operation, "completed").inc(counters.completed)
    metrics.suboperations.labels(operation, "failed").inc(counters.failed)
    metrics.suboperations.labels(operation, "warning").inc(counters.warning)
