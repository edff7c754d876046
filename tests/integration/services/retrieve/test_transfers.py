"""Sending over HTTP: to a real receiver, from real stores, asked for over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gantry.common.clock import ManualClock, SystemClock
from gantry.common.net import Peer
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve import transfers as transfers_module
from gantry.services.retrieve.app import build_mover
from gantry.services.retrieve.dicomweb.sending import SendService
from gantry.services.retrieve.dimse.moving import RetrieveSettings
from gantry.services.retrieve.pixels.converter import Converter, ConverterLimits
from gantry.services.retrieve.transfers import Transfers
from tests.support.objects import data_set
from tests.support.receiver import Receive, Receiver
from tests.support.web import WebSite


@dataclass
class Sending:
    site: WebSite
    transfers: Transfers
    receiver: Receiver
    peers: dict[str, Peer]

    async def send(self, study: str = "1.2", **body: Any) -> tuple[int, Any, str]:
        url = f"/dicom-web/studies/{study}/send"
        async with self.site.client.post(url, json=body or {"destination": "DEST"}) as response:
            answer = await response.json() if response.status == 202 else await response.text()
            return response.status, answer, response.headers.get("Location", "")

    async def told(self, location: str, method: str = "GET") -> dict[str, Any]:
        async with self.site.client.request(method, location) as response:
            assert response.status == 200, await response.text()
            answer: dict[str, Any] = await response.json()
            return answer

    async def until(self, location: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not holds(transfer := await self.told(location)):
                await asyncio.sleep(0.02)
        return transfer


def has_ended(transfer: dict[str, Any]) -> bool:
    return transfer["state"] != "running"


@pytest.fixture
async def sending(site: WebSite, receiver: Receive) -> AsyncIterator[Sending]:
    destination = await receiver()
    peers = {"DEST": Peer("127.0.0.1", destination.port, "DEST", "GANTRY", connect_timeout=2.0)}
    converter = Converter(ConverterLimits(workers=1))
    mover = build_mover(
        site.store, converter, SystemClock(), RetrieveSettings(attempts=1), response_timeout=5.0, parallel=(2, 1)
    )
    sent = Transfers(mover, SystemClock(), Metrics())
    service = SendService(sent, site.index, lambda: list(peers), peers.get)
    site.server.serve(service.handlers())
    yield Sending(site, sent, destination, peers)
    destination.service.gate.set()
    await sent.close()
    await converter.close()


async def keep(site: WebSite, count: int, study: str = "1.2") -> None:
    await site.keep(*(data_set(study=study, series=f"{study}.1", instance=f"{study}.1.{n}") for n in range(count)))


async def test_a_study_is_sent_whole_and_counted(sending: Sending) -> None:
    await keep(sending.site, 5)
    status, transfer, location = await sending.send()
    assert (status, location) == (202, f"/dicom-web/transfers/{transfer['id']}")
    ended = await sending.until(location, has_ended)
    assert ended == {
        "id": transfer["id"],
        "study": "1.2",
        "destination": "DEST",
        "state": "done",
        "remaining": 0,
        "completed": 5,
        "failed": 0,
        "warning": 0,
        "error": "",
    }
    assert sorted(sending.receiver.uids) == [f"1.2.1.{n}" for n in range(5)]


async def test_destinations_are_those_of_the_policy_in_force(sending: Sending) -> None:
    sending.peers["ARCHIVE 2"] = replace(sending.peers["DEST"], called_ae_title="ARCHIVE 2")
    async with sending.site.client.get("/dicom-web/destinations") as response:
        assert await response.json() == [
            {"aeTitle": "ARCHIVE 2", "description": ""},
            {"aeTitle": "DEST", "description": ""},
        ]


async def test_what_is_cancelled_sends_nothing_more_and_says_how_much_it_sent(sending: Sending) -> None:
    await keep(sending.site, 20)
    sending.receiver.service.gate.clear()
    _, _, location = await sending.send()
    await asyncio.sleep(0.5)
    assert (await sending.told(location))["state"] == "running"
    await sending.told(location, "DELETE")
    sending.receiver.service.gate.set()
    transfer = await sending.until(location, has_ended)
    assert transfer["state"] == "cancelled"
    assert transfer["completed"] == len(sending.receiver.uids) < 20
    assert transfer["completed"] + transfer["remaining"] == 20
    assert (await sending.told(location, "DELETE"))["state"] == "cancelled"


async def test_a_destination_that_is_away_is_said_in_words(sending: Sending) -> None:
    await keep(sending.site, 2)
    sending.peers["DEST"] = replace(sending.peers["DEST"], port=1)
    _, _, location = await sending.send()
    transfer = await sending.until(location, has_ended)
    assert (transfer["state"], transfer["failed"], transfer["remaining"]) == ("failed", 2, 0)
    assert "DEST" in transfer["error"]


@pytest.mark.parametrize(
    ("study", "body", "status", "line"),
    [
        ("1.2", {"destination": "NOBODY"}, 404, "is not a destination"),
        ("1.9", {"destination": "DEST"}, 404, "no such study"),
        ("1.2", {"destination": 7}, 400, "AE TITLE"),
        ("1.2", {"destination": "X" * 17}, 400, "AE TITLE"),
        ("1.2", {"to": "DEST"}, 400, "AE TITLE"),
        ("1.2", {"destination": "DEST", "more": "x" * 5000}, 413, "longer"),
        ("..", {"destination": "DEST"}, 400, "uid"),
    ],
)
async def test_what_cannot_be_sent_is_refused_in_words(
    sending: Sending, study: str, body: dict[str, Any], status: int, line: str
) -> None:
    await keep(sending.site, 1)
    path = study.replace(".", "%2E") if study == ".." else study
    got, answer, _ = await sending.send(path, **body)
    if study != "..":
        assert (got, line in answer) == (status, True)
    else:
        assert got in (400, 404)


async def test_a_form_of_another_page_cannot_send(sending: Sending) -> None:
    await keep(sending.site, 1)
    url, text = "/dicom-web/studies/1.2/send", '{"destination": "DEST"}'
    async with sending.site.client.post(url, data=text, headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415
    async with sending.site.client.post(
        url, json={"destination": "DEST"}, headers={"Sec-Fetch-Site": "cross-site"}
    ) as r:
        assert r.status == 403
    async with sending.site.client.post(url, data="[" * 3000, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
    assert sending.receiver.uids == []


async def test_a_slow_destination_holds_its_own_lane_only(sending: Sending, receiver: Receive) -> None:
    await keep(sending.site, 2)
    await keep(sending.site, 2, "1.3")
    other = await receiver()
    sending.peers["OTHER"] = replace(sending.peers["DEST"], port=other.port, called_ae_title="OTHER")
    sending.receiver.service.gate.clear()
    waiting = [(await sending.send())[2] for _ in range(3)]
    quick = (await sending.send("1.3", destination="OTHER"))[2]
    assert (await sending.until(quick, has_ended))["state"] == "done"
    assert [(await sending.told(location))["state"] for location in waiting] == ["running"] * 3
    sending.receiver.service.gate.set()
    assert [(await sending.until(location, has_ended))["completed"] for location in waiting] == [2, 2, 2]


async def test_no_more_are_under_way_than_may(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers_module, "MOST_RUNNING", 2)
    await keep(sending.site, 1)
    sending.receiver.service.gate.clear()
    assert [(await sending.send())[0] for _ in range(3)] == [202, 202, 503]


async def test_what_has_ended_is_remembered_for_an_hour_and_not_without_end(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(sending.site, 1)
    clock = sending.transfers._clock = ManualClock()
    monkeypatch.setattr(transfers_module, "MOST_REMEMBERED", 2)
    locations = []
    for _ in range(3):
        locations.append((await sending.send())[2])
        async with asyncio.timeout(10):
            while sending.transfers._tasks:
                await asyncio.sleep(0.01)
        clock.advance(60)
    async with sending.site.client.get(locations[0]) as response:
        assert (response.status, "an hour" in await response.text()) == (404, True)
    assert (await sending.told(locations[1]))["state"] == "done"
    clock.advance(3500)
    async with sending.site.client.get(locations[1]) as response:
        assert response.status == 404
    assert (await sending.told(locations[2]))["state"] == "done"
