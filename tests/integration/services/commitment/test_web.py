"""Storage commitment over HTTP (PS3.18 13), with the real embedded stores."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from gantry.cli.commit import ask
from gantry.common.events import CommitmentRequested
from tests.integration.services.commitment.conftest import CT, PATIENT, Archive, AwayIndex

JSON = {"Content-Type": "application/dicom+json", "Accept": "application/dicom+json"}
UID = "2.25.17"


def payload(references: Sequence[tuple[str, str]]) -> dict[str, Any]:
    items = [
        {"00081150": {"vr": "UI", "Value": [cls]}, "00081155": {"vr": "UI", "Value": [uid]}} for cls, uid in references
    ]
    return {"00081199": {"vr": "SQ", "Value": items}}


def named(data_set: dict[str, Any], sequence: str) -> list[str]:
    items = data_set.get(sequence, {"Value": []})["Value"]
    return [item["00081155"]["Value"][0] for item in items]


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[aiohttp.ClientSession]:
    async with archive.running(), aiohttp.ClientSession(archive.url) as session:
        yield session


async def post(
    client: aiohttp.ClientSession, body: Any, uid: str = UID, headers: dict[str, str] = JSON
) -> tuple[int, Any]:
    async with client.post(f"/dicom-web/commitment-requests/{uid}", json=body, headers=headers) as response:
        is_json = response.content_type.endswith("json")
        return response.status, await response.json(content_type=None) if is_json else await response.text()


async def result(client: aiohttp.ClientSession, uid: str = UID) -> tuple[int, Any]:
    async with client.get(f"/dicom-web/commitment-requests/{uid}", headers={"Accept": "*/*"}) as response:
        return response.status, await response.json(content_type=None) if response.status == 200 else None


async def test_stored_instances_are_committed_and_others_named_with_the_reason(
    archive: Archive, client: aiohttp.ClientSession
) -> None:
    good, damaged = [await archive.keep(n) for n in range(2)]
    key = f"objects/default/0/{1:032x}.dcm"
    await archive.store.put(key, [bytes(300), b"other bytes"])
    references = [good, damaged, (CT, "1.2.99"), ("1.2.840.10008.5.1.4.1.1.4", good[1])]
    status, answer = await post(client, payload(references))
    assert status == 200
    assert named(answer, "00081199") == [good[1]]
    reasons = {
        (item["00081150"]["Value"][0], item["00081155"]["Value"][0]): item["00081197"]["Value"][0]
        for item in answer["00081198"]["Value"]
    }
    assert reasons == {damaged: 0x0110, (CT, "1.2.99"): 0x0112, ("1.2.840.10008.5.1.4.1.1.4", good[1]): 0x0119}
    assert await result(client) == (200, answer)
    # The transaction is a fact on the log, as those over DIMSE are.
    (event,) = [event for event in await archive.events() if isinstance(event, CommitmentRequested)]
    assert (event.transaction_uid, event.calling_ae_title, event.over_http) == (UID, "loopback", True)
    assert (await archive.reported())[0].delivered


async def test_where_all_are_committed_no_failure_is_listed_and_xml_says_the_same(
    archive: Archive, client: aiohttp.ClientSession
) -> None:
    reference = await archive.keep(1)
    space = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
    uids = zip(("00081150", "00081155"), reference, strict=True)
    item = "".join(
        f'<DicomAttribute tag="{tag}" vr="UI"><Value number="1">{uid}</Value></DicomAttribute>' for tag, uid in uids
    )
    sequence = f'<DicomAttribute tag="00081199" vr="SQ"><Item number="1">{item}</Item></DicomAttribute>'
    body = f'<NativeDicomModel xmlns="{space}">{sequence}</NativeDicomModel>'
    headers = {"Content-Type": "application/dicom+xml", "Accept": "application/dicom+xml"}
    async with client.post(f"/dicom-web/commitment-requests/{UID}", data=body, headers=headers) as response:
        assert (response.status, response.content_type) == (200, "application/dicom+xml")
        answer = ElementTree.fromstring(await response.text())
    assert [element.get("tag") for element in answer] == ["00081199"]
    assert reference[1] in "".join(answer.itertext())
    status, same = await result(client)
    assert (status, named(same, "00081199"), "00081198" in same) == (200, [reference[1]], False)


async def test_a_transaction_uid_is_used_once_over_http_and_dimse(
    archive: Archive, client: aiohttp.ClientSession
) -> None:
    reference = await archive.keep(1)
    assert (await post(client, payload([reference])))[0] == 200
    assert (await post(client, payload([reference])))[0] == 409
    status, _, report = await ask(archive.peer, [reference], wait=1, timeout=10, transaction=UID)
    assert (status, report) == (0x0131, None)
    status, _, report = await ask(archive.peer, [reference], wait=10, timeout=10, transaction="2.25.18")
    assert status == 0
    assert (await post(client, payload([reference]), "2.25.18"))[0] == 409
    await archive.reported(2)
    assert (await result(client, "2.25.18"))[0] == 404  # reported over DIMSE
    assert (await result(client, "2.25.19"))[0] == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "missing or empty"),
        ([], "not one data set"),
        ("text", "not one data set"),
        ([{}, {}], "not one data set"),
        ({"00081199": {"vr": "SQ", "Value": []}}, "missing or empty"),
        ({"00081199": {"vr": "SQ", "Value": [{}]}}, "without a valid"),
        ({"00081199": {"vr": "SQ", "Value": ["x"]}}, "without a valid"),
        (payload([("1.2", "../../etc")]), "without a valid"),
        ({"00081199": []}, "missing or empty"),
    ],
)
async def test_a_request_that_is_none_is_refused_in_words(
    client: aiohttp.ClientSession, archive: Archive, body: Any, message: str
) -> None:
    status, line = await post(client, body)
    assert (status, message in line) == (400, True), line
    assert await archive.events() == []
    assert (await result(client))[0] == 404


async def test_what_is_wrong_with_a_request_has_its_status(client: aiohttp.ClientSession, archive: Archive) -> None:
    reference = payload([await archive.keep(1)])
    assert (await post(client, reference, headers={"Content-Type": "text/plain"}))[0] == 415
    assert (await post(client, reference, headers={**JSON, "Accept": "image/png"}))[0] == 406
    assert (await post(client, reference, uid="no-uid"))[0] == 400
    assert (await post(client, reference, uid="1.2/3"))[0] == 400
    async with client.post("/dicom-web/commitment-requests/1.2", data=b"{", headers=JSON) as response:
        assert response.status == 400
    async with client.put("/dicom-web/commitment-requests/1.2") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")


async def test_one_that_takes_long_is_accepted_and_its_result_is_there_after_a_restart(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.services.commitment.web._ANSWER_SECONDS", 0.2)
    reference = await archive.keep(1)
    index, archive.index = archive.index, AwayIndex()
    async with archive.running(PATIENT), aiohttp.ClientSession(archive.url) as client:
        url = f"/dicom-web/commitment-requests/{UID}"
        async with client.post(url, json=payload([reference]), headers=JSON) as response:
            assert (response.status, await response.read()) == (202, b"")
            assert int(response.headers["Retry-After"]) > 0
        assert (await result(client))[0] == 202
        assert (await post(client, payload([reference])))[0] == 409
    archive.index = index
    async with archive.running(), aiohttp.ClientSession(archive.url) as client:
        async with asyncio.timeout(20):
            while (answer := await result(client))[0] == 202:
                await asyncio.sleep(0.05)
        assert (answer[0], named(answer[1], "00081199")) == (200, [reference[1]])


async def test_bodies_of_many_requests_share_one_budget(
    archive: Archive, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.services.commitment.web.MOST_HELD", 4096)
    reference = await archive.keep(1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b" " * 4000
        begun.set()
        await go_on.wait()
        yield json.dumps(payload([reference])).encode()[:10]

    first = asyncio.create_task(client.post("/dicom-web/commitment-requests/2.25.1", data=held(), headers=JSON))
    await begun.wait()
    async with asyncio.timeout(10):
        for number in itertools.count(100):
            await asyncio.sleep(0.2)  # the first piece is on its way
            status, line = await post(client, payload([reference]), f"2.25.{number}")
            if status == 503:
                break
    assert "too many requests" in line
    go_on.set()
    async with await first as response:
        assert response.status == 400
    assert (await post(client, payload([reference]), "2.25.3"))[0] == 200
