"""The interface between a service and the network.

`receive` is called when a data set begins, while its bytes still arrive, and `perform` when the message is complete.
The service answers through the `Request`. An exception becomes a failure status for this message only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gantry.common.dimse import Command, message_pdus, response_to
from gantry.common.dimse.command import Element, Value
from gantry.common.net.association import Association
from gantry.common.net.sinks import MemorySink, Sink
from gantry.common.statuses import PENDING
from gantry.common.ul import Abilities, AcceptedContext


class Service(Protocol):
    """A service class provider."""

    @property
    def abilities(self) -> Abilities:
        """The abstract syntaxes that the service serves, with transfer syntaxes and roles."""

    def receive(self, request: Request) -> Sink:
        """The sink for the data set of this request."""

    async def perform(self, request: Request) -> None:
        """Perform the request and respond. `request.sink` is the sink from `receive`, filled; None if the message has
        no data set."""


class Request:
    """One request message of the peer, and the way to answer it."""

    __slots__ = ("_pending_command", "association", "cancelled", "command", "context", "sink", "status", "withdrawn")

    def __init__(self, association: Association, context: AcceptedContext, command: Command) -> None:
        self.association = association
        self.context = context
        self.command = command
        self.sink: Sink | None = None
        self.cancelled = False
        """Set when the peer sent C-CANCEL (PS3.7 9.3.2.3) or the association ended: stop, and answer FE00H."""
        self.withdrawn = False
        """Set when the peer sent C-CANCEL: it wants no more responses."""
        self.status: int | None = None
        """The status of the last response that was sent; None before the first."""
        self._pending_command: tuple[int, bytes] | None = None

    @property
    def data(self) -> bytes:
        """The data set, if `receive` returned a `MemorySink`; else empty."""
        return bytes(self.sink.data) if isinstance(self.sink, MemorySink) else b""

    async def respond(self, status: int, data: bytes | None = None, extra: Mapping[int, Value] | None = None) -> None:
        """Send a response. Raises `AssociationAborted` if the association has ended."""
        await self.association.send(self.context.id, response_to(self.command, status, extra), data)
        self.status = status
        comment = "" if extra is None else str(extra.get(Element.ERROR_COMMENT, ""))
        self.association.tally.answered(self.command.field, status, comment)

    async def fail(self, status: int, comment: str, offending: tuple[int, ...] = ()) -> None:
        """Send a final response with an Error Comment (at most 64 characters) and the offending elements."""
        extra: dict[int, Value] = {Element.ERROR_COMMENT: comment}
        if offending:
            extra[Element.OFFENDING_ELEMENT] = offending
        await self.respond(status, extra=extra)

    async def respond_pending(self, data_sets: Sequence[bytes], status: int = PENDING) -> None:
        """Send many pending responses with identifiers at once; returns when the kernel has taken them."""
        if self._pending_command is None or self._pending_command[0] != status:
            self._pending_command = status, response_to(self.command, status).encode(data_set=True)
        command = self._pending_command[1]
        limit = self.association.peer_max_pdu
        cid = self.context.id
        await self.association.send_pdus(b"".join([message_pdus(cid, command, data, limit) for data in data_sets]))
