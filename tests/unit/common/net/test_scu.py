"""What we ask of peers: the commands of PS3.7 9 and 10, seen by an association that only writes them down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import ContextNotAccepted
from gantry.common.net import scu
from gantry.common.ul import AcceptedContext

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


class Peer:
    """Accepts the given abstract syntaxes, in contexts 1, 3, …"""

    def __init__(self, *abstract_syntaxes: str) -> None:
        self.contexts = {
            2 * n + 1: SimpleNamespace(id=2 * n + 1, abstract_syntax=uid) for n, uid in enumerate(abstract_syntaxes)
        }
        self.sent: list[tuple[int, Command, Any]] = []
        self.ids = iter(range(1, 100))

    def next_message_id(self) -> int:
        return next(self.ids)

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> Any:
        return next((cx for cx in self.contexts.values() if cx.abstract_syntax == abstract_syntax), None)

    async def request(self, context: int, command: Command, data: bytes = b"", *, timeout: float) -> tuple[Any, bytes]:
        self.sent.append((context, command, data))
        return SimpleNamespace(status=0x0122), b""

    async def store(self, context: int, command: Command, source: Any, length: int, *, timeout: float) -> Any:
        self.sent.append((context, command, length))
        return SimpleNamespace(status=0xB000)

    async def send(self, context: int, command: Command, data: bytes) -> None:
        self.sent.append((context, command, data))

    async def exchange(self, send: Callable[[], Any], command: Command, timeout: float) -> AsyncIterator[Any]:
        await send()
        for status in (0xFF00, 0xFF00, 0x0000):
            yield SimpleNamespace(status=status), b""


async def test_an_echo_is_a_c_echo_whose_status_is_a_result() -> None:
    peer = Peer(CT, VERIFICATION)
    assert await scu.echo(peer) == 0x0122  # type: ignore[arg-type]
    ((context, command, _),) = peer.sent
    assert context == 3
    assert command.elements == {
        Element.AFFECTED_SOP_CLASS_UID: VERIFICATION,
        Element.COMMAND_FIELD: 0x0030,
        Element.MESSAGE_ID: 1,
    }


async def test_a_store_names_the_class_of_its_context_and_the_instance() -> None:
    peer = Peer(CT)
    context: AcceptedContext = peer.contexts[1]  # type: ignore[assignment]
    response = await scu.store(peer, context, "1.2.3", iter(()), 10)  # type: ignore[arg-type]
    assert response.status == 0xB000
    command = peer.sent[0][1].elements
    assert command[Element.COMMAND_FIELD] == CommandField.C_STORE_RQ == 0x0001
    assert command[Element.AFFECTED_SOP_CLASS_UID] == CT
    assert command[Element.AFFECTED_SOP_INSTANCE_UID] == "1.2.3"
    assert command[Element.PRIORITY] == 0  # medium


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda peer: scu.find(peer, FIND, b"id"), 0x0020),
        (lambda peer: scu.get(peer, FIND, b"id"), 0x0010),
        (lambda peer: scu.move(peer, FIND, b"id", "DEST"), 0x0021),
    ],
    ids=["find", "get", "move"],
)
async def test_a_query_gives_every_response_the_final_one_last(ask: Callable[[Any], Any], field: int) -> None:
    peer = Peer(FIND)
    statuses = [response.status async for response, _ in ask(peer)]
    assert statuses == [0xFF00, 0xFF00, 0x0000]
    ((_, command, identifier),) = peer.sent
    assert identifier == b"id"
    assert command.elements[Element.COMMAND_FIELD] == field
    assert (Element.MOVE_DESTINATION in command.elements) is (field == 0x0021)


async def test_commitment_is_asked_for_with_action_1_of_the_well_known_instance() -> None:
    """PS3.4 J.3.2."""
    peer = Peer(COMMITMENT)
    await scu.request_commitment(peer, b"info")  # type: ignore[arg-type]
    assert peer.sent[0][1].elements == {
        Element.REQUESTED_SOP_CLASS_UID: COMMITMENT,
        Element.COMMAND_FIELD: 0x0130,
        Element.MESSAGE_ID: 1,
        Element.REQUESTED_SOP_INSTANCE_UID: COMMITMENT_INSTANCE,
        Element.ACTION_TYPE_ID: 1,
    }


async def test_commitment_is_reported_as_an_event_of_the_well_known_instance() -> None:
    """PS3.4 J.3.3."""
    peer = Peer(COMMITMENT)
    await scu.report_commitment(peer, 2, b"info")  # type: ignore[arg-type]
    assert peer.sent[0][1].elements == {
        Element.AFFECTED_SOP_CLASS_UID: COMMITMENT,
        Element.COMMAND_FIELD: 0x0100,
        Element.MESSAGE_ID: 1,
        Element.AFFECTED_SOP_INSTANCE_UID: COMMITMENT_INSTANCE,
        Element.EVENT_TYPE_ID: 2,
    }


async def test_without_a_context_nothing_is_sent() -> None:
    peer: Any = Peer()
    with pytest.raises(ContextNotAccepted):
        await scu.echo(peer)
    with pytest.raises(ContextNotAccepted):
        await scu.report_commitment(peer, 1, b"")
    with pytest.raises(ContextNotAccepted):
        await anext(scu.find(peer, FIND, b""))
    assert peer.sent == []
