"""One association, in either role: its peer, our own requests, and its end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

from gantry.common.access import AdmittedUser
from gantry.common.dimse import Command, CommandField
from gantry.common.dimse.command import Element
from gantry.common.errors import AssociationAborted, PeerTimeout
from gantry.common.net.connection import Connection
from gantry.common.net.outgoing import MessageWriter, Staged
from gantry.common.net.responses import Answer, Inbox, Responses
from gantry.common.net.sinks import Source
from gantry.common.net.tally import AssociationTally
from gantry.common.statuses import is_pending
from gantry.common.ul import AcceptedContext


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
        window: int = 1,
        is_requestor: bool = False,
        trace: str = "",
        user: AdmittedUser | None = None,
    ) -> None:
        """`user` is the user that the peer named and that was identified (PS3.7 D.3.3.7); None without one."""
        self.user = user
        self.connection = connection
        self.calling_ae_title = calling
        self.called_ae_title = called
        self.contexts = contexts
        self.peer_max_pdu = peer_max_pdu
        self.is_requestor = is_requestor
        self.trace = trace
        self.peer_address = connection.peer_address
        self.peer_speaks_tls = connection.peer_speaks_tls
        self.peer_certificate = connection.peer_certificate
        self.ended: asyncio.Event = connection.lost
        self.outcome = ""
        self.window = window
        self._outgoing = MessageWriter(connection, peer_max_pdu)
        self._message_ids = itertools.cycle(range(1, 65536))
        self._responses = Responses()
        self._released = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.tally = AssociationTally(self._loop.time())

    # ---- state

    @property
    def is_open(self) -> bool:
        """Whether messages may still be exchanged."""
        return self.connection.is_open and self.connection.ul.may_send

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

    # ---- sending

    async def send(self, context_id: int, command: Command, data: bytes | None = None) -> None:
        """Send a message that is in memory."""
        await self._outgoing.message(context_id, command, data)

    async def send_pdus(self, pdus: bytes) -> None:
        """Send whole messages that are encoded as PDUs; returns when the kernel has accepted them."""
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
            self.abort("the peer accepts no data")  # a partly sent message cannot be withdrawn
            raise PeerTimeout(f"the peer accepted no data for {timeout:g} s") from None

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
        if self.connection.ul.may_release:  # if the peer has requested the release already, we only answer
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
