"""A door in shadow mode, between our archive and another one with arbitrary answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import SystemClock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import MODALITY_WORKLIST_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.net import MemorySink, Peer, Request, connect, scu
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability, AssociateAccept, ContextResult
from gantry.common.ul.pdu import decode_request, encode_accept
from gantry.services.frontdoor.dimse import DimseDoor
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.shadow.shadowing import Shadow
from gantry.services.frontdoor.sides import GantrySide, OtherSide
from tests.integration.common.net.conftest import FAST, eventually
from tests.integration.services.frontdoor.behind import behind
from tests.integration.services.frontdoor.open_door import LIMITS
from tests.support.wire import CT, EXPLICIT, IMPLICIT, USER_ABORT, VERIFICATION

TRUSTING = replace(FAST, proxy_from=(ip_network("127.0.0.0/8"),))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@dataclass
class ShadowDoor:
    """`peer` is whom a peer calls."""

    shadow: Shadow
    metrics: Metrics
    port: int

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", "TEST")

    def counted(self, metric: str, *labels: str) -> float:
        family = getattr(self.metrics, metric)
        return float(family.labels(*labels)._value.get())


@asynccontextmanager
async def shadow_door(
    folder: Path, ours: int, other: int, tls: ssl.SSLContext | None = None, is_open: bool = True, **settings: object
) -> AsyncIterator[ShadowDoor]:
    """`ours` and `other` are ports of this machine; with `tls` the other one is called. It is there with its spool,
    where `is_open`."""
    metrics, clock = Metrics(), SystemClock()
    fields = {"dimse": f"127.0.0.1:{other}", "timeout": 1.0, "connect_timeout": 0.5, "again_after": 0.2, **settings}
    shadow = ShadowSettings.model_validate(fields)
    archive = behind({Pool.MIXED: [ours]}, metrics, shadow=shadow)
    archive.shadow = Shadow(
        shadow,
        GantrySide(archive, {CT}, shadow, clock),
        OtherSide(shadow, None if tls is None else lambda: tls),
        {CT},
        lambda: open_file_store(folder),
        clock,
        metrics,
    )
    door = DimseDoor(lambda *_: archive, {CT}, LIMITS, None, clock, metrics)
    sock = listen("127.0.0.1", 0, 64)
    acceptor = Acceptor(sock, door.take, door.failed, trusted=(), deadline=LIMITS.artim)
    task = asyncio.create_task(archive.shadow.run()) if shadow.spool is not None else None
    try:
        if archive.shadow.spool is not None and is_open:
            await eventually(lambda: archive.shadow is not None and archive.shadow.spool.is_open)  # type: ignore[union-attr]
        yield ShadowDoor(archive.shadow, metrics, sock.getsockname()[1])
    finally:
        acceptor.close()
        await end_tasks(task)
        await door.close()
        await archive.close()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[int]:
    """The port of another archive that does with each connection what `talk` does."""
    writers: list[asyncio.StreamWriter] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await talk(reader, writer)
        except OSError:
            return

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept whatever is proposed, each context with its first transfer syntax."""
    head = await reader.readexactly(6)
    request = decode_request(head + await reader.readexactly(int.from_bytes(head[2:], "big")))
    results = tuple(ContextResult(context.id, 0, context.transfer_syntaxes[0]) for context in request.contexts)
    titles = request.called_ae_title, request.calling_ae_title
    writer.write(encode_accept(AssociateAccept(*titles, 16384, "1.2.3", results=results)))


async def command_of(reader: asyncio.StreamReader) -> tuple[int, Command]:
    """The next message of one PDU: its context, and its command."""
    head = await reader.readexactly(6)
    body = await reader.readexactly(int.from_bytes(head[2:], "big"))
    length = int.from_bytes(body[:4], "big")
    return body[4], Command.decode(body[6 : 4 + length])


class Getter:
    """C-GET of the Study Root, which sends the same objects for every question."""

    def __init__(self, **objects: bytes) -> None:
        self.abilities = {STUDY_ROOT_GET: Ability()}
        self.objects = {uid[1:].replace("_", "."): data for uid, data in objects.items()}

    def receive(self, request: Request) -> MemorySink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        association = request.association
        context = association.context_for(CT)
        assert context is not None
        for uid, data in self.objects.items():
            command = Command(
                {
                    Element.AFFECTED_SOP_CLASS_UID: CT,
                    Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
                    Element.MESSAGE_ID: association.next_message_id(),
                    Element.PRIORITY: 0,
                    Element.AFFECTED_SOP_INSTANCE_UID: uid,
                }
            )
            await association.request(context.id, command, data)
            await request.respond(0xFF00)
        await request.respond(0)


class Lister:
    """C-FIND of the worklist over steps: their Study Instance UIDs by their IDs."""

    def __init__(self, **steps: str) -> None:
        self.abilities = {MODALITY_WORKLIST_FIND: Ability()}
        self.steps = steps
        self.asked = 0

    def receive(self, request: Request) -> MemorySink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        self.asked += 1
        syntax = request.context.transfer_syntax
        await request.respond_pending(
            [
                encode_identifier({0x0020000D: [uid], 0x00400100: [{0x00400009: [name]}]}, syntax)
                for name, uid in self.steps.items()
            ]
        )
        await request.respond(0)


class Finder:
    """C-FIND at the STUDY level over studies by UID, with a description; `delay` in seconds."""

    def __init__(self, **studies: str) -> None:
        self.abilities = {STUDY_ROOT_FIND: Ability()}
        self.studies = {uid[1:].replace("_", "."): description for uid, description in studies.items()}
        self.asked = 0

    def receive(self, request: Request) -> MemorySink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        self.asked += 1
        syntax = request.context.transfer_syntax
        await request.respond_pending(
            [
                encode_identifier({0x00080052: ["STUDY"], 0x0020000D: [uid], 0x00081030: [description]}, syntax)
                for uid, description in self.studies.items()
            ]
        )
        await request.respond(0)


CONTEXTS = [(CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)), (STUDY_ROOT_FIND, (IMPLICIT,))]
QUESTION = encode_identifier({0x00080052: ["STUDY"], 0x0020000D: [], 0x00081030: []}, IMPLICIT)
ENOUGH = 3.0
"""Seconds within which a peer is served, whatever the other archive does."""


class Bytes:
    """A data set of so many bytes."""

    def __init__(self, length: int) -> None:
        self.left = length

    async def readinto(self, buffers: list[memoryview]) -> int:
        filled = 0
        for buffer in buffers:
            count = min(len(buffer), self.left)
            self.left -= count
            filled += count
        return filled

    async def close(self) -> None: ...


async def a_day_of(peer: Peer, objects: int = 2, length: int = 100_000) -> list[int]:
    """What a peer hears of an echo, some objects and a question."""
    async with asyncio.timeout(ENOUGH), connect(peer, CONTEXTS) as association:
        heard = [await scu.echo(association)]
        context = scu.need_context(association, CT)
        for number in range(objects):
            heard.append((await scu.store(association, context, f"1.2.{number + 1}", Bytes(length), length)).status)
        async for response, _ in scu.find(association, STUDY_ROOT_FIND, QUESTION):
            heard.append(response.status)
        return heard


DAY = [0, 0, 0, 0xFF00, 0]


# ---- what the other archive may do


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def aborts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await command_of(reader)
    writer.write(USER_ABORT)


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    while await reader.read(65536):
        pass
