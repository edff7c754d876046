"""How an archive is asked what a peer asked: associations of our own, with the AE title of the peer.

All raise a `PeerError`; what holds too much raises `AnswersTooLong`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import PeerError
from gantry.common.net.association import Association
from gantry.common.net.client import Peer, associate
from gantry.common.net.proxy import Origin
from gantry.common.statuses import is_pending
from gantry.common.ul import AcceptedContext, AssociateRequest
from gantry.services.frontdoor.shadow.overhearing import Exchange, Room

_MOST_CONTEXTS = 128
_ANSWER_BYTES = 256


class AnswersTooLong(PeerError):
    """An archive answers more than there is room for."""


class Side(Protocol):
    """One of the two archives. `name` is `gantry` or `other`."""

    name: str

    def peer(self, request: AssociateRequest, origin: Origin) -> Peer:
        """Where it takes an association like this one. Raises `ConnectionFailed`."""


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


class Likeness:
    """An association like the peer's: the contexts that it proposed, and beside each that has several transfer syntaxes
    one with the syntax that was agreed with the archive that answers. What was agreed with the one can so be asked of
    the other, whatever it prefers."""

    def __init__(self, request: AssociateRequest, accepted: Mapping[int, AcceptedContext]) -> None:
        self._request = request
        proposed = request.contexts[:_MOST_CONTEXTS]
        self.contexts = [(one.abstract_syntax, one.transfer_syntaxes) for one in proposed]
        self._beside: dict[int, int] = {}
        for number, context in enumerate(proposed):
            agreed = accepted.get(context.id)
            if agreed is not None and len(context.transfer_syntaxes) > 1 and len(self.contexts) < _MOST_CONTEXTS:
                self._beside[number] = len(self.contexts)
                self.contexts.append((context.abstract_syntax, (agreed.transfer_syntax,)))

    async def open(self, peer: Peer) -> Association:
        """The association. Raises a `PeerError`."""
        return await associate(peer, self.contexts, roles=self._request.roles, extended=self._request.extended)

    def accepted(self, association: Association) -> dict[int, AcceptedContext]:
        """What was accepted of the peer's own proposal, by the peer's ids."""
        found = {}
        for number, context in enumerate(self._request.contexts[:_MOST_CONTEXTS]):
            accepted = association.contexts.get(_id(number))
            if accepted is not None:
                found[context.id] = accepted
        return found

    def context(self, association: Association, exchange: Exchange) -> AcceptedContext | None:
        """The context in which a request can be asked as it is; None where there is none."""
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
) -> tuple[int, list[bytes]]:
    """Ask again what was asked: the final status, and the identifiers of the matches. `timeout` is for each response,
    in seconds. What the answer holds is given back to `room` here: the caller holds it for a moment only."""
    again = Command({**command.elements, Element.MESSAGE_ID: association.next_message_id()})
    if command.field == CommandField.C_STORE_RQ:
        source = _InMemory(data)
        response = await association.store(context.id, again, source, len(data), timeout=timeout)
        return response.status, []
    matches: list[bytes] = []
    held = 0
    try:
        payload = bytes(data) if command.has_data_set else None
        async for response, identifier in association.exchange(
            lambda: association.send(context.id, again, payload), again, timeout
        ):
            if not is_pending(response.status):
                return response.status, matches
            if not room.take(len(identifier) + _ANSWER_BYTES):
                raise AnswersTooLong("more matches than there is room for")
            held += len(identifier) + _ANSWER_BYTES
            matches.append(identifier)
        raise AnswersTooLong("no final response")
    finally:
        room.give(held)
