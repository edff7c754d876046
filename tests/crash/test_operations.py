"""What the place Operations of the page asks over HTTP, in both topologies."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pydicom.uid import generate_uid

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import connect
from gantry.services.roles import EVERY
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_dead_letters import publish_without_object, put_back
from tests.crash.test_upkeep import until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, find_matches, uids_of, until, wait_for
from tests.support.door import FrontDoor
from tests.support.objects import data_set, study, write

SETTINGS = (
    "http: {may_operate: [loopback], may_delete: [loopback], may_hold: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: 0.3}\n"
)
PEERS = ["{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, echo, find, retrieve]}"]


def asked(
    archive: RunningArchive, path: str, body: object = None, *, method: str = "", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """A request below the base; POST where there is a body. JSON where it is, else the line."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {}
    request = urllib.request.Request(
        f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}", data, sent, method=method or None
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read().decode()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def archive(make_archive: MakeArchive) -> RunningArchive:
    made = make_archive()
    made.write_policy(PEERS, SETTINGS)
    return made.start()


async def test_where_says_what_the_command_says(archive: RunningArchive, tmp_path: Path) -> None:
    files = study(tmp_path / "files", 3, name="Secret^Jane", patient="PID7")
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 3)
    status, answer = await asyncio.to_thread(asked, archive, "operations/where?term=PID7")
    assert status == 200
    (account,) = answer["accounts"]
    assert account["searchable"] == 3
    assert {"of": "indexed", "fact": "3 instances can be found and retrieved"} in account["told"]
    assert "Secret" not in json.dumps(answer)
    for term, expected in (("", 400), ("x" * 65, 400), ("a%0Ab", 400), ("NOBODY", 200)):
        assert (await asyncio.to_thread(asked, archive, f"operations/where?term={term}"))[0] == expected


async def test_who_is_not_named_sees_and_changes_nothing(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy(PEERS, SETTINGS.replace("may_operate: [loopback], ", ""))
    archive.start()
    for path in ("where?term=1.2", "conflicts", "conflicts/1.2", "nothing"):
        status, line = asked(archive, f"operations/{path}")
        assert (status, line.strip()) == (
            403,
            "this caller may not look at operations; http.may_operate names those that may",
        )
    assert asked(archive, "operations/conflicts/1.2/choice?reason=x", {"receipt": "x"})[0] == 403


async def test_a_conflict_is_listed_compared_and_either_side_is_given_up(
    archive: RunningArchive, tmp_path: Path
) -> None:
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    for number in (1, 2):
        file = write(tmp_path / f"{number}", data_set(**uids, name=f"N{number}^X", number=number))
        await Modality(archive.peer, [file]).send_all()
        await wait_for(archive, 1)
    await until(lambda: asked(archive, "operations/conflicts")[1]["count"] == 1)
    (status, listed) = asked(archive, "operations/conflicts?limit=1")
    assert (status, listed["complete"], listed["next"]) == (200, True, None)
    path = f"operations/conflicts/{uids['instance']}"
    sides = asked(archive, path)[1]["sides"]
    assert listed["conflicts"] == [{"sop_instance_uid": uids["instance"], "sides": sides}]
    current, aside = sorted(sides, key=lambda side: not side["current"])
    compared = asked(archive, f"{path}/comparison?{urlencode({'one': current['receipt'], 'other': aside['receipt']})}")[
        1
    ]
    assert {difference["path"]: (difference["one"], difference["other"]) for difference in compared["differences"]} == {
        "PatientName": ("N1^X", "N2^X"),
        "InstanceNumber": ("1", "2"),
    }
    assert compared["same_pixels"] is False
    chosen = {"receipt": current["receipt"]}
    # A page of another site may not decide, and nobody may without a reason or for what is no receipt of it.
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert asked(archive, f"{path}/removal?reason=x", chosen, headers=foreign)[0] == 403
    assert asked(archive, f"{path}/removal", chosen)[0] == 400
    assert asked(archive, f"{path}/removal?reason=x", {"receipt": "0" * 32})[0] == 404
    status, done = asked(archive, f"{path}/removal?reason=the+second+is+right", chosen)
    assert (status, done) == (200, {"deleted": 1, "settled": True})
    assert str((await find_matches(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "N2^X"
    assert asked(archive, path)[0] == 404
    # Nothing else has the UID now: the last object goes with its instance only.
    assert asked(archive, f"{path}/removal?reason=x", {"receipt": aside["receipt"]})[0] == 404
    instance = f"studies/{uids['study']}/series/{uids['series']}/instances/{uids['instance']}"
    assert asked(archive, f"{instance}/restore?reason=no", {})[0] == 204
    assert len(asked(archive, path)[1]["sides"]) == 2


async def test_holds_are_placed_listed_with_their_reasons_and_released(archive: RunningArchive, tmp_path: Path) -> None:
    files = study(tmp_path / "files", 1, patient="P/4711", name="Secret^Jane")
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 1)
    uid = uids_of(files[0])[0]
    assert asked(archive, f"studies/{uid}/holds") == (200, {"holds": []})
    assert asked(archive, f"studies/{uid}/holds", {}, method="POST")[0] == 400
    assert asked(archive, f"studies/{uid}/holds?reason=x", {"on": "series"})[0] == 400
    assert asked(archive, "studies/1.2.3/holds?reason=x", {"on": "patient"})[0] == 404
    placed = [asked(archive, f"studies/{uid}/holds?reason=a+trial", {"on": on}) for on in ("study", "patient")]
    assert [status for status, _ in placed] == [201, 201]
    names = {answer["hold"] for _, answer in placed}
    shown = asked(archive, f"studies/{uid}/holds")[1]["holds"]
    assert {(hold["on"], hold["by"], hold["reason"]) for hold in shown} == {
        ("study", "loopback", "a trial"),
        ("patient", "loopback", "a trial"),
    }
    assert asked(archive, f"studies/{uid}?reason=x", method="DELETE")[0] == 409
    # All of them, page by page; by the study; by the patient. Whose a hold on a patient is, is said nowhere.
    first = asked(archive, "operations/holds?limit=1")[1]
    second = asked(archive, f"operations/holds?limit=1&after={first['next']}")[1]
    assert {hold["hold"] for hold in first["holds"] + second["holds"]} == names
    assert second["next"] is None
    assert "4711" not in json.dumps([first, second])
    for term in (uid, "P/4711"):
        found_by = asked(archive, f"operations/holds?{urlencode({'term': term})}")[1]["holds"]
        assert {hold["hold"] for hold in found_by} == names, term
    # Once they are sealed, and another process looks, the reasons are those of the segments.
    await until_sealed(archive)
    archive.stop()
    archive.start()
    assert {hold["reason"] for hold in asked(archive, "operations/holds")[1]["holds"]} == {"a trial"}
    of_patient = next(hold for hold in shown if hold["on"] == "patient")
    body = {"holder": of_patient["holder"], "hold": of_patient["hold"]}
    assert asked(archive, "operations/holds/release", body)[0] == 400
    assert asked(archive, "operations/holds/release?reason=over", body)[0] == 200
    assert asked(archive, "operations/holds/release?reason=over", body)[0] == 404
    assert asked(archive, f"studies/{uid}/holds?reason=over&hold=nothing", method="DELETE")[0] == 404
    assert asked(archive, f"studies/{uid}/holds?reason=over", method="DELETE")[0] == 200
    assert asked(archive, "operations/holds")[1] == {"holds": [], "next": None}
    assert asked(archive, f"studies/{uid}?reason=x", method="DELETE")[0] == 204


async def test_what_retention_would_let_go_is_listed_in_pages_and_stays(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    rules = (
        "    - {name: old, where: ['StudyDate=-20101231'], keep: 1y, then: delete}\n"
        "    - {name: ultrasound, where: ['ModalitiesInStudy=US'], keep: 2y, then: delete}\n"
    )
    archive.write_policy(PEERS, f"{SETTINGS.partition('lifecycle:')[0]}lifecycle:\n  retention:\n{rules}")
    archive.start()
    uids = []
    for number, (modality, day) in enumerate([("US", "20050101"), ("CT", "20060101"), ("US", "20200101")]):
        files = study(tmp_path / f"{number}", 2, Modality=modality, StudyDate=day)
        await Modality(archive.peer, files).send_all()
        uids.append(uids_of(files[0])[0])
    await wait_for(archive, 6)
    assert asked(archive, f"studies/{uids[1]}/holds?reason=x", {})[0] == 201
    cursor, pages = "", []
    while cursor is not None:
        status, page = asked(archive, f"operations/retention?limit=1&cursor={cursor}")
        assert status == 200
        pages.append(page)
        cursor = page["next"]
    listed = [row for page in pages for row in page["studies"]]
    assert sorted(row["study"] for row in listed) == sorted(uids)  # each once, whatever rules it falls under
    assert {row["study"]: (row["rule"], row["until"], row["holds"]) for row in listed} == {
        uids[0]: ("ultrasound", "2007-01-01", 0),
        uids[1]: ("old", "2007-01-01", 1),
        uids[2]: ("ultrasound", "2022-01-01", 0),
    }
    assert all(row["bytes"] > 2 * 8000 for row in listed)
    assert [rule["name"] for rule in pages[0]["rules"]] == ["old", "ultrasound"]
    assert asked(archive, "operations/retention?by=2006-12-31")[1]["studies"] == []
    for wrong in ("by=tomorrow", "cursor=x", "limit=0", "cursor=WzcsMV0"):
        assert asked(archive, f"operations/retention?{wrong}")[0] == 400, wrong
    assert len(await find_matches(archive.peer, "STUDY", "StudyInstanceUID")) == 3


async def test_a_dead_letter_is_shown_replayed_in_vain_and_discarded(archive: RunningArchive, tmp_path: Path) -> None:
    files = study(tmp_path / "files", 1, name="Secret^Jane")
    event = await publish_without_object(archive, files[0])
    await until(lambda: asked(archive, "operations/letters")[1]["count"] == 1)
    (letter,) = asked(archive, "operations/letters")[1]["letters"]
    assert (letter["state"], letter["event"], letter["group"]) == ("open", "InstanceStored", "indexer")
    assert "Secret" not in json.dumps(letter)
    path = f"operations/letters/{letter['id']}"
    assert asked(archive, path) == (200, letter)
    assert asked(archive, f"operations/letters/{letter['id'][:8]}") == (200, letter)
    assert asked(archive, "operations/letters/ffffffff")[0] == 404
    # "where" names the letter, so that the page can lead to it.
    (account,) = asked(archive, f"operations/where?term={files[0].sop_instance_uid}")[1]["accounts"]
    assert [letter["letter"] for letter in account["dead"]] == [letter["id"]]
    status, replayed = asked(archive, f"{path}/replay", {})
    assert (status, replayed["handled"], replayed["again"]["reason"]) == (200, True, letter["reason"])
    again = f"operations/letters/{replayed['again']['id']}"
    assert asked(archive, path)[1]["state"] == "replayed"
    assert asked(archive, f"{again}/discard", {})[0] == 400
    status, discarded = asked(archive, f"{again}/discard?reason=sent+again", {})
    assert (status, discarded["state"], discarded["decided_why"]) == (200, "discarded", "sent again")
    assert discarded["decided_by"] == "loopback"
    assert asked(archive, "operations/letters")[1]["letters"] == []
    assert asked(archive, "operations/letters?state=all&limit=1")[1]["next"] == 1
    # Mended: the object is back, and what was discarded can be replayed still.
    await put_back(archive, event, files[0])
    assert asked(archive, f"{again}/replay", {})[1]["again"] is None
    await wait_for(archive, 1)


async def test_health_says_how_every_process_is_once_and_as_it_changes(archive: RunningArchive) -> None:
    def health() -> dict[str, Any]:
        status, answer = asked(archive, "operations/health")
        assert status == 200
        return dict(answer)

    await until(lambda: (p := health()["processes"]) and all(process["state"] == "ready" for process in p))
    answer = health()
    assert (answer["unknown"], answer["missing"]) == ([], [])
    assert sorted(role for process in answer["processes"] for role in process["roles"]) == sorted(set(EVERY))
    assert {(group["group"], group["topic"]) for group in answer["lag"]} >= {
        ("indexer", "instances"),
        ("archiver", "instances"),
    }
    assert answer["counts"]["studies"] == answer["dead_letters"] == 0
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/health"
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})

    def first_event() -> str:
        with urllib.request.urlopen(request, timeout=30) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            lines = [stream.readline().decode() for _ in range(4)]
        return lines[3]

    assert json.loads((await asyncio.to_thread(first_event)).removeprefix("data: "))["missing"] == []
    # What is killed is silent, and replaced by what begins in its place; what ends in order is gone at once.
    archive.kill()
    archive.start()
    await until(lambda: {process["state"] for process in health()["processes"]} == {"ready"})


async def test_peers_are_told_by_their_last_contact_and_tested_if_they_are_known(make_archive: MakeArchive) -> None:
    archive = make_archive(lab=False)
    itself = f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [echo]}}"
    archive.write_policy(
        [itself, "{ae_title: DOWN, host: 127.0.0.1, port: 1}", "{ae_title: QUIET, host: 127.0.0.1}"], SETTINGS
    )
    archive.start()
    with pytest.raises(AssociationRejected):
        async with connect(archive.peer, [(VERIFICATION, BOTH)]):
            pass
    await until(lambda: asked(archive, "operations/peers")[1]["refused"])
    response = asked(archive, "operations/peers")[1]
    (refused,) = response["refused"]
    assert (refused["ae_title"], refused["address"], refused["times"]) == ("TEST_SCU", "127.0.0.1", 1)
    assert "not known" in refused["why"]
    assert [(peer["ae_title"], peer["known"], peer["at"]) for peer in response["peers"]] == [
        ("GANTRY", True, 0),
        ("DOWN", True, 0),
        ("QUIET", True, 0),
    ]
    status, answer = asked(archive, "operations/peers/GANTRY/echo", {})
    assert (status, answer["ok"], answer["why"]) == (200, True, "")
    status, answer = asked(archive, "operations/peers/DOWN/echo", {})
    assert (status, answer["ok"]) == (200, False)
    assert answer["why"]
    assert asked(archive, "operations/peers/QUIET/echo", {})[0] == 409
    assert asked(archive, "operations/peers/TEST_SCU/echo", {})[0] == 404
    await until(lambda: asked(archive, "operations/peers")[1]["peers"][0]["at"] > 0)


@embedded
async def test_operations_come_through_the_door_from_every_process_behind_it(tmp_path: Path, topology: str) -> None:
    door = FrontDoor(
        tmp_path,
        scale={"ingest": 2},
        environment={"GANTRY_HTTP__MAY_OPERATE": "ingest-token", "GANTRY_HTTP__TOKENS_FILE": str(tmp_path / "tokens")},
        door={"GANTRY_HTTP__TOKENS_FILE": str(tmp_path / "tokens")},
    )
    (tmp_path / "tokens").write_text("ingest-token:0123456789abcdef0123\nother:fedcba98765432100123\n")
    door.start()
    try:
        token = {"Authorization": "Bearer 0123456789abcdef0123"}

        def processes() -> list[dict[str, Any]]:
            return list(asked(door, "operations/health", headers=token)[1]["processes"])

        # Seven processes and a mixed one behind it: whichever answers says it of all of them.
        await until(lambda: [process["state"] for process in processes()] == ["ready"] * 8)
        assert sum(1 for process in processes() if process["roles"] == ["ingest"]) == 2
        assert asked(door, "operations/health", headers={"Authorization": "Bearer fedcba98765432100123"})[0] == 403
        assert asked(door, "operations/health")[0] == 401
        door.parts["query"][0].kill()
        await until(
            lambda: [process["roles"] for process in processes() if process["state"] == "silent"] == [["query"]], 120
        )
    finally:
        door.stop()
