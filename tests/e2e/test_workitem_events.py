"""Subscriptions and the channel of UPS-RS (PS3.18 8.10, 11.10 to 11.12), on an archive as it runs, and behind the
door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import aiohttp
import pytest

from tests.support.archive import RunningArchive
from tests.support.door import FrontDoor
from tests.support.orders import attributes
from tests.support.workitem_channel import channel, next_of, pages_until, report_in
from tests.support.workitems import MINE, WorkitemsClient, as_json, claim, done

NUMBERS = count(1)
EVERY, SOME = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
SETTINGS = "http: {may_order: [loopback]}\n"
ALONE = dict.fromkeys(("ingest", "query", "retrieve", "commitment"), 0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("events"))
    running.write_policy([], SETTINGS)
    running.start()
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


@pytest.fixture
def client(archive: RunningArchive) -> WorkitemsClient:
    return WorkitemsClient(archive.http_port)


@pytest.fixture
def uid() -> str:
    return f"1.2.840.66.{next(NUMBERS)}"


@pytest.fixture
def title() -> str:
    return f"BOARD{next(NUMBERS)}"


def perform(client: WorkitemsClient, uid: str) -> None:
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(done()))[0] == 200
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))[0] == 200


async def test_whoever_subscribes_to_a_workitem_is_told_its_states(
    archive: RunningArchive, client: WorkitemsClient, uid: str, title: str
) -> None:
    client.create(uid)
    async with channel(archive.http_port, title) as opened:
        status, _, headers = client.ask("POST", f"/{uid}/subscribers/{title}")
        assert status == 201
        assert headers["Content-Location"] == f"ws://127.0.0.1:{archive.http_port}/dicom-web/subscribers/{title}"
        assert await next_of(opened, 1) == [(uid, 1, "SCHEDULED")]
        perform(client, uid)
        assert await next_of(opened, 2) == [(uid, 1, "IN PROGRESS"), (uid, 1, "COMPLETED")]
        client.create(f"{uid}.1")
        assert client.ask("DELETE", f"/{uid}/subscribers/{title}")[0] == 200
        assert client.ask("POST", f"/{uid}.1/subscribers/{title}")[0] == 201
        assert await next_of(opened, 1) == [(f"{uid}.1", 1, "SCHEDULED")]


async def test_a_performer_is_told_that_its_cancellation_is_requested(
    archive: RunningArchive, client: WorkitemsClient, uid: str, title: str
) -> None:
    client.create(uid)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    async with channel(archive.http_port, title) as opened:
        assert client.ask("POST", f"/{uid}/subscribers/{title}")[0] == 201
        assert await next_of(opened, 1) == [(uid, 1, "IN PROGRESS")]
        body = as_json(attributes(ReasonForCancellation="late", ContactDisplayName="Eve"))
        body["0074100C"]["Value"] = ["Eve"]
        assert client.ask("POST", f"/{uid}/cancelrequest", body)[0] == 202
        event = await opened.receive_json(timeout=10)
        assert report_in(event) == (uid, 2, "")
        assert event["00741238"]["Value"] == ["late"]
        assert event["00741236"]["Value"] == ["loopback"]


async def test_a_global_subscription_is_suspended_filtered_and_withdrawn(
    archive: RunningArchive, client: WorkitemsClient, uid: str, title: str
) -> None:
    other = f"{title}F"
    assert client.ask("POST", f"/{EVERY}/subscribers/{title}")[0] == 201
    assert client.ask("POST", f"/{SOME}/subscribers/{other}?filter=WorklistLabel=BRAIN,PatientID=P1")[0] == 201
    async with channel(archive.http_port, title) as every, channel(archive.http_port, other) as limited:
        client.create(uid)
        client.create(f"{uid}.1", WorklistLabel="BRAIN")
        assert await next_of(every, 2) == [(uid, 1, "SCHEDULED"), (f"{uid}.1", 1, "SCHEDULED")]
        assert await next_of(limited, 1) == [(f"{uid}.1", 1, "SCHEDULED")]
        assert client.ask("POST", f"/{EVERY}/subscribers/{title}/suspend")[0] == 200
        client.create(f"{uid}.2")
        perform(client, uid)
        assert await next_of(every, 2) == [(uid, 1, "IN PROGRESS"), (uid, 1, "COMPLETED")]
    for target, name in ((EVERY, title), (SOME, other)):
        assert client.ask("DELETE", f"/{target}/subscribers/{name}")[0] == 200


async def test_a_reader_goes_on_with_its_cursor_also_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningArchive(tmp_path_factory.mktemp("restart"))
    running.write_policy([], SETTINGS)
    running.start()
    try:
        client = WorkitemsClient(running.http_port)
        assert client.ask("POST", f"/{EVERY}/subscribers/BOARD")[0] == 201
        async with channel(running.http_port, "BOARD", "?since=now") as opened:
            client.create("1.2.1")
            notices, cursor = await pages_until(opened, 1)
            assert notices == [("1.2.1", 1, "SCHEDULED")]
        client.create("1.2.2")
        running.kill()
        running.start()
        client.create("1.2.3")
        missed = [("1.2.2", 1, "SCHEDULED"), ("1.2.3", 1, "SCHEDULED")]
        async with channel(running.http_port, "BOARD", f"?since={cursor}") as opened:
            assert sorted((await pages_until(opened, 2))[0]) == missed
        async with channel(running.http_port, "BOARD", **{"Last-Event-ID": cursor}) as opened:
            notices, cursor = await pages_until(opened, 2)
            assert sorted(notices) == missed
        async with channel(running.http_port, "BOARD", f"?since={cursor}") as opened:
            client.create("1.2.4")
            assert (await pages_until(opened, 1))[0] == [("1.2.4", 1, "SCHEDULED")]
    finally:
        running.stop()


def test_a_subscription_that_nobody_has_is_not_found(client: WorkitemsClient, uid: str, title: str) -> None:
    """PS3.18 tables 11.11.3-1, 11.12.3-1."""
    client.create(uid)
    for target in (uid, EVERY, SOME):
        assert client.ask("DELETE", f"/{target}/subscribers/{title}")[0] == 404
    assert client.ask("POST", f"/{EVERY}/subscribers/{title}/suspend")[0] == 404
    assert client.ask("POST", f"/{uid}/subscribers/{title}")[0] == 201
    assert client.ask("DELETE", f"/{uid}/subscribers/{title}")[0] == 200
    assert client.ask("DELETE", f"/{uid}/subscribers/{title}")[0] == 404
    # One of all is one of each.
    assert client.ask("POST", f"/{EVERY}/subscribers/{title}")[0] == 201
    assert client.ask("DELETE", f"/{uid}/subscribers/{title}")[0] == 200
    assert client.ask("DELETE", f"/{SOME}/subscribers/{title}")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/1.2.404/subscribers/BOARD", 404),
        ("POST", "/none/subscribers/BOARD", 400),
        ("POST", f"/{EVERY}/subscribers/this+is+far+too+long+a+title", 400),
        ("POST", f"/{SOME}/subscribers/BOARD", 400),
        ("POST", f"/{SOME}/subscribers/BOARD?filter=Colour=red", 400),
        ("POST", f"/{SOME}/subscribers/BOARD?filter=ScheduledWorkitemCodeSequence.CodeValue=SEG", 400),
        ("POST", f"/{EVERY}/subscribers/BOARD?deletionlock=perhaps", 400),
        ("POST", "/1.2.840.66.0/subscribers/BOARD/suspend", 400),
        ("POST", f"/{EVERY}/subscribers/BOARD/other", 404),
    ],
)
def test_what_cannot_be_subscribed_to(client: WorkitemsClient, method: str, path: str, status: int) -> None:
    client.ask("POST", "?1.2.840.66.0", as_json({}))
    if not client.state("1.2.840.66.0"):
        client.create("1.2.840.66.0")
    assert client.ask(method, path)[0] == status


async def test_a_channel_is_a_websocket_and_a_cursor_is_one_of_it(archive: RunningArchive) -> None:
    base = f"http://127.0.0.1:{archive.http_port}/dicom-web/subscribers/BOARD"
    async with aiohttp.ClientSession() as session:
        async with session.get(base) as answer:
            assert answer.status == 426
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await session.ws_connect(f"{base}?since=nonsense")
        assert raised.value.status == 400


async def test_who_may_not_order_subscribes_nobody_and_may_listen(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningArchive(tmp_path_factory.mktemp("closed"))
    running.start()
    try:
        client = WorkitemsClient(running.http_port)
        for method, path in (("POST", ""), ("DELETE", ""), ("POST", "/suspend")):
            assert client.ask(method, f"/{EVERY}/subscribers/BOARD{path}")[0] == 403
        async with channel(running.http_port, "BOARD", "?since=now") as opened:
            assert (await opened.receive_json(timeout=10))["events"] == []
    finally:
        running.stop()


async def test_the_channel_goes_through_the_door_whichever_process_was_asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    door = FrontDoor(tmp_path_factory.mktemp("door"), lab=True, scale={**ALONE, "orders": 2})
    door.write_policy([], SETTINGS)
    door.start()
    try:
        client = WorkitemsClient(door.http_port)
        assert client.ask("POST", f"/{EVERY}/subscribers/BOARD")[0] == 201
        async with channel(door.http_port, "BOARD") as first, channel(door.http_port, "BOARD") as other:
            for number in range(4):
                client.create(f"1.2.{number}")
            for opened in (first, other):
                assert sorted(await next_of(opened, 4)) == [(f"1.2.{number}", 1, "SCHEDULED") for number in range(4)]
    finally:
        assert door.stop() == 0


async def test_a_channel_ends_when_its_process_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningArchive(tmp_path_factory.mktemp("ending"))
    running.start()
    async with channel(running.http_port, "BOARD", "?since=now") as opened:
        await opened.receive_json(timeout=10)
        assert await asyncio.to_thread(running.stop) == 0
        message = await opened.receive(timeout=10)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
