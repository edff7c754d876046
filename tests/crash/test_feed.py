"""The change feed of the whole archive: everything is in it, in order, from the beginning, whatever is lost."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.compat.test_changes import SCHEMAS
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import DESTINATION, SETTINGS, delete, done, send
from tests.crash.test_rejection import data_sets, sent
from tests.crash.test_upkeep import lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, uids_of
from tests.support.json_schema import require
from tests.support.objects import study
from tests.support.rejection_notes import QUALITY, rejection_note

Change = dict[str, Any]


def page(archive: RunningArchive, **parameters: str | int) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    status, body = archive.http(f"/dicom-web/changes?{query}")
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def read(archive: RunningArchive, since: str = "", limit: int = 1000) -> tuple[list[Change], str]:
    """Everything behind a cursor, each change of its schema; and the cursor after it."""
    changes: list[Change] = []
    while True:
        answer = page(archive, since=since, limit=limit)
        changes += answer["changes"]
        since = answer["next"]
        if not answer["more"]:
            break
    for change in changes:
        require(change, json.loads((SCHEMAS / f"{change['type']}.json").read_text()))
    return changes, since


async def read_until(archive: RunningArchive, type_: str, since: str = "") -> tuple[list[Change], str]:
    """Read until a change of this type has come."""
    changes: list[Change] = []
    async with asyncio.timeout(60):
        while type_ not in {change["type"] for change in changes}:
            more, since = await asyncio.to_thread(read, archive, since)
            changes += more
            await asyncio.sleep(0.1)
    return changes, since


def types(changes: list[Change], study_uid: str) -> list[str]:
    """What happened to a study, each event once, as a consumer takes it that knows ids."""
    once = {change["id"]: change for change in changes if change.get("StudyInstanceUID") == study_uid}
    return [str(change["type"]) for change in once.values()]


@pytest.mark.timeout(400)
async def test_everything_that_happens_to_a_study_is_told_in_order(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS)
    archive.start()
    files = study(tmp_path / "files", 2, name="MARKED^NAME", patient="MARKED-ID")
    uid, _ = uids_of(files[0])
    await send(archive, files)
    done(archive, "hold", "place", uid, "--reason", "trial")
    done(archive, "hold", "release", uid, "--reason", "over")
    done(archive, "hold", "place", "--patient", "MARKED-ID", "--reason", "court")
    done(archive, "hold", "release", "--patient", "MARKED-ID", "--reason", "over")
    assert delete(archive, uid)[0] == 204
    done(archive, "undelete", uid, "--reason", "a mistake")
    assert await sent(archive, rejection_note(data_sets(files[:1]), QUALITY)) == [0x0000]
    done(archive, "purge", uid, "--yes", "--reason", "the law")
    changes, since = await read_until(archive, "collected")
    expected = [
        "stored",
        "stored",
        "held",
        "released",
        "deleted",
        "restored",
        "stored",
        "rejected",
        "deleted",
        "collected",
    ]
    assert types(changes, uid) == expected
    assert {"patient-held", "patient-released"} <= {change["type"] for change in changes}
    assert "MARKED" not in json.dumps(changes)
    # In pages of two, and after a kill, it is the same; a cursor goes on where it was.
    archive.kill()
    archive.start()
    again, _ = read(archive, limit=2)
    assert types(again, uid) == expected
    assert read(archive, since)[0] == []
    more = study(tmp_path / "more", 1)
    await Modality(archive.peer, more).send_all()
    feed, _ = await read_until(archive, "stored", since)
    assert types(feed, uids_of(more[0])[0]) == ["stored"]
    assert archive.stop() == 0


@pytest.mark.timeout(300)
async def test_after_the_log_was_lost_the_feed_begins_at_the_beginning_all_the_same(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS)
    archive.start()
    files = study(tmp_path / "files", 3)
    uid, _ = uids_of(files[0])
    await send(archive, files)
    assert delete(archive, uid)[0] == 204
    changes, since = read(archive)
    await until_sealed(archive)
    archive.kill()
    lose_log_and_index(archive)
    done(archive, "restore")
    archive.start()
    assert types(read(archive)[0], uid) == types(changes, uid) == ["stored"] * 3 + ["deleted"]
    # A cursor of the lost log misses nothing either.
    done(archive, "undelete", uid, "--reason", "x")
    feed, _ = await read_until(archive, "restored", since)
    assert types(feed, uid)[-1] == "restored"
    archive.kill()


async def test_a_reader_waits_or_listens_and_goes_on_after_a_reconnection(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS)
    archive.start()
    first, second = study(tmp_path / "first", 1), study(tmp_path / "second", 1)
    begin = page(archive, since="now")["next"]
    waiting = asyncio.create_task(asyncio.to_thread(page, archive, since=begin, wait=30))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await send(archive, first)
    answer = await waiting
    assert [change["StudyInstanceUID"] for change in answer["changes"]] == [uids_of(first[0])[0]]
    assert page(archive, since=answer["next"], wait=1)["changes"] == []

    def listen(last: str, event: str) -> tuple[Change, str]:
        url = f"http://127.0.0.1:{archive.http_port}/dicom-web/changes?since=now"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as stream:
            kind = ""
            for raw in stream:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    last = value
                elif name == "event":
                    kind = value
                elif name == "data" and kind == event:
                    return json.loads(value), last
        raise AssertionError("the stream ended")

    change, last = await asyncio.to_thread(listen, begin, "stored")
    assert change == answer["changes"][0]
    listening = asyncio.create_task(asyncio.to_thread(listen, last, "stored"))
    await asyncio.sleep(0.3)
    await Modality(archive.peer, second).send_all()
    change, _ = await listening
    assert change["StudyInstanceUID"] == uids_of(second[0])[0]
    for bad in ("since=junk", "limit=x", "wait=-1"):
        assert archive.http(f"/dicom-web/changes?{bad}")[0] == 400
    assert archive.stop() == 0
