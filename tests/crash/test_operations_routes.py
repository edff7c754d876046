"""Routes on the page's Operations over HTTP, in both topologies: waiting and failed routes, and their words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import send
from tests.crash.test_operations import asked
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.dcmtk import StoreScp
from tests.support.objects import study
from tests.support.operations import OPERATOR
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_operate: [loopback]}\n"
    "completion: {quiet: 0.5}\n"
    "retrieve: {suboperation_retries: 0}\n"
    "routing: {rules: [{name: all, to: [READING, ARCHIVE]}], retry_first: 1, retry_longest: 2, refused: 1}\n"
)


def peer(title: str, port: int) -> str:
    return f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: [], move_destination: true}}"


async def routes(archive: RunningArchive, query: str = "") -> dict[str, Any]:
    status, answer = await asyncio.to_thread(asked, archive, f"operations/routes{query}")
    assert status == 200, answer
    return dict(answer)


async def until_told(archive: RunningArchive, query: str, holds: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not holds(answer := await routes(archive, query)):
            await asyncio.sleep(0.3)
    return answer


def of(answer: dict[str, Any], title: str) -> dict[str, Any]:
    return next(dict(destination) for destination in answer["destinations"] if destination["destination"] == title)


async def test_what_waits_is_listed_given_up_and_sent_again(make_archive: MakeArchive, tmp_path: Path) -> None:
    port = free_port()
    with StoreScp(tmp_path / "archive", "ARCHIVE") as other:
        archive = make_archive()
        archive.write_policy([peer("READING", port), peer("ARCHIVE", other.port)], SETTINGS)
        archive.start()
        nothing = {"routes": [], "count": 0, "next": None, "waiting": 0, "failed": 0, "destinations": []}
        assert await routes(archive) == nothing
        first, second = study(tmp_path / "one", 2, name="Secret^Jane"), study(tmp_path / "two", 1, name="Secret^Joan")
        await send(archive, first, second)
        answer = await until_told(
            archive, "", lambda f: f["count"] == 2 and all(r["attempts"] for r in f["routes"]) and f["waiting"] == 2
        )
        assert {route["study"] for route in answer["routes"]} == {uids_of(first[0])[0], uids_of(second[0])[0]}
        assert all(route["rule"] == "all" and "READING" in route["why"] for route in answer["routes"])
        assert [route["at"] for route in answer["routes"]] == sorted(route["at"] for route in answer["routes"])
        assert "Secret" not in str(answer)
        reading, backup = of(answer, "READING"), of(answer, "ARCHIVE")
        assert (reading["waiting"], reading["failed"], reading["delivered_at"]) == (2, 0, 0)
        assert (backup["waiting"], backup["delivered_in_a_day"], bool(backup["delivered_at"])) == (0, 2, True)
        assert (await routes(archive, "?destination=ARCHIVE"))["count"] == 0
        assert len((await routes(archive, "?limit=1"))["routes"]) == (await routes(archive, "?limit=1"))["next"] == 1

        # One is given up, and sent again; meanwhile it is neither waiting nor there.
        name = answer["routes"][0]["route"]
        assert asked(archive, "operations/routes/cancel", {"routes": [name]}) == (200, {"cancelled": [name]})
        assert [route["route"] for route in (await routes(archive))["routes"]] == [answer["routes"][1]["route"]]
        assert asked(archive, "operations/routes/cancel", {"routes": [name]})[0] == 404
        given_up = (await routes(archive, "?state=ended"))["routes"]
        assert [(r["route"], r["state"], r["by"]) for r in given_up] == [(name, "cancelled", "loopback")]
        status, made = asked(archive, "operations/routes/retry", {"routes": [name]})
        assert status == 200
        assert [route["route"] for route in (await routes(archive))["routes"]][-1:] == made["requested"]
        assert (await routes(archive, "?state=ended"))["count"] == 0

        with StoreScp(tmp_path / "reading", "READING", port=port) as destination:
            await until_told(archive, "", lambda f: f["waiting"] == 0)
            assert set(destination.received()) == {file.sop_instance_uid for file in (*first, *second)}
        answer = await routes(archive)
        assert (of(answer, "READING")["delivered_in_a_day"], answer["failed"]) == (2, 0)
    assert archive.stop() == 0


async def test_what_failed_is_sent_again_by_destination(make_archive: MakeArchive, tmp_path: Path) -> None:
    files, refusing = study(tmp_path / "files", 2), [True]

    def store(event: evt.Event) -> int:
        return 0xA700 if refusing else 0x0000

    reading, archive = Scp("READING", free_port(), handlers=[(evt.EVT_C_STORE, store)]), make_archive()
    with StoreScp(tmp_path / "archive", "ARCHIVE") as other, reading:
        archive.write_policy([peer("READING", reading.port), peer("ARCHIVE", other.port)], SETTINGS)
        archive.start()
        await send(archive, files)
        answer = await until_told(archive, "?state=ended", lambda f: f["failed"])
        (failed,) = answer["routes"]
        assert (failed["state"], failed["destination"], failed["failed"], failed["left"]) == (
            "failed",
            "READING",
            2,
            None,
        )
        assert failed["why"] == "READING did not take 2 instances"
        assert of(answer, "READING")["failed"] == 1
        assert asked(archive, "operations/routes/retry", {"destination": "ARCHIVE"})[0] == 404
        refusing.clear()
        status, made = asked(archive, "operations/routes/retry", {"destination": "READING"})
        assert (status, len(made["requested"])) == (200, 1)
        answer = await until_told(archive, "?state=ended", lambda f: f["waiting"] == 0)
        assert (answer["failed"], answer["routes"], of(answer, "READING")["delivered_in_a_day"]) == (0, [], 1)
    assert archive.stop() == 0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    made = RunningArchive(tmp_path_factory.mktemp("archive"), environment=OPERATOR).start()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"routes": []}, 400),
        ({"routes": [5]}, 400),
        ({"routes": ["x"], "destination": "READING"}, 400),
        ({"destination": ""}, 400),
        ({"routes": ["nobody"]}, 404),
        ({"destination": "NOBODY"}, 404),
    ],
)
async def test_what_cannot_be_decided_is_said(archive: RunningArchive, body: object, status: int) -> None:
    for verb in ("cancel", "retry"):
        assert asked(archive, f"operations/routes/{verb}", body)[0] == status
