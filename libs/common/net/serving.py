"""An association on which the peer's requests are performed, in either role.

Each message is handled in a task of its own, as many at once as the asynchronous operations window allows. By then the
service's sink has received the bytes of its data set, as they arrived.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from gantry.common.access import AdmittedUser
from gantry.common.dimse import Assembler, Command, CommandField, CommandReceived, DataReceived, DimseError, name_of
from gantry.common.dimse.command import Element
from gantry.common.errors import AssociationAborted, GantryError, IdentifierError, TooLarge
from gantry.common.net.association import Association
from gantry.common.net.background import spawn
from gantry.common.net.connection import Connection
from gantry.common.net.observing import AssociationObserver
from gantry.common.net.service import Request, Service
from gantry.common.net.sinks import MemorySink, Sink
from gantry.common.statuses import PROCESSING_FAILURE, UNRECOGNISED_OPERATION
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.spans import Tracer
from gantry.common.telemetry.traces import child_of
from gantry.common.ul import Aborted, AcceptedContext, Fragment, Indication, PduError, Released, ReleaseRequested

logger = get_logger("net")


class ServingAssociation(Association):
    """An established association, with the services that perform what its peer requests."""

    def __init__(
        self,
        connection: Connection,
        *,
        calling: str,
        called: str,
        contexts: Mapping[int, AcceptedContext],
        peer_max_pdu: int,
        services: Mapping[str, Service],
        window: int = 1,
        max_command: int = 65536,
        is_requestor: bool = False,
        trace: str = "",
        tracer: Tracer | None = None,
        observer: AssociationObserver | None = None,
        user: AdmittedUser | None = None,
        pace: Callable[[int, int, float], float] | None = None,
    ) -> None:
        """`pace` limits how fast we read from the peer (`gantry.common.net.server_state.Pace`)."""
        super().__init__(
            connection,
            calling=calling,
            called=called,
            contexts=contexts,
            peer_max_pdu=peer_max_pdu,
            window=window,
            is_requestor=is_requestor,
            trace=trace,
            user=user,
        )
        self._pace = pace
        self._reading_again: asyncio.TimerHandle | None = None
        self._tracer = tracer
        self._services = services
        self._observer = observer
        self._assembler = Assembler(contexts.keys(), max_command)
        self._receiving: Request | None = None
        self._waiting: deque[Request] = deque()
        self._active: dict[Request, asyncio.Task[None]] = {}
        self._release_wanted = False
        self._refused = False

    # ---- state

    @property
    def is_idle(self) -> bool:
        """Whether no message is in progress in either direction."""
        busy = self._active or self._waiting or self._receiving or self._responses
        return not busy and self._assembler.between_messages

    @property
    def waits_for_peer(self) -> bool:
        """Whether it is the peer's turn: no message is in progress, or we are reading and the rest of one is due."""
        return self.is_idle or not (self.connection.is_paused or self._assembler.between_messages)

    # ---- what the connection tells

    def on_fragments(self, fragments: list[Fragment]) -> None:
        """The fragments of one read."""
        if self._refused:
            return  # received in the same segment, after the refused message
        requests = 0
        try:
            for message in self._assembler.feed(fragments):
                if type(message) is DataReceived:
                    self._take_data(message)
                elif type(message) is CommandReceived:
                    requests += not message.command.is_response
                    self._take_command(self.contexts[message.context_id], message.command)
        except DimseError as error:
            self._refuse(PduError(str(error), error.reason))
        except TooLarge as error:
            self._refuse(PduError(str(error), 0))
        except Exception:
            # A bug here must end only this association.
            logger.exception("receiving failed", peer=self.peer_ae_title)
            self._refuse(PduError("internal error", 0))
        if self._pace is not None:
            self._wait_for(self._pace, requests, sum(len(fragment.data) for fragment in fragments))

    def _wait_for(self, pace: Callable[[int, int, float], float], requests: int, octets: int) -> None:
        """Stop reading from a peer that exceeds its pace. What it has sent is received; its operations finish."""
        seconds = pace(requests, octets, self._loop.time())
        if seconds > 0:
            if self._reading_again is not None:
                self._reading_again.cancel()
            self.connection.pause("pace")
            self._reading_again = self._loop.call_later(seconds, self.connection.resume, "pace")

    def on_indication(self, indication: Indication) -> None:
        """Any indication other than fragments."""
        if isinstance(indication, ReleaseRequested):
            if self._refused:
                return
            if not self._assembler.between_messages:
                # PS3.8 9.2.3 allows no partial message: the peer broke off in the middle of one.
                self._refuse(PduError("release within a message", 2))
                return
            self._release_wanted = True
            self._answer_release()
        elif isinstance(indication, Released):
            self.outcome = "released"
            self._released.set()
        elif isinstance(indication, Aborted):
            self.outcome = self.outcome or ("aborted by peer" if indication.by_peer else f"lost: {indication.why}")

    def on_lost(self) -> None:
        """The connection has ended: discard a partly received data set, and wake every waiting caller."""
        self._released.set()
        if self._receiving is not None:
            self._discard(self._receiving)
            self._receiving = None
        for request in (*self._active, *self._waiting):
            request.cancelled = True
        while self._waiting:
            self._discard(self._waiting.popleft())
        self._responses.lost()
        if self._observer is not None:
            self._observer.closed(self, self.outcome or "lost")

    # ---- requests of the peer

    def _take_command(self, context: AcceptedContext, command: Command) -> None:
        if command.field == CommandField.C_CANCEL_RQ:
            for request in (*self._active, *self._waiting):
                if request.command.message_id == command.responds_to:
                    request.cancelled = request.withdrawn = True
            return
        if command.is_response:
            self._responses.take(command)
            return
        if Element.MESSAGE_ID not in command.elements:
            raise DimseError("request without Message ID")
        request = Request(self, context, command)
        if command.has_data_set:
            service = self._services.get(context.abstract_syntax)
            request.sink = service.receive(request) if service is not None else MemorySink()
            self._receiving = request
        else:
            self._queue(request)

    def _take_data(self, message: DataReceived) -> None:
        request = self._receiving
        if request is None or request.sink is None:
            self._responses.take_data(message)
            return
        if not request.sink.write(message.views) and not message.is_end:
            self.connection.pause("sink")
            spawn(self._resume_when_ready(request.sink))
        if message.is_end:
            self._receiving = None
            self._queue(request)

    async def _resume_when_ready(self, sink: Sink) -> None:
        try:
            await sink.ready()
        finally:
            self.connection.resume("sink")

    def _queue(self, request: Request) -> None:
        if len(self._active) < self.window:
            self._start(request)
            return
        self._waiting.append(request)
        # A peer that exceeds the window waits; C-CANCEL for active requests is still read first.
        if len(self._waiting) > self.window:
            self.connection.pause("window")

    def _start(self, request: Request) -> None:
        self._active[request] = self._loop.create_task(self._perform(request))

    async def _perform(self, request: Request) -> None:
        if self._tracer is None or not self._tracer.tells:
            await self._answer(request)
            return
        name = name_of(request.command.field) or "request"
        with self._tracer.span(name, child_of(self.trace), self.trace, calling=self.calling_ae_title) as fields:
            await self._answer(request)
            if request.status is not None:
                fields["status"] = f"{request.status:04X}"

    async def _answer(self, request: Request) -> None:
        started = self._loop.time()
        try:
            service = self._services.get(request.context.abstract_syntax)
            if service is None:
                await request.fail(UNRECOGNISED_OPERATION, "no service for this operation")
            else:
                await service.perform(request)
        except AssociationAborted:
            pass
        except IdentifierError as error:
            await self._fail(request, error.dicom_status, str(error), error.offending)
        except GantryError as error:
            await self._fail(request, error.dicom_status, str(error))
        except Exception:
            logger.exception("request failed", command=f"{request.command.field:#06x}", peer=self.peer_ae_title)
            await self._fail(request, PROCESSING_FAILURE, "internal error")
        finally:
            self._finished(request)
            if self._observer is not None:
                self._observer.message(self, request.command.field, self._loop.time() - started)

    async def _fail(self, request: Request, status: int, comment: str, offending: tuple[int, ...] = ()) -> None:
        try:
            await request.fail(status, comment, offending)
        except AssociationAborted:
            return

    def _finished(self, request: Request) -> None:
        self._active.pop(request, None)
        self.connection.touch()
        if self._waiting and len(self._active) < self.window:
            self._start(self._waiting.popleft())
        if len(self._waiting) <= self.window:
            self.connection.resume("window")
        self._answer_release()

    def _answer_release(self) -> None:
        if self._release_wanted and not self._active and not self._waiting:
            self._release_wanted = False
            # Bytes after the request, in the same segment, may have ended the association.
            if self.connection.is_open and self.connection.ul.owes_release:
                self.outcome = "released"
                self.connection.ul.answer_release()
                self.connection.flush()

    def _discard(self, request: Request) -> None:
        if request.sink is not None:
            spawn(request.sink.discard())

    def _refuse(self, error: PduError) -> None:
        self._refused = True
        self.outcome = self.outcome or f"aborted: {error}"
        self.connection.ul.refuse(error)
        self.connection.flush()
