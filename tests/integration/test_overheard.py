"""`tests.support.overheard`: a failure that names a patient is noticed by each client, whether or not it is read."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.common.hl7.mllp import MllpDecoder, framed
from gantry.common.net import Peer, connect
from tests.support import overheard
from tests.support.preloaded import IMPORTS, run_gantry
from tests.support.pynetdicom_peers import Scp, associated

FIND = str(StudyRootQueryRetrieveInformationModelFind)


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    overheard.listen()
    yield
    overheard.noted()


@asynccontextmanager
async def answering(status: int, text: str, **headers: str) -> AsyncIterator[str]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def by_urllib(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            response.read()
    except urllib.error.HTTPError as error:
        error.read()


async def test_an_answer_over_http_that_fails_is_heard_and_one_that_does_not_is_not() -> None:
    async with aiohttp.ClientSession() as client:
        async with answering(400, "Doe^Jane is no date") as url:
            async with client.get(url) as response:
                assert response.status == 400
            assert len(overheard.noted()) == 1
            await asyncio.to_thread(by_urllib, url)
            assert len(overheard.noted()) == 1
        async with answering(200, "Doe^Jane", Warning="299 gantry Doe%5EJane") as url:
            async with client.get(url) as response:
                await response.read()
            await asyncio.to_thread(by_urllib, url)
            assert ["header Warning" in note for note in overheard.noted()] == [True, True]
        async with answering(200, "Doe^Jane") as url:
            async with client.get(url) as response:
                await response.read()
            await asyncio.to_thread(by_urllib, url)
            assert overheard.noted() == []


def refuse(_: evt.Event) -> Iterator[tuple[Dataset, None]]:
    status = Dataset()
    status.Status, status.ErrorComment = 0xC000, "Doe^Jane is not found"
    yield status, None


async def test_an_error_comment_is_heard_by_our_client_and_by_pynetdicoms() -> None:
    with Scp("REFUSES", handlers=[(evt.EVT_C_FIND, refuse)], contexts=[FIND, str(Verification)]) as scp:
        peer = Peer("127.0.0.1", scp.port, "REFUSES", "TEST_SCU")
        async with connect(peer, [(FIND, BOTH)]) as association:
            _, status, _ = await find_all(association, FIND, identifier("STUDY", ["PatientID"]), timeout=30.0)
        assert status == 0xC000
        assert "Error Comment" in overheard.noted()[0]

        def ask() -> None:
            query = Dataset()
            query.QueryRetrieveLevel, query.PatientID = "STUDY", ""
            with associated(peer, [(FIND, BOTH)]) as other:
                assert [response.Status for response, _ in other.send_c_find(query, FIND)] == [0xC000]

        await asyncio.to_thread(ask)
        assert "Error Comment" in overheard.noted()[0]


def test_an_acknowledgement_is_heard_and_its_codes_are_no_names() -> None:
    for text, heard in (("DOE^JANE is unknown", 1), ("a patient is unknown", 0)):
        decoder = MllpDecoder(10_000)
        error = f"ERR||PID^1^5|204^Unknown key identifier^HL70357|E|||{text}|{text}"
        decoder.receive(framed(f"MSH|^~\\&|A|B|RIS|HOSPITAL|||ACK|1|P|2.5\rMSA|AE|1\r{error}\r".encode()))
        decoder.next()
        assert len(overheard.noted()) == heard


def test_what_a_command_says_is_heard(tmp_path: Path) -> None:
    run_gantry(["verify", "--config", "Doe^Jane"], {"PYTHONPATH": IMPORTS}, tmp_path, timeout=30)
    assert "gantry verify" in overheard.noted()[0]
