"""Decodes the messages of an association from the bytes forwarded in both directions. Pure: time is an argument.

Nothing is answered or sent here. Bytes that cannot be decoded end the decoding (`broken`), never the association. Bytes
of messages are held only while the `Room` has room; with a spool, data sets of C-STORE go there beyond half of the
room, so that there is room for other requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

from gantry.common.dimse import Assembler, Command, CommandField, CommandReceived, DataReceived, DimseError, name_of
from gantry.common.statuses import is_pending
from gantry.common.ul import (
    Aborted,
    Accepted,
    AcceptedContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Indication,
    PduLimits,
    Rejected,
    ReleaseRequested,
    UpperLayer,
)
from gantry.common.ul.negotiation import accepted_by_peer
from gantry.common.ul.upper_layer import WORKSPACE

_workspace = memoryview(bytearray(WORKSPACE))
"""Shared by all: its bytes are consumed before the next are fed."""
# The two sides have agreed on a limit, and no length allocates memory here: accept any.
_LIMITS = PduLimits(max_pdu_length=0xFFFFFFFF, max_associate_length=1 << 20)

TOO_LONG = "too_long"
TOO_MANY = "too_many"
CANCELLED = "cancelled"
NOT_MIRRORED = "not_mirrored"
SPOOL_FULL = "spool_full"
STORE = "C-STORE"
Objects = dict[str, tuple[str, bytes]]
"""Transfer syntax and digest of the data set, by SOP Instance UID."""
_REQUEST_BYTES, _ANSWER_BYTES = 1024, 256
"""Approximate bytes that a request and its answer hold beside their data sets."""


class Room:
    """The bytes that one association may hold at once, within the bytes of all together."""

    def __init__(self, most: int, within: Room | None = None) -> None:
        self.most = most
        self.used = 0
        self._within = within

    def take(self, count: int) -> bool:
        """Take `count` bytes; False if there is no room for them."""
        if self.used + count > self.most or (self._within is not None and not self._within.take(count)):
            return False
        self.used += count
        return True

    def has(self, count: int, most: int) -> bool:
        """Whether `count` more bytes have room, and stay within `most`."""
        return self.used + count <= most and (self._within is None or self._within.has(count, self._within.most))

    def give(self, count: int) -> None:
        """Release bytes; does nothing after `close`, which has released them."""
        count = min(count, self.used)
        self.used -= count
        if self._within is not None:
            self._within.give(count)

    def close(self) -> None:
        """Release all bytes."""
        self.give(self.used)
        self.most = 0


class Spilled(Protocol):
    """A data set that goes to a spool. Its methods neither raise nor wait. `why` is the reason if it is not in the
    spool, else ""."""

    @property
    def why(self) -> str: ...

    def write(self, data: bytes | bytearray, room: Room | None = None) -> bool:
        """Write the next bytes; False if there is no room. Bytes that were held in `room` are released there."""

    def finish(self, exchange: Exchange) -> None:
        """The data set is complete, and its request is answered."""

    def drop(self, why: str) -> None:
        """Discard the data set."""


@dataclass(eq=False, slots=True)
class Exchange:
    """One request of the peer, and its answer. Times in seconds of a monotonic clock."""

    operation: str
    command: Command
    context: AcceptedContext
    context_number: int
    """The index of its context among the proposed ones, from 0."""
    number: int = 0
    """The index of the request in the association, from 0."""
    spilled: Spilled | None = None
    """Its data set, if that is not in `data`."""
    data: bytearray = field(default_factory=bytearray)
    why_not: str = ""
    """Why it is not compared; "" if it is."""
    asked_at: float = 0.0
    answered_at: float = 0.0
    status: int | None = None
    final: Command | None = None
    """The final response."""
    answers: list[bytearray] = field(default_factory=list)
    objects: Objects = field(default_factory=dict)
    """The objects that C-GET has sent (PS3.4 C.4.3)."""
    held: int = 0
    """Bytes of the `Room` that it holds."""

    @property
    def seconds(self) -> float:
        """How long the answer took, from the end of the request to the final response."""
        return max(0.0, self.answered_at - self.asked_at)


class PassingDigest:
    """Digests one forwarded object without holding it."""

    __slots__ = ("_hash", "sop_instance_uid", "transfer_syntax_uid")

    def __init__(self, sop_instance_uid: str, transfer_syntax_uid: str) -> None:
        self.sop_instance_uid = sop_instance_uid[:64]
        self.transfer_syntax_uid = transfer_syntax_uid
        self._hash = blake2b(digest_size=16)

    def add(self, views: Iterable[memoryview]) -> None:
        """The next bytes of its data set."""
        for view in views:
            self._hash.update(view)

    def put_into(self, objects: Objects) -> None:
        """The object is complete: add its digest to `objects`."""
        objects[self.sop_instance_uid] = self.transfer_syntax_uid, self._hash.digest()


class Overheard:
    """Decodes one association. `take_requests` takes the bytes from the peer, beginning with its A-ASSOCIATE-RQ,
    `take_responses` those for the peer."""

    def __init__(
        self,
        request: AssociateRequest,
        is_mirrored: Callable[[str, str], bool],
        room: Room,
        spill: Callable[[Exchange], Spilled | None] | None = None,
    ) -> None:
        """`is_mirrored` is called with the operation and the abstract syntax; `spill`, if given, begins an object in a
        spool, and returns None if that is full."""
        self.request = request
        self.accept: AssociateAccept | None = None
        self.reject: AssociateReject | None = None
        self.broken = ""
        """Why decoding has ended; "" until then."""
        self.fell_behind = False
        """Whether a message had no room, because other messages wait."""
        self._is_mirrored = is_mirrored
        self._room = room
        self._spill = spill
        self._holds_none = False
        self._number = 0
        self._peer = UpperLayer(requestor=False, limits=_LIMITS, workspace=_workspace)
        self._peer.connected()
        self._archive = UpperLayer(requestor=True, limits=_LIMITS, workspace=_workspace)
        self._archive.request(request)
        self._contexts: dict[int, AcceptedContext] = {}
        self._numbers = {context.id: number for number, context in enumerate(request.contexts)}
        self._messages = Assembler(self._contexts.keys())
        self._responses = Assembler(self._contexts.keys())
        self._asking: Exchange | None = None
        self._answering: Exchange | None = None
        self._sent: tuple[Exchange, PassingDigest] | None = None
        self._open: dict[int, Exchange] = {}

    def take_requests(self, data: memoryview, now: float) -> list[Exchange]:
        """The requests that are complete now, in the peer's order."""
        whole: list[Exchange] = []
        for indication in self._followed(self._peer, data):
            if isinstance(indication, ReleaseRequested) and self._archive.may_release:
                self._archive.release()
            elif isinstance(indication, list):
                self._take(self._messages, indication, lambda message: self._request(message, now, whole))
        return whole

    def take_responses(self, data: memoryview, now: float) -> list[Exchange]:
        """The requests whose final response is complete now."""
        whole: list[Exchange] = []
        for indication in self._followed(self._archive, data):
            if isinstance(indication, Accepted):
                self._accepted(indication.accept)
            elif isinstance(indication, Rejected):
                self.reject = indication.reject
            elif isinstance(indication, list):
                self._take(self._responses, indication, lambda message: self._response(message, now, whole))
        return whole

    def done_with(self, exchange: Exchange) -> None:
        """Release the bytes of a request."""
        self._room.give(exchange.held)
        exchange.held = 0
        exchange.data = bytearray()
        exchange.answers = []
        exchange.objects = {}

    def put_off(self, waiting: Iterable[Exchange]) -> None:
        """Move the waiting data sets of C-STORE to the spool; later ones go there, too."""
        self._holds_none = True
        for exchange in (*waiting, self._asking):
            if exchange is None or exchange.operation != STORE or exchange.why_not or exchange.spilled is not None:
                continue
            if exchange.command.has_data_set and self._spills(exchange, 0) and exchange.final is not None:
                self._finish(exchange)

    @property
    def contexts(self) -> dict[int, AcceptedContext]:
        """The accepted contexts by id; empty before the A-ASSOCIATE-AC."""
        return self._contexts

    # ---- bytes to messages

    def _followed(self, ul: UpperLayer, data: memoryview) -> Iterable[Indication | list[Fragment]]:
        """The indications in order, with fragments grouped. They are views of the workspace, valid until the next."""
        while data and not self.broken:
            room = ul.get_buffer()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            data = data[count:]
            fragments: list[Fragment] = []
            for indication in ul.received(count):
                if isinstance(indication, Fragment):
                    fragments.append(indication)
                    continue
                if fragments:
                    yield fragments
                    fragments = []
                if isinstance(indication, Aborted):
                    self.broken = "aborted" if indication.by_peer else "not followed"
                yield indication
            if fragments:
                yield fragments
            ul.take_output()

    def _take(
        self,
        assembler: Assembler,
        fragments: list[Fragment],
        handle: Callable[[CommandReceived | DataReceived], None],
    ) -> None:
        try:
            for message in assembler.feed(fragments):
                handle(message)
        except DimseError:
            self.broken = "not followed"

    def _accepted(self, accept: AssociateAccept) -> None:
        self.accept = accept
        self._contexts.update(accepted_by_peer(self.request, accept.results, accept.roles, accept.extended))
        if self._peer.owes_answer:
            self._peer.accept(accept)
            self._peer.take_output()
        else:
            self.broken = "not followed"

    # ---- what the peer asks

    def _request(self, message: CommandReceived | DataReceived, now: float, whole: list[Exchange]) -> None:
        if isinstance(message, CommandReceived):
            self._asking = self._begun(message)
            if self._asking is not None and not message.command.has_data_set:
                self._complete_request(self._asking, now, whole)
            return
        asking = self._asking
        if asking is None:
            return  # the data set of a response, or of a request that is not decoded
        self._hold(asking, message.views, asking.data)
        if message.is_end:
            self._complete_request(asking, now, whole)

    def _begun(self, message: CommandReceived) -> Exchange | None:
        command = message.command
        if command.is_response:
            return None
        if command.field == CommandField.C_CANCEL_RQ:
            withdrawn = self._open.get(command.responds_to)
            if withdrawn is not None:
                self._not_compared(withdrawn, CANCELLED)
            return None
        context = self._contexts[message.context_id]
        operation = name_of(command.field)
        exchange = Exchange(operation, command, context, self._numbers[context.id], self._number)
        self._number += 1
        if not self._is_mirrored(operation, context.abstract_syntax):
            exchange.why_not = NOT_MIRRORED
        else:
            texts = sum(len(value) for value in command.elements.values() if isinstance(value, str))
            self._take_head(exchange, _REQUEST_BYTES + texts)
        return exchange

    def _complete_request(self, exchange: Exchange, now: float, whole: list[Exchange]) -> None:
        self._asking = None
        exchange.asked_at = now
        whole.append(exchange)
        if exchange.why_not != NOT_MIRRORED:
            self._open[exchange.command.message_id] = exchange

    # ---- what it is answered

    def _response(self, message: CommandReceived | DataReceived, now: float, whole: list[Exchange]) -> None:
        if isinstance(message, DataReceived):
            if self._sent is not None:
                getting, digest = self._sent
                digest.add(message.views)
                if message.is_end:
                    self._sent = None
                    digest.put_into(getting.objects)
                return
            answering = self._answering
            if answering is None:
                return
            if not answering.why_not:
                self._hold(answering, message.views, answering.answers[-1])
            if message.is_end:
                self._answering = None
            return
        command = message.command
        self._answering = None
        if not command.is_response:
            self._sent = self._sub_operation(message)
            return
        exchange = self._open.get(command.responds_to)
        if exchange is None:
            return
        if is_pending(command.status):
            if command.has_data_set:
                self._answering = exchange
                if not exchange.why_not and self._take_room(exchange, _ANSWER_BYTES):
                    exchange.answers.append(bytearray())
            return
        del self._open[command.responds_to]
        exchange.status, exchange.answered_at, exchange.final = command.status, now, command
        self._finish(exchange)
        whole.append(exchange)

    def _sub_operation(self, message: CommandReceived) -> tuple[Exchange, PassingDigest] | None:
        """The C-GET in progress, and the digest of the object that the archive sends for it."""
        command = message.command
        if command.field != CommandField.C_STORE_RQ or not command.has_data_set:
            return None
        for exchange in self._open.values():
            if exchange.operation == "C-GET" and not exchange.why_not and self._take_room(exchange, _ANSWER_BYTES):
                syntax = self._contexts[message.context_id].transfer_syntax
                return exchange, PassingDigest(command.sop_instance_uid, syntax)
        return None

    # ---- room

    def _hold(self, exchange: Exchange, views: Iterable[memoryview], into: bytearray) -> None:
        is_request = into is exchange.data
        for view in views:
            if exchange.why_not:
                return
            if is_request and self._spills(exchange, len(view)):
                self._write(exchange, bytes(view))
            elif exchange.why_not or not self._take_room(exchange, len(view)):
                return
            else:
                into += view

    def _spills(self, exchange: Exchange, count: int) -> bool:
        """Whether the next bytes of a request go to the spool; bytes held before are moved there first."""
        if exchange.spilled is not None:
            return True
        if self._spill is None or exchange.operation != STORE or exchange.why_not:
            return False
        if not self._holds_none and self._room.has(count, self._room.most // 2):
            return False
        exchange.spilled = self._spill(exchange)
        if exchange.spilled is None:
            if self._holds_none or not self._room.has(count, self._room.most):
                self._not_compared(exchange, SPOOL_FULL)
            return False
        held, exchange.data = exchange.data, bytearray()
        if held:
            exchange.held -= len(held)
            self._write(exchange, held, self._room)
        return True

    def _write(self, exchange: Exchange, data: bytes | bytearray, room: Room | None = None) -> None:
        assert exchange.spilled is not None
        if not exchange.why_not and not exchange.spilled.write(data, room):
            self._not_compared(exchange, exchange.spilled.why)

    def _finish(self, exchange: Exchange) -> None:
        """A spilled request is complete and answered."""
        if exchange.spilled is not None and not exchange.why_not:
            exchange.spilled.finish(exchange)

    def _take_head(self, exchange: Exchange, count: int) -> None:
        """Take room for a request without its data set. A C-STORE without room is not lost: it goes to the spool."""
        if self._spill is None or exchange.operation != STORE or self._room.has(count, self._room.most):
            self._take_room(exchange, count)
        else:
            self.fell_behind = True

    def _take_room(self, exchange: Exchange, count: int) -> bool:
        if self._room.take(count):
            exchange.held += count
            return True
        if self._room.used > exchange.held:
            self.fell_behind = True
        self._not_compared(exchange, TOO_MANY if exchange.asked_at else TOO_LONG)
        return False

    def _not_compared(self, exchange: Exchange, why: str) -> None:
        exchange.why_not = exchange.why_not or why
        if exchange.spilled is not None:
            exchange.spilled.drop(why)
        self._room.give(exchange.held)
        exchange.held = 0
        exchange.data = bytearray()
        exchange.answers = []
