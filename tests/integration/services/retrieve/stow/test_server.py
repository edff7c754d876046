"""Objects go to web servers that behave and that do not: what was taken is known of each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydicom import dcmread

from gantry.common.config.web_destination_sections import WebDestinationSettings
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.common.errors import ConfigError
from gantry.common.ports.index import Location
from gantry.services.retrieve.dimse.moving import MoveJob
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.stow.server import WebDestination
from tests.support.certificates import Authority
from tests.support.objects import data_set, file_bytes, sample
from tests.support.ports import free_port
from tests.support.retrieval import Stored
from tests.support.stow_server import Posted, StowServer, stow_server


@pytest.fixture
async def server() -> AsyncIterator[StowServer]:
    async with stow_server() as fixture:
        yield fixture


async def keep(stored: Stored, count: int) -> tuple[list[Location], dict[str, bytes]]:
    files = [file_bytes(data_set(study="1.2", series="1.2.3", instance=f"1.2.3.{n}")) for n in range(count)]
    return [await stored.keep(file) for file in files], {f"1.2.3.{n}": file for n, file in enumerate(files)}


def settings(port: int, **more: Any) -> WebDestinationSettings:
    fields = {"name": "CLOUD", "url": f"http://127.0.0.1:{port}/dicom-web/", "plain": True, "response_timeout": 5.0}
    return WebDestinationSettings.model_validate(fields | more)


async def sent(
    stored: Stored, to: WebDestinationSettings, locations: list[Location], **more: Any
) -> tuple[Counters, str]:
    counters = Counters(len(locations))
    job = MoveJob(counters, more.pop("is_wanted", lambda: True), _nobody_waits, **more)
    words = await WebDestination(to, stored.openings).send(locations, job)
    return counters, words


async def _nobody_waits() -> None:
    return None


async def test_objects_arrive_as_they_are_stored_a_few_in_each_request(stored: Stored, server: StowServer) -> None:
    locations, files = await keep(stored, 7)
    counters, words = await sent(stored, settings(server.port, most=3), locations)
    assert (counters.completed, counters.failed, counters.why, words) == (7, 0, "", "")
    assert server.kept == files
    assert [len(request.parts) for request in server.posted] == [3, 3, 1]
    assert {request.path for request in server.posted} == {"/dicom-web/studies"}
    assert {kind for request in server.posted for kind, _ in request.parts} == {"application/dicom"}
    assert all("Transfer-Encoding" not in request.headers for request in server.posted)


async def test_a_request_is_no_longer_than_it_may_be_and_a_long_object_goes_alone(
    stored: Stored, server: StowServer
) -> None:
    locations, _ = await keep(stored, 4)
    size = locations[0].data_set_length
    await sent(stored, settings(server.port, max_request=int(size * 2.9)), locations)
    assert [len(request.parts) for request in server.posted] == [2, 2]
    server.posted.clear()
    await sent(stored, settings(server.port, max_request=1), locations)
    assert [len(request.parts) for request in server.posted] == [1, 1, 1, 1]


async def test_what_a_server_does_not_take_fails_alone(stored: Stored, server: StowServer) -> None:
    locations, _ = await keep(stored, 4)
    server.refuses = {"1.2.3.1": 0xA900}
    counters, words = await sent(stored, settings(server.port), locations)
    assert (counters.completed, counters.failed_uids, counters.why, words) == (3, ["1.2.3.1"], "", "A900H")


@pytest.mark.parametrize("status", [400, 413, 415])
async def test_one_object_for_which_a_whole_request_is_refused_stops_no_other(
    status: int, stored: Stored, server: StowServer
) -> None:
    locations, files = await keep(stored, 6)
    before = StowServer()

    def answer(posted: Posted) -> Any:
        return web.Response(status=status) if "1.2.3.2" in posted.uids else taken(posted)

    def taken(posted: Posted) -> Any:
        before.kept.update(zip(posted.uids, (content for _, content in posted.parts), strict=True))
        items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in posted.uids]
        return web.json_response({"00081199": {"vr": "SQ", "Value": items}})

    server.answer = answer
    counters, words = await sent(stored, settings(server.port, most=4), locations)
    assert (counters.completed, counters.failed_uids, words) == (5, ["1.2.3.2"], f"answered {status}")
    assert before.kept.keys() == files.keys() - {"1.2.3.2"}
    assert [len(request.parts) for request in server.posted] == [4, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (500, "no", "answered 500"),
        (401, "", "answered 401: is the token"),
        (200, "<html>please log in</html>", "answered 200, and what it says is no DICOM JSON"),
        (200, "x" * (9 << 20), "its answer is too long"),
    ],
    ids=["500", "401", "rubbish", "too much"],
)
async def test_a_server_that_does_not_serve_is_asked_once(
    status: int, text: str, words: str, stored: Stored, server: StowServer
) -> None:
    locations, _ = await keep(stored, 4)
    server.answer = lambda _: web.Response(status=status, text=text)
    counters, _ = await sent(stored, settings(server.port, most=2), locations)
    assert counters.why.startswith("CLOUD ")
    assert words in counters.why
    assert (counters.taken, counters.failed, len(server.posted)) == ([], 0, 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int, stored: Stored, server: StowServer) -> None:
    locations, _ = await keep(stored, 1)
    async with stow_server() as other:
        where = {"Location": f"http://127.0.0.1:{other.port}/dicom-web/studies"}
        server.answer = lambda _: web.Response(status=status, headers=where)
        counters, _ = await sent(stored, settings(server.port), locations)
        assert other.posted == []
    assert f"answered {status}: redirects are not followed" in counters.why


async def test_a_server_that_hangs_or_does_not_read_is_left_after_a_time(stored: Stored, server: StowServer) -> None:
    locations, _ = await keep(stored, 1)

    async def hang(_: object) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    server.unread = hang
    counters, _ = await sent(stored, settings(server.port, response_timeout=0.9, least_rate=1 << 20), locations)
    assert counters.why == "CLOUD has not answered after 1 s"
    # Of what is longer than all buffers between us, nothing is read.
    long = await stored.keep(file_bytes(data_set(instance="1.9", PixelData=bytes(32 << 20))))
    more = {"response_timeout": 0.3, "least_rate": 1 << 30}
    async with asyncio.timeout(10):
        counters, _ = await sent(stored, settings(server.port, **more), [long])
    assert "has not answered" in counters.why


async def test_a_server_that_is_not_there_and_one_that_hangs_up_are_away(stored: Stored, server: StowServer) -> None:
    locations, _ = await keep(stored, 2)
    counters, _ = await sent(stored, settings(free_port()), locations)
    assert counters.why.startswith("CLOUD cannot be reached: ")

    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.unread = hang_up
    counters, _ = await sent(stored, settings(server.port), locations)
    assert counters.why.startswith("CLOUD cannot be reached: ")
    assert counters.taken == []


async def test_a_damaged_object_fails_alone_and_what_was_with_it_arrives(
    stored: Stored, server: StowServer, tmp_path: Path
) -> None:
    locations, files = await keep(stored, 2)
    long = file_bytes(data_set(study="1.2", series="1.2.3", instance="1.2.3.9", PixelData=bytes(70 << 20)))
    damaged = await stored.keep(long)
    (place,) = (path for path in (tmp_path / "objects").rglob("*") if path.is_file() and path.stat().st_size > 64 << 20)
    with place.open("r+b") as file:
        file.seek(60 << 20)
        file.write(b"damage")
    order = [locations[0], damaged, locations[1]]
    counters, _ = await sent(stored, settings(server.port, max_request=1 << 30), order)
    assert (counters.completed, counters.failed_uids, counters.why) == (2, ["1.2.3.9"], "")
    assert server.kept == files


async def test_what_is_not_wanted_any_more_is_not_sent(stored: Stored, server: StowServer) -> None:
    locations, _ = await keep(stored, 4)
    counters, _ = await sent(stored, settings(server.port, most=2), locations, is_wanted=lambda: not server.posted)
    assert (counters.completed, counters.remaining, len(server.posted)) == (2, 2, 1)


async def test_a_named_transfer_syntax_is_what_everything_is_sent_in(
    stored: Stored, server: StowServer, tmp_path: Path
) -> None:
    compressed = sample(tmp_path / "in", "MR_small_RLE.dcm")
    location = await stored.keep(compressed.path.read_bytes())
    counters, _ = await sent(stored, settings(server.port, transfer_syntax=EXPLICIT_LITTLE_ENDIAN), [location])
    assert counters.completed == 1, counters
    (tmp_path / "came").write_bytes(server.kept[compressed.sop_instance_uid])
    came = dcmread(tmp_path / "came")
    assert came.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE_ENDIAN
    assert len(came.PixelData) == came.Rows * came.Columns * 2


async def test_the_token_goes_along_and_is_read_for_every_study(
    stored: Stored, server: StowServer, tmp_path: Path
) -> None:
    locations, _ = await keep(stored, 1)
    token = tmp_path / "token"
    to = settings(server.port, token_file=token)
    with pytest.raises(ConfigError, match="CLOUD: its files cannot be used"):
        WebDestination(to, stored.openings).check()
    for value in ("first", "second"):
        token.write_text(f"{value}\n")
        await sent(stored, to, locations)
    assert [request.headers["Authorization"] for request in server.posted] == ["Bearer first", "Bearer second"]
    token.write_text("two\nlines")
    counters, _ = await sent(stored, to, locations)
    assert counters.why == f"CLOUD: {token} holds no bearer token"
    assert len(server.posted) == 2


async def test_over_https_both_sides_show_who_they_are(stored: Stored, tmp_path: Path) -> None:
    locations, files = await keep(stored, 1)
    ours, theirs = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    at_server, at_client = theirs.sign("server"), ours.sign("client")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(at_server.certificate, at_server.key)
    tls.load_verify_locations(ours.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with stow_server(tls=tls) as server:
        to = {"url": f"https://127.0.0.1:{server.port}", "plain": False}
        mine = {"cert_file": at_client.certificate, "key_file": at_client.key}
        for credentials in ({"ca_file": ours.ca, **mine}, mine, {"ca_file": theirs.ca}):
            counters, _ = await sent(stored, settings(0, **to, **credentials), locations)
            assert counters.why.startswith("CLOUD cannot be reached"), credentials
        assert server.posted == []
        counters, _ = await sent(stored, settings(0, **to, ca_file=theirs.ca, **mine), locations)
        assert (counters.completed, counters.why) == (1, "")
        assert server.kept == files
