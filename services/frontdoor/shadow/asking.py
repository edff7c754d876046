"""Repeats the requests of a peer at an archive, on our own associations with the AE title of the peer.

All functions raise a `PeerError`; too many matches raise `AnswersTooLong`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import PeerError
from gantry.common.net.association import Association
from gantry.common.net.client import Peer, associate
from gantry.common.net.proxy import Origin
from gantry.common.net.service import Request
from gantry.common.statuses import OUT_OF_RESOURCES, SUCCESS, is_pending
from gantry.common.ul import Ability, AcceptedContext, AssociateRequest
from gantry.services.frontdoor.shadow.overhearing import Exchange, Objects, PassingDigest, Room

_MOST_CONTEXTS = 128
_ANSWER_BYTES = 256


class AnswersTooLong(PeerError):
    """An archive answered more than there is room for."""


class ComparedArchive(Protocol):
    """One of the two archives. `name` is `gantry` or `other`."""

    name: str

    def peer(self, request: AssociateRequest, origin: Origin) -> Peer:
        """The address for an association like this one. Raises `ConnectionFailed`."""


class _InMemory:
    """A data set in memory as a source."""

    def __init__(self, data: bytearray) -> None:
        self._data = memoryview(data)

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        filled = 0
        for buffer in buffers:
            count = min(len(buffer), len(self._data))
            buffer[:count] = self._data[:count]
            self._data = self._data[count:]
            filled += count
        return filled

    async def close(self) -> None:
        return None


class Receiver:
    """Receives the objects of a C-GET, and retains only their digests."""

    def __init__(self, contexts: Iterable[str], room: Room) -> None:
        self.abilities = dict.fromkeys(contexts, Ability())
        self.objects: Objects = {}
        self._room = room

    def clear(self) -> None:
        """Forget all digests."""
        self._room.give(len(self.objects) * _ANSWER_BYTES)
        self.objects = {}

    def receive(self, request: Request) -> DigestSink:
        """The sink for an object."""
        return DigestSink(PassingDigest(request.command.sop_instance_uid, request.context.transfer_syntax))

    async def perform(self, request: Request) -> None:
        """An object is complete."""
        if isinstance(request.sink, DigestSink):
            known = request.sink.digest.sop_instance_uid in self.objects
            if not known and not self._room.take(_ANSWER_BYTES):
                await request.fail(OUT_OF_RESOURCES, "too many objects to compare")
                return
            request.sink.digest.put_into(self.objects)
        await request.respond(SUCCESS)


class DigestSink:
    """Digests the data set of one object."""

    def __init__(self, digest: PassingDigest) -> None:
        self.digest = digest

    def write(self, views: Sequence[memoryview]) -> bool:
        self.digest.add(views)
        return True

    async def ready(self) -> None:
        return None

    async def discard(self) -> None:
        return None


class Likeness:
    """An association like the peer's. It proposes the peer's contexts, and for each with several transfer syntaxes a
    second context with only the syntax that the answering archive accepted, so that both archives can use the same
    one."""

    def __init__(self, request: AssociateRequest, accepted: Mapping[int, AcceptedContext], room: Room) -> None:
        self._request = request
        self.receiver = Receiver([role.sop_class_uid for role in request.roles if role.scp], room)
        proposed = request.contexts[:_MOST_CONTEXTS]
        self.contexts = [(context.abstract_syntax, context.transfer_syntaxes) for context in proposed]
        self._beside: dict[int, int] = {}
        for number, context in enumerate(proposed):
            agreed = accepted.get(context.id)
            if agreed is not None and len(context.transfer_syntaxes) > 1 and len(self.contexts) < _MOST_CONTEXTS:
                self._beside[number] = len(self.contexts)
                self.contexts.append((context.abstract_syntax, (agreed.transfer_syntax,)))

    async def open(self, peer: Peer) -> Association:
        """Open the association; `receiver` gets the objects. Raises a `PeerError`."""
        request = self._request
        services = [self.receiver] if self.receiver.abilities else []
        return await associate(peer, self.contexts, roles=request.roles, extended=request.extended, services=services)

    def accepted(self, association: Association) -> dict[int, AcceptedContext]:
        """The accepted contexts of the peer's own proposal, by the peer's ids."""
        contexts = {}
        for number, context in enumerate(self._request.contexts[:_MOST_CONTEXTS]):
            accepted = association.contexts.get(_id(number))
            if accepted is not None:
                contexts[context.id] = accepted
        return contexts

    def context(self, association: Association, exchange: Exchange) -> AcceptedContext | None:
        """The context in which a request can be repeated unchanged; None without one."""
        for number in (exchange.context_number, self._beside.get(exchange.context_number)):
            accepted = association.contexts.get(_id(number)) if number is not None else None
            if accepted is not None and (
                accepted.transfer_syntax == exchange.context.transfer_syntax or accepted.abstract_syntax == VERIFICATION
            ):
                return accepted
        return None


def _id(number: int) -> int:
    return 2 * number + 1


async def ask(
    association: Association,
    context: AcceptedContext,
    command: Command,
    data: bytearray,
    room: Room,
    timeout: float,
) -> tuple[Command, list[bytes]]:
    """Repeat a request. Returns the final response, and the identifiers of the matches. `timeout` is in seconds, for
    each response. The matches take `size_of` bytes of `room` until the caller releases them or closes the room, which
    it must do after an error."""
    again = Command({**command.elements, Element.MESSAGE_ID: association.next_message_id()})
    if command.field == CommandField.C_STORE_RQ:
        source = _InMemory(data)
        response = await association.store(context.id, again, source, len(data), timeout=timeout)
        return response, []
    matches: list[bytes] = []
    payload = bytes(data) if command.has_data_set else None
    async for response, identifier in association.exchange(
        lambda: association.send(context.id, again, payload), again, timeout
    ):
        if not is_pending(response.status):
            return response, matches
        if command.field == CommandField.C_GET_RQ:
            continue
        if not room.take(len(identifier) + _ANSWER_BYTES):
            raise AnswersTooLong("more matches than there is room for")
        matches.append(identifier)
    raise AnswersTooLong("no final response")


def size_of(matches: Sequence[bytes]) -> int:
    """The bytes that matches hold."""
    return sum(len(match) + _ANSWER_BYTES for match in matches)
