"""Retention and holds on patients on the whole archive: nobody deletes what they keep, what is over goes by itself, and
whatever is killed, it ends the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from gantry.cli.files import DicomFile
from gantry.common.events import InstancesDeleted, StudyAccessed
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import DESTINATION, delete, kill_when_its_indexer_died, send
from tests.crash.test_rejection import data_sets, sent
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, get, uids_of, wait_for
from tests.support.objects import study
from tests.support.rejection_notes import QUALITY, RETENTION, rejection_note

SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle:\n  collect_every: 0\n  expire_every: %s\n  retention:\n%s\n"
)
KEPT = "    - {name: ultrasound, where: ['ModalitiesInStudy=US'], keep: 100y}"
OVER = "    - {name: old, where: ['StudyDate=-20101231'], keep: 1y, then: delete}"
READ = "    - {name: read, keep: 10y, since: access}"


def archive_of(make_archive: MakeArchive, *rules: str, every: float = 0) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS % (every, "\n".join(rules)))
    return archive


async def uids(archive: RunningArchive) -> set[str]:
    return {str(match.StudyInstanceUID) for match in await find_matches(archive.peer, "STUDY", "StudyInstanceUID")}


def uid_of(files: Sequence[DicomFile]) -> str:
    return uids_of(files[0])[0]


async def test_nobody_deletes_what_a_rule_keeps(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, KEPT).start()
    retained, free = study(tmp_path / "kept", 2, Modality="US"), study(tmp_path / "free", 1, Modality="MR")
    await send(archive, retained, free)
    status, words = delete(archive, uid_of(retained))
    assert status == 409
    assert "rule 'ultrasound' keeps this study until 21" in words
    for arguments in (("delete", uid_of(retained)), ("purge", uid_of(retained), "--yes")):
        result = gantry(archive, *arguments, "--reason", "space")
        assert result.returncode == 1
        assert "its retention is not over" in result.stderr
    result = gantry(archive, "delete", "--where", "ModalitiesInStudy=US\\MR", "--yes", "--reason", "x", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["held"] == [uid_of(retained)]
    assert await uids(archive) == {uid_of(retained)}
    # A note that deletes is refused; one that only hides keeps its objects.
    images = data_sets(retained)
    assert await sent(archive, rejection_note(images, RETENTION)) == [0xA776]
    await expect_exactly(archive, retained, tmp_path / "got")
    assert await sent(archive, rejection_note(images, QUALITY)) == [0x0000]
    assert uid_of(retained) not in await uids(archive)
    assert archive.stop() == 0


async def test_a_hold_on_a_patient_is_not_escaped_by_a_merge_or_a_correction(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, OVER).start()
    held, other = study(tmp_path / "held", 1, patient="P1"), study(tmp_path / "other", 1, patient="P2")
    assigned = study(tmp_path / "assigned", 1, patient="P1")
    await send(archive, held, other, assigned)
    for arguments in (
        ("hold", "place", "--patient", "P1", "--reason", "a court"),
        ("merge", "P1", "--into", "P2", "--reason", "one person"),
        ("assign", uid_of(assigned), "--patient", "P3", "--reason", "wrong patient"),
    ):
        result = gantry(archive, *arguments)
        assert result.returncode == 0, result.stderr
    assert delete(archive, uid_of(held))[0] == 409
    assert delete(archive, uid_of(assigned))[0] == 409
    assert delete(archive, uid_of(other))[0] == 204
    assert archive.stop() == 0


async def test_a_hold_on_a_patient_stops_everybody_and_is_nowhere_by_name(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, OVER).start()
    first = study(tmp_path / "first", 1, patient="HELD-PATIENT", StudyDate="20050101")
    await send(archive, first)
    result = gantry(archive, "hold", "place", "--patient", "HELD-PATIENT", "--reason", "a court")
    assert result.returncode == 0, result.stderr
    later = study(tmp_path / "later", 1, patient="HELD-PATIENT", StudyDate="20060101")
    other = study(tmp_path / "other", 1, patient="ANOTHER", StudyDate="20060101")
    await Modality(archive.peer, [*later, *other]).send_all()
    await wait_for(archive, 3)
    for files in (first, later):
        assert delete(archive, uid_of(files))[0] == 409
    assert await sent(archive, rejection_note(data_sets(later), QUALITY)) == [0xA776]
    listed = [json.loads(line) for line in gantry(archive, "retention", "--dry-run", "--json").stdout.splitlines()]
    assert {line["study"]: (line["rule"], line["holds"]) for line in listed} == {
        uid_of(first): ("old", 1),
        uid_of(later): ("old", 1),
        uid_of(other): ("old", 0),
    }
    result = gantry(archive, "retention", "--yes", "--json")
    assert result.returncode == 1
    assert set(json.loads(result.stdout)["held"]) == {uid_of(first), uid_of(later)}
    assert await uids(archive) == {uid_of(first), uid_of(later)}
    assert "HELD-PATIENT" not in archive.log.read_text()
    archive.stop()
    archive.start()
    assert delete(archive, uid_of(first))[0] == 409
    for term in ((), ("HELD-PATIENT",)):
        standing = gantry(archive, "hold", "list", *term, "--json")
        (hold,) = map(json.loads, standing.stdout.splitlines())
        assert (hold["on"], hold["study_instance_uid"], hold["reason"]) == ("patient", "", "a court")
        assert "HELD-PATIENT" not in standing.stdout
    assert gantry(archive, "hold", "release", "--patient", "HELD-PATIENT", "--reason", "over").returncode == 0
    assert gantry(archive, "hold", "list").stdout == "no hold is in force\n"
    assert delete(archive, uid_of(first))[0] == 204
    assert archive.stop() == 0


async def test_deleting_by_schedule_survives_being_killed_and_keeps_what_is_held(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, OVER)
    archive.start()
    old = [study(tmp_path / f"old{n}", 1, StudyDate="20050101", patient=f"P{n}") for n in range(3)]
    new = study(tmp_path / "new", 1, StudyDate="20220101")
    await send(archive, *old, new)
    assert gantry(archive, "hold", "place", "--patient", "P0", "--reason", "x").returncode == 0
    archive.kill()
    archive.write_policy([DESTINATION], SETTINGS % (0.2, OVER))
    # It dies with its first deletion on the log.
    archive.start(failpoints="after-publish=kill@1", ready=False)
    await kill_when_its_indexer_died(archive)
    archive.start()
    expected = {uid_of(old[0]), uid_of(new)}
    async with asyncio.timeout(60):
        while await uids(archive) != expected:
            await asyncio.sleep(0.2)
    assert await uids(archive) == expected
    deleted = [event for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)]
    assert sorted(event.study_instance_uid for event in deleted) == sorted(uid_of(files) for files in old[1:])
    assert {(event.by, event.final) for event in deleted} == {("retention rule old", False)}
    assert gantry(archive, "undelete", uid_of(old[1]), "--reason", "x").returncode == 0
    archive.kill()


async def test_accesses_by_dicom_and_web_are_on_the_log_once_a_day(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, READ).start()
    by_get, by_web, unread = (study(tmp_path / name, 1) for name in ("get", "web", "unread"))
    await send(archive, by_get, by_web, unread)

    async def accessed() -> list[str]:
        return sorted(e.study_instance_uid for e in await events(archive, "instances") if isinstance(e, StudyAccessed))

    for _ in range(2):
        await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid_of(by_get)}")
        assert archive.http(f"/dicom-web/studies/{uid_of(by_web)}")[0] == 200
        assert archive.http(f"/dicom-web/studies/{uid_of(unread)}/metadata")[0] == 200
        expected = sorted([uid_of(by_get), uid_of(by_web)])
        async with asyncio.timeout(60):
            while await accessed() != expected:
                await asyncio.sleep(0.2)
        assert await accessed() == expected
        assert archive.stop() == 0
        archive.start()
    assert archive.stop() == 0
