"""STOW-RS in shadow mode before real servers: what a caller stores is stored in the other archive, too, as it came."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gantry.common.runtime.backoff import Delays
from gantry.services.frontdoor.shadow import shadowing
from gantry.services.frontdoor.shadow.spooling.catching_up import MOST_TRIES
from tests.integration.common.net.conftest import eventually
from tests.integration.services.frontdoor.test_shadow_web import Opened, Shadowed, breaks_off, hangs, opened
from tests.support.ports import free_port

__all__ = ["opened"]
KIND = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowing, "DELAYS", Delays(first=0.05, longest=0.2))


def answered(*stored: str, status: int = 200, **failed: int) -> web.Response:
    sequences = {
        "00081199": [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored],
        "00081198": [
            {"00081155": {"vr": "UI", "Value": [uid[1:].replace("_", ".")]}, "00081197": {"vr": "US", "Value": [why]}}
            for uid, why in failed.items()
        ],
    }
    body = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/dicom+json")


class Taking:
    """A web server that takes what is stored, and answers as it is told."""

    def __init__(self, *stored: str, status: int = 200, **failed: int) -> None:
        self.said: tuple[tuple[str, ...], int, dict[str, int]] = stored, status, failed
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
        self.bodies.append(bytes(body))
        stored, status, failed = self.said
        return answered(*stored, status=status, **failed)


async def post(site: Shadowed, body: bytes, target: str = "studies", **headers: str) -> int:
    """Store, in pieces of no length that is told before."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    fields = {"Content-Type": KIND, "Authorization": "Bearer ours", **headers}
    async with (
        asyncio.timeout(5),
        site.session.post(f"/dicom-web/{target}", data=pieces(), headers=fields) as response,
    ):
        await response.read()
        return response.status


async def test_what_a_caller_stores_is_stored_in_the_other_one_as_it_came(opened: Opened) -> None:
    ours, theirs = Taking("1.1", "1.2"), Taking("1.1", "1.2")
    site = await opened(ours)
    site.old.answer = theirs
    body = bytes(range(256)) * 2000
    assert await post(site, body, "studies/1.2.3", Cookie="session=secret") == 200
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 1)
    assert (theirs.bodies, ours.bodies) == ([body], [body])
    assert site.old.asked[0][0] == "/pacs/studies/1.2.3"
    assert theirs.headers[0]["Content-Type"] == KIND
    assert theirs.headers[0]["Authorization"] == "Bearer theirs"
    assert "Cookie" not in theirs.headers[0]
    await eventually(lambda: site.room.used == 0)


async def test_what_only_one_of_them_stores_and_why_the_other_does_not_is_told(opened: Opened) -> None:
    ours, theirs = (
        Taking("1.1", status=202, _1_2=0xA900, _1_3=0x0110),
        Taking("1.2", status=202, _1_1=0xC000, _1_3=0xA700),
    )
    site = await opened(ours)
    site.old.answer = theirs
    assert await post(site, b"x") == 202
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "different") == 1)
    for kind in ("only_gantry", "only_other", "failures"):
        assert site.counted("shadow_differences", "STOW-RS", kind) == 1
    assert site.counted("shadow_differences", "STOW-RS", "status") == 0


@pytest.mark.parametrize("status", [401, 403, 413, 503])
async def test_what_gantry_does_not_take_from_a_caller_is_not_stored_elsewhere(opened: Opened, status: int) -> None:
    site = await opened(Taking(status=status))
    site.old.answer = Taking()
    assert await post(site, b"x") == status
    assert site.counted("shadow_not_mirrored", "STOW-RS") == 1
    await asyncio.sleep(0.1)
    assert site.old.asked == []
    assert site.room.used == 0


async def test_without_a_spool_what_is_too_long_is_given_up_and_the_caller_does_not_notice(opened: Opened) -> None:
    site = await opened(Taking("1.1"), memory=1)
    site.old.answer = Taking("1.1")
    assert await post(site, bytes(3_000_000)) == 200
    await eventually(lambda: site.counted("shadow_given_up", "too_long") == 1)
    assert (site.room.used, site.old.asked) == (0, [])


def is_empty(spool: Path) -> bool:
    """Whether no request lies there. Its folder may go while this looks: a glob would raise."""
    walk = os.walk(spool)
    return not any(names for folder, _, names in walk if len(Path(folder).relative_to(spool).parts) == 2)


async def test_what_is_too_long_for_the_memory_goes_by_the_spool(opened: Opened, tmp_path: Path) -> None:
    theirs = Taking("1.1")
    site = await opened(Taking("1.1"), memory=1, spool=tmp_path / "spool")
    site.old.answer = theirs
    body = bytes(range(256)) * 20_000
    assert await post(site, body) == 200
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 1)
    assert theirs.bodies == [body]
    assert theirs.headers[0]["Content-Type"] == KIND
    await eventually(lambda: is_empty(tmp_path / "spool"))
    assert site.room.used == 0


async def test_a_body_in_the_spool_is_not_given_up_for_the_few_bytes_of_its_answer(
    opened: Opened, tmp_path: Path
) -> None:
    ours, theirs = Taking("1.1"), Taking("1.1")
    site = await opened(lambda request: full(request), memory=1, spool=tmp_path / "spool")
    site.old.answer = theirs

    async def full(request: web.BaseRequest) -> web.StreamResponse:
        answer = await ours(request)
        assert site.room.take(site.room.most - site.room.used)
        return answer

    assert await post(site, bytes(3_000_000)) == 200
    site.room.give(site.room.used)
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 1)
    assert site.counted("shadow_given_up", "too_long") == 0


async def test_a_gateway_that_says_for_long_that_nobody_is_there_loses_nothing(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadowing, "DELAYS", Delays(first=0.005, longest=0.01))
    site = await opened(Taking("1.1"), spool=tmp_path / "spool")
    site.old.answer = refuses
    for body in (b"one", b"two", b"three"):
        assert await post(site, body) == 200
    await eventually(lambda: len(site.old.asked) > 3 * (MOST_TRIES + 2), 20.0)
    site.old.answer = theirs = Taking("1.1")
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 3)
    assert sorted(theirs.bodies) == [b"one", b"three", b"two"]
    assert site.counted("shadow_given_up", "rejected") == 0


async def test_what_a_server_never_takes_does_not_keep_the_others_away(opened: Opened, tmp_path: Path) -> None:
    site, theirs = await opened(Taking("1.1"), spool=tmp_path / "spool"), Taking("1.1")
    site.old.answer = refuses
    for body in (b"never", b"two", b"three"):
        assert await post(site, body) == 200
    await eventually(lambda: site.counted("shadow_put_off", "rejected") == 3)

    async def picky(request: web.BaseRequest) -> web.StreamResponse:
        return await refuses(request) if await request.read() == b"never" else await theirs(request)

    site.old.answer = picky
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 2)


async def refuses(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=503)


@pytest.mark.parametrize(("answer", "reason"), [(hangs, "timeout"), (breaks_off, "aborted"), (refuses, "rejected")])
async def test_an_archive_that_does_not_take_it_gets_it_later(
    opened: Opened,
    tmp_path: Path,
    answer: Any,
    reason: str,
) -> None:
    theirs = Taking("1.1")
    site = await opened(Taking("1.1"), spool=tmp_path / "spool", timeout=0.3)
    site.old.answer = answer
    assert await post(site, b"one") == 200
    await eventually(lambda: site.counted("shadow_put_off", reason) == 1)
    site.old.answer = theirs
    await eventually(lambda: site.counted("shadow_compared", "STOW-RS", "same") == 1)
    assert theirs.bodies == [b"one"]
    assert site.counted("shadow_given_up", reason) == 0


async def test_without_a_spool_an_archive_that_is_away_is_told(opened: Opened) -> None:
    site = await opened(Taking("1.1"), url=f"http://127.0.0.1:{free_port()}/pacs")
    assert await post(site, b"one") == 200
    await eventually(lambda: site.counted("shadow_given_up", "unreachable") == 1)


async def test_an_answer_that_is_none_is_told(opened: Opened) -> None:
    async def rubbish(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()  # type: ignore[attr-defined]
        return web.Response(text="<html>")

    site = await opened(Taking("1.1"))
    site.old.answer = rubbish
    assert await post(site, b"one") == 200
    await eventually(lambda: site.counted("shadow_given_up", "unreadable") == 1)
    assert site.room.used == 0


async def test_a_caller_who_breaks_off_has_stored_nothing_there(opened: Opened, tmp_path: Path) -> None:
    site = await opened(Taking("1.1"), memory=1, spool=tmp_path / "spool")
    site.old.answer = Taking("1.1")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)
        raise ConnectionResetError

    with pytest.raises(Exception):
        async with site.session.post("/dicom-web/studies", data=endless(), headers={"Content-Type": KIND}):
            pass
    await eventually(lambda: site.counted("shadow_given_up", "unanswered") == 1)
    await eventually(lambda: is_empty(tmp_path / "spool"))
    assert (site.room.used, site.old.asked) == (0, [])
