"""One association, in either role: requests in, responses out, and requests of our own.

A message is handled in a task of its own, at most as many at once as the asynchronous operations window allows; by then
the bytes of its data set have gone to the service's sink, as they arrived.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

from gantry.common.access import AdmittedUser
from gantry.common.dimse import Assembler, Command, CommandField, CommandReceived, DataReceived, DimseError, name_of
from gantry.common.dimse.command import Element
from gantry.common.errors import AssociationAborted, GantryError, IdentifierError, PeerTimeout, TooLarge
from gantry.common.net.background import spawn
from gantry.common.net.connection import Connection
from gantry.common.net.observing import AssociationObserver
from gantry.common.net.outgoing import MessageWriter, Staged
from gantry.common.net.responses import Answer, Inbox, Responses
from gantry.common.net.service import MemorySink, Request, Service, Sink, Source
from gantry.common.net.tally import Tally
from gantry.common.statuses import PROCESSING_FAILURE, UNRECOGNISED_OPERATION, is_pending
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.spans import Tracer
from gantry.common.telemetry.traces import child_of
from gantry.common.ul import Aborted, AcceptedContext, Fragment, Indication, PduError, Released, ReleaseRequested

logger = get_logger("net")


class Association:
    """An established association. Send failures raise `AssociationAborted`."""

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
        """`user` is who asks on the association, where its peer names one and he was identified (PS3.7 D.3.3.7).
        `pace` is how fast its peer is read (`gantry.common.net.server.Pace`)."""
        self.user = user
        self._pace = pace
        self._reading_again: asyncio.TimerHandle | None = None
        self.connection = connection
        self.calling_ae_title = calling
        self.called_ae_title = called
        self.contexts = contexts
        self.peer_max_pdu = peer_max_pdu
        self.is_requestor = is_requestor
        self.trace = trace
        self._tracer = tracer
        self.peer_address = connection.peer_address
        self.peer_speaks_tls = connection.peer_speaks_tls
        self.peer_certificate = connection.peer_certificate
        self.ended: asyncio.Event = connection.lost
        self.outcome = ""
        self.window = window
        self._services = services
        self._observer = observer
        self._assembler = Assembler(contexts.keys(), max_command)
        self._receiving: Request | None = None
        self._waiting: deque[Request] = deque()
        self._active: dict[Request, asyncio.Task[None]] = {}
        self._outgoing = MessageWriter(connection, peer_max_pdu)
        self._message_ids = itertools.cycle(range(1, 65536))
        self._responses = Responses()
        self._release_wanted = False
        self._refused = False
        self._released = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.tally = Tally(self._loop.time())

    # ---- state

    @property
    def is_open(self) -> bool:
        """Whether messages may still be exchanged."""
        return self.connection.is_open and self.connection.ul.may_send

    @property
    def is_idle(self) -> bool:
        """Whether no message is in progress in either direction."""
        busy = self._active or self._waiting or self._receiving or self._responses
        return not busy and self._assembler.between_messages

    @property
    def waits_for_peer(self) -> bool:
        """Whether it is the peer's turn: no message is in progress, or the rest of one is due and we would read it."""
        return self.is_idle or not (self.connection.is_paused or self._assembler.between_messages)

    @property
    def peer_ae_title(self) -> str:
        """The other side's AE title."""
        return self.called_ae_title if self.is_requestor else self.calling_ae_title

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext | None:
        """A context in which we may be SCU of an abstract syntax, with `transfer_syntax` if given, or None."""
        for cx in self.contexts.values():
            ours = cx.requestor_is_scu if self.is_requestor else cx.requestor_is_scp
            if cx.abstract_syntax == abstract_syntax and ours and transfer_syntax in (None, cx.transfer_syntax):
                return cx
        return None

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
        """Read no more from a peer that is faster than it may be. What it sent is taken; its operations end."""
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
        with self._tracer.span(name, child_of(self.trace), self.trace, calling=self.calling_ae_title) as told:
            await self._answer(request)
            if request.status is not None:
                told["status"] = f"{request.status:04X}"

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

    # ---- sending

    async def send(self, context_id: int, command: Command, data: bytes | None = None) -> None:
        """Send a message that is in memory."""
        await self._outgoing.message(context_id, command, data)

    async def send_pdus(self, pdus: bytes) -> None:
        """Send whole messages that are PDUs already; returns when the kernel has taken them."""
        await self._outgoing.pdus(pdus)

    # ---- requests of our own

    def next_message_id(self) -> int:
        """A Message ID that is not in use."""
        return next(self._message_ids)

    @property
    def may_invoke(self) -> int:
        """How many of our requests may be outstanding at once (PS3.7 D.3.3.3)."""
        return self.window if self.is_requestor else 1

    async def request(
        self, context_id: int, command: Command, data: bytes | None = None, *, timeout: float = 60.0
    ) -> Answer:
        """Send a request and wait for its one response."""
        with self._expecting(command) as inbox:
            await self._within(timeout, self.send(context_id, command, data))
            return await self._next(inbox, timeout)

    async def stage(self, context_id: int, command: Command, source: Source, length: int) -> Staged:
        """Prepare a C-STORE request for sending: the beginning of its data set is read from the source. Raises
        `Corrupt` if the source is empty. The caller passes the result to `store_staged`, or closes it."""
        return await self._outgoing.stage(context_id, command, source, length)

    async def store_staged(self, staged: Staged, *, timeout: float = 60.0) -> Command:
        """Send a staged C-STORE request and wait for its response.

        `timeout` is in seconds, for each megabyte to be sent and for the response; `PeerTimeout` after it. A source
        that ends early raises `AssociationAborted` after an abort: a partly sent message cannot be withdrawn.
        """
        try:
            with self._expecting(staged.command) as inbox:
                await self._outgoing.staged(staged, timeout)
                return (await self._next(inbox, timeout))[0]
        finally:
            staged.close()

    async def store(
        self, context_id: int, command: Command, source: Source, length: int, *, timeout: float = 60.0
    ) -> Command:
        """Send a C-STORE request from a source and wait for its response; see `stage` and `store_staged`."""
        return await self.store_staged(await self.stage(context_id, command, source, length), timeout=timeout)

    async def exchange(
        self, send: Callable[[], Awaitable[None]], command: Command, timeout: float
    ) -> AsyncIterator[Answer]:
        """Send a request and yield its responses with their data sets, up to and including the final one.

        `timeout` is in seconds, for each response; `PeerTimeout` after it, `AssociationAborted` when the peer is gone.
        """
        with self._expecting(command) as inbox:
            await self._within(timeout, send())
            while True:
                answer = await self._next(inbox, timeout)
                yield answer
                if not is_pending(answer[0].status):
                    return

    async def _within(self, timeout: float, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(timeout):
                await sending
        except TimeoutError:
            self.abort("the peer takes nothing")  # a partly sent message cannot be withdrawn
            raise PeerTimeout(f"the peer took nothing for {timeout:g} s") from None

    @contextmanager
    def _expecting(self, command: Command) -> Iterator[Inbox]:
        if self.ended.is_set():
            raise AssociationAborted(f"the association has ended ({self.outcome or 'lost'})")
        with self._responses.expected(command.message_id) as inbox:
            yield inbox

    async def _next(self, inbox: Inbox, timeout: float) -> Answer:
        answer = await inbox.next(timeout)
        if answer is None:
            raise AssociationAborted(f"the association ended ({self.outcome or 'lost'})")
        return answer

    async def cancel(self, context_id: int, message_id: int) -> None:
        """Send C-CANCEL for one of our requests (PS3.7 9.3.2.3)."""
        command = Command(
            {
                Element.COMMAND_FIELD: int(CommandField.C_CANCEL_RQ),
                Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
            }
        )
        await self.send(context_id, command)

    # ---- the end

    async def release(self, timeout: float = 10.0) -> None:
        """Release the association; abort if the peer does not answer within `timeout` seconds."""
        if not self.is_open:
            return
        if self.connection.ul.may_release:  # if the peer has requested it already, we only answer
            self.connection.ul.release()
            self.connection.flush()
        try:
            await asyncio.wait_for(self._released.wait(), timeout)
        except TimeoutError:
            self.abort("the peer did not answer the release request")

    def abort(self, why: str) -> None:
        """Abort now (A-ABORT by the service user)."""
        self.outcome = self.outcome or f"aborted: {why}"
        self.connection.ul.abort()
        self.connection.flush()
