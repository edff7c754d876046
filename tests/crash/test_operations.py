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

from tests.crash.conftest import MakeArchive
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, found, until, wait_for
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
    status, said = await asyncio.to_thread(asked, archive, "operations/where?term=PID7")
    assert status == 200
    (account,) = said["accounts"]
    assert account["searchable"] == 3
    assert {"of": "indexed", "fact": "3 instances can be found and retrieved"} in account["told"]
    assert "Secret" not in json.dumps(said)
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
    assert {one["path"]: (one["one"], one["other"]) for one in compared["differences"]} == {
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
    assert str((await found(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "N2^X"
    assert asked(archive, path)[0] == 404
    # Nothing else has the UID now: the last object goes with its instance only.
    assert asked(archive, f"{path}/removal?reason=x", {"receipt": aside["receipt"]})[0] == 404
    instance = f"studies/{uids['study']}/series/{uids['series']}/instances/{uids['instance']}"
    assert asked(archive, f"{instance}/restore?reason=no", {})[0] == 204
    assert len(asked(archive, path)[1]["sides"]) == 2
