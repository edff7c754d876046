"""One archive for all bad inputs of a module; after each of them it has to be as well as before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from gantry.common.dimse import Command, CommandField, Element
from gantry.common.dimse.command import Value
from gantry.common.net import connect, scu
from tests.support.archive import RunningArchive
from tests.support.asking import find_matches, is_well
from tests.support.elements import Made
from tests.support.objects import data_set, write
from tests.support.ports import free_port

EXPLICIT = "1.2.840.10008.1.2.1"
PER_PEER, TOGETHER = 12, 16
MAX_OBJECT = 8 << 20

_SETTINGS = {
    "GANTRY_DIMSE__ARTIM": "1",
    "GANTRY_DIMSE__PDU_DEADLINE": "2",
    "GANTRY_HTTP__STALL": "2",
    "GANTRY_DIMSE__MAX_ASSOCIATIONS": str(TOGETHER),
    "GANTRY_DIMSE__MAX_ASSOCIATIONS_PER_PEER": str(PER_PEER),
    "GANTRY_DIMSE__MAX_OBJECT": str(MAX_OBJECT),
    "GANTRY_RETRIEVE__RETRY_DELAY": "0.1",
    "GANTRY_RETRIEVE__CONNECT_TIMEOUT": "3",
    "GANTRY_RETRIEVE__ASSOCIATE_TIMEOUT": "1",
    "GANTRY_RETRIEVE__RESPONSE_TIMEOUT": "5",
    "GANTRY_COMMITMENT__IN_FLIGHT_DEADLINE": "1",
}


class Target(RunningArchive):
    """A running archive with one move destination, DEST, at `destination_port`."""

    destination_port = 0

    async def put(
        self, made: Made, syntax: str = EXPLICIT, *, instance: str = "", sop_class: str = "", context: str = ""
    ) -> int:
        """The status of a C-STORE of `made`, under other UIDs in the command where they are given."""
        response = await self.put_bytes(
            made.data, instance or made.instance, sop_class or made.sop_class, context or made.sop_class, syntax
        )
        return response.status

    async def put_bytes(self, data: bytes, instance: str, sop_class: str, context: str, syntax: str) -> Command:
        async with connect(self.peer, [(context, (syntax,))]) as association:
            elements: dict[int, Value] = {
                Element.AFFECTED_SOP_CLASS_UID: sop_class,
                Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
                Element.MESSAGE_ID: 1,
                Element.PRIORITY: 0,
                Element.AFFECTED_SOP_INSTANCE_UID: instance,
            }
            response, _ = await association.request(
                scu.need_context(association, context).id, Command(elements), data, timeout=60.0
            )
        return response

    async def is_found(self, made: Made, *keys: str, seconds: float = 30.0) -> bool:
        """Whether the study becomes searchable by its UID."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            if await find_matches(self.peer, "STUDY", f"StudyInstanceUID={made.study}", *keys):
                return True
            await asyncio.sleep(0.05)
        return False


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    peer = f"{{ae_title: DEST, host: 127.0.0.1, port: {port}, move_destination: true, may: [echo]}}"
    archive = Target(tmp_path_factory.mktemp("archive"), peers=[peer])
    archive.destination_port = port
    archive.start(env=_SETTINGS)
    yield archive
    archive.kill()


@pytest.fixture(autouse=True)
async def the_archive_stays_well(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[None]:
    """After each bad input: the process is the same, others are served, nothing unexpected happened inside."""
    assert target.process is not None
    pid = target.process.pid
    yield
    assert target.alive
    assert target.process.pid == pid
    folder = target.folder / "well"
    await is_well(target.peer, write(folder, data_set()))
    for word in ("Traceback", "request failed", "receiving failed", "background work failed", "dead letter"):
        assert word not in target.log.read_text(), word


class Raw:
    """A connection without any manners."""

    def __init__(self, target: Target, source: str = "127.0.0.1") -> None:
        self._target = target
        self._source = source

    async def __aenter__(self) -> Raw:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._target.port, local_addr=(self._source, 0)
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.writer.close()

    async def send(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
        except ConnectionError:
            return

    async def pdu(self, seconds: float = 30.0) -> bytes:
        """The next PDU."""
        async with asyncio.timeout(seconds):
            head = await self.reader.readexactly(6)
            return head + await self.reader.readexactly(int.from_bytes(head[2:6], "big"))

    async def rest(self, seconds: float = 30.0) -> bytes:
        """All that still comes until the archive closes."""
        got = bytearray()
        async with asyncio.timeout(seconds):
            try:
                while piece := await self.reader.read(65536):
                    got += piece
            except ConnectionError:
                pass
        return bytes(got)


def pdus(data: bytes) -> Sequence[int]:
    """The types of the PDUs in `data`."""
    types, pos = [], 0
    while pos + 6 <= len(data):
        types.append(data[pos])
        pos += 6 + int.from_bytes(data[pos + 2 : pos + 6], "big")
    return types
