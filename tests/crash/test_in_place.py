"""A bucket (or folder) of somebody else is taken over in place, on the whole archive, in both topologies: what is found
and retrieved is bit for bit what lies there, nothing is doubled whatever is killed, and nothing there is changed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.cli.files import DicomFile
from gantry.common.adapters.key_file import line_of
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.events import InstanceStored, ObjectLost
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import dying, move
from tests.crash.test_tiers import cold_of, raw, the_same
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, get, stores_of, uids_of, wait_for
from tests.support.dcmtk import StoreScp, content
from tests.support.foreign import Foreign
from tests.support.objects import bytes_of, data_set, sample, study, write
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(240)
"""In a cluster each process joins its groups first."""
REST = (
    "http: {may_delete: [loopback], may_correct: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0, sweep_grace: 0.1, verify_every: 0}\n"
    "lifecycle: {collect_every: 0.3, erase_after: 0}\n"
)


def configure(archive: RunningArchive, foreign: Foreign, extra: str = "") -> None:
    archive.write_policy([], f"{REST}storage: {{in_place: [{foreign.setting}]}}\n{extra}")


def with_foreign(make_archive: MakeArchive, extra: str = "") -> tuple[RunningArchive, Foreign]:
    archive = make_archive()
    foreign = Foreign(archive)
    configure(archive, foreign, extra)
    return archive.start(), foreign


def fill(foreign: Foreign, files: Sequence[DicomFile], folder: str = "2019/ct ä+") -> dict[str, DicomFile]:
    """The files, under keys that Gantry would never make."""
    named = {f"{folder}/{number:04} DOE^JOHN.dcm": file for number, file in enumerate(files)}
    for key, file in named.items():
        foreign.put(key, file.path.read_bytes())
    return named


async def taken(archive: RunningArchive, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the import says at its end."""
    result = await run(archive, *arguments, "--json")
    assert result.returncode == code, result.stdout + result.stderr
    summary: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return summary


async def run(archive: RunningArchive, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(gantry, archive, "import-in-place", "old", "--job", job_of(archive), *arguments)


def job_of(archive: RunningArchive) -> str:
    return str(archive.folder / "job.db")


async def test_a_bucket_is_taken_in_place_and_everybody_gets_it_bit_for_bit(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 4, series=2, patient="P1")
    fill(foreign, files)
    foreign.put("readme.txt", b"no image")
    before = foreign.content()
    assert await taken(archive, "--dry-run", code=1) == {"objects": {"missing": 4, "not DICOM": 1}, "gone": 0}
    assert await find_matches(archive.peer, "STUDY", "StudyInstanceUID") == []
    assert await taken(archive) == {"objects": {"taken": 4, "not DICOM": 1}, "gone": 0}
    await wait_for(archive, len(files))
    await the_same(archive, files, tmp_path / "got")
    await expect_exactly(archive, files, tmp_path / "exactly")
    for command in (["verify"], ["sweep", "--all"], ["reconcile"]):
        result = await asyncio.to_thread(gantry, archive, *command, "--json")
        assert result.returncode == 0, (command, result.stdout, result.stderr)
    assert await taken(archive) == {"objects": {"taken": 4, "not DICOM": 1}, "gone": 0}
    stored = [event for event in await events(archive, "instances") if isinstance(event, InstanceStored)]
    assert len(stored) == 4
    assert all(event.object_key.endswith(".ref") for event in stored)
    assert foreign.content() == before
    assert archive.stop() == 0


async def test_what_is_here_is_not_taken_and_what_differs_is_left_alone_and_reported(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 3, patient="P1")
    uid, series = uids_of(files[0])
    extra = write(tmp_path / "extra", data_set(study=uid, series=series, number=9, patient="P1"))
    await Modality(archive.peer, [files[0], extra]).send_all()
    await wait_for(archive, 2)
    fill(foreign, files)
    longer = pydicom.dcmread(files[1].path)
    longer.ImageComments = "other bytes"
    longer.save_as(tmp_path / "longer.dcm")
    foreign.put("z/other.dcm", (tmp_path / "longer.dcm").read_bytes())
    foreign.put("z/same.dcm", files[2].path.read_bytes())
    report = tmp_path / "report.csv"
    summary = await taken(archive, "--parallel", "1", "--report", str(report))
    assert summary["objects"] == {"here": 1, "taken": 2, "different": 1, "duplicate": 1}
    kinds = {tuple(line.split(",")[i] for i in (0, 3, 4)) for line in report.read_text().splitlines()[1:]}
    assert ("extra", extra.sop_instance_uid, "") in kinds
    assert ("different", files[1].sop_instance_uid, "z/other.dcm") in kinds
    assert ("duplicate", files[2].sop_instance_uid, "z/same.dcm") in kinds
    await wait_for(archive, 4)
    await the_same(archive, [*files, extra], tmp_path / "got")
    assert archive.stop() == 0


@pytest.mark.parametrize("failpoint", ["after-blob-put=kill@3", "before-publish=kill@3", "after-publish=kill@3"])
async def test_an_import_that_is_killed_anywhere_goes_on_and_nothing_is_doubled(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 6, series=2)
    fill(foreign, files)
    before = foreign.content()
    command = "import-in-place", "old", "--job", job_of(archive), "--parallel", "2"
    assert await asyncio.to_thread(dying, archive, failpoint, *command) != 0
    assert (await taken(archive))["objects"]["taken"] == 6
    await wait_for(archive, 6)
    stored = [event for event in await events(archive, "instances") if isinstance(event, InstanceStored)]
    assert len({event.receipt for event in stored}) == 6
    await expect_exactly(archive, files, tmp_path / "got")
    assert foreign.content() == before
    assert archive.stop() == 0


async def test_a_hostile_bucket_gives_what_is_good_and_a_list_of_the_rest(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 2, patient="P1")
    fill(foreign, files)
    whole = files[0].path.read_bytes()
    foreign.put("bad/empty.dcm", b"")
    foreign.put("bad/junk.dcm", bytes(range(256)) * 5000)
    foreign.put("bad/" + "n" * 200 + "/" + "m" * 200, b"DICM" * 100)
    foreign.put("bad/meta-cut.dcm", whole[:200])
    other = data_set(patient="P2")
    cut = write(tmp_path / "cut", other).path.read_bytes()
    foreign.put("bad/data-set-cut.dcm", cut[:-5000])
    foreign.put("bad/no-data-set.dcm", whole[: parse_meta(whole).data_set_offset])
    directory = data_set(patient="P3", SOPClassUID="1.2.840.10008.1.3.10")
    foreign.put("DICOMDIR", write(tmp_path / "dir", directory).path.read_bytes())
    before = foreign.content()
    report = tmp_path / "report.csv"
    summary = await taken(archive, "--report", str(report))
    assert summary["objects"] == {"taken": 2, "not DICOM": 5, "refused": 2}
    rows = {line.split(",")[4]: line.split(",")[0] for line in report.read_text().splitlines()[1:]}
    assert (
        rows["bad/empty.dcm"]
        == rows["bad/junk.dcm"]
        == rows["bad/meta-cut.dcm"]
        == rows["bad/no-data-set.dcm"]
        == "not DICOM"
    )
    assert rows["bad/data-set-cut.dcm"] == rows["DICOMDIR"] == "refused"
    await wait_for(archive, 2)
    await expect_exactly(archive, files, tmp_path / "got")
    assert foreign.content() == before
    stored = [event for event in await events(archive, "instances") if isinstance(event, InstanceStored)]
    async with stores_of(archive) as stores:
        lying = {stat.key async for stat in stores.in_place.list("objects/")}
    assert lying == {event.object_key for event in stored}, "nothing is left of what was refused"
    assert archive.stop() == 0


async def test_what_its_owner_changes_or_removes_is_found_out_and_another_copy_takes_its_place(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 3, patient="P1")
    named = fill(foreign, files)
    await taken(archive)
    await wait_for(archive, 3)
    changed, removed, stays = named
    foreign.put(changed, named[changed].path.read_bytes()[:-1] + b"!")
    foreign.remove(removed)
    uid, series = uids_of(files[0])
    path = f"/dicom-web/studies/{uid}/series/{series}/instances/"
    for key, status in ((changed, 500), (removed, 500), (stays, 200)):
        url = f"{path}{named[key].sop_instance_uid}?accept=application/dicom"
        assert (await asyncio.to_thread(raw, archive, url))[0] == status, key
    verified = await asyncio.to_thread(gantry, archive, "verify", "--json")
    counts = json.loads(verified.stdout.splitlines()[-1])
    assert (verified.returncode, counts["damaged"], counts["missing"]) == (1, 1, 1), verified.stdout
    lost = [event for event in await events(archive, "instances") if isinstance(event, ObjectLost)]
    assert {event.reason for event in lost} == {"damaged", "missing"}
    # The owner put back what was there: it is another object of the same instance.
    foreign.put(changed, named[changed].path.read_bytes())
    summary = await taken(archive, code=1)
    assert (summary["objects"], summary["gone"]) == ({"taken": 2}, 1)
    await Modality(archive.peer, [named[removed]]).send_all()
    await until_whole(archive, files, tmp_path / "again")
    await the_same(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def until_whole(archive: RunningArchive, files: Sequence[DicomFile], folder: Path) -> None:
    uid = uids_of(files[0])[0]
    async with asyncio.timeout(60):
        for number in range(200):
            with suppress(AssertionError):
                got = await get(archive.peer, folder / str(number), "STUDY", f"StudyInstanceUID={uid}")
                if len(got) == len(files):
                    return
            await asyncio.sleep(0.3)


async def test_what_is_deleted_for_good_is_gone_here_and_stays_there_and_is_said(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 2, patient="P1")
    named = fill(foreign, files)
    before = foreign.content()
    await taken(archive)
    await wait_for(archive, 2)
    uid = uids_of(files[0])[0]
    purged = await asyncio.to_thread(gantry, archive, "purge", uid, "--reason", "test", "--yes")
    assert purged.returncode == 0, purged.stderr
    assert "bytes in place (storage.in_place) are not removed" in purged.stderr
    async with asyncio.timeout(60):
        while True:
            async with stores_of(archive) as stores:
                if not [stat.key async for stat in stores.in_place.list("objects/")]:
                    break
            await asyncio.sleep(0.3)
    assert await find_matches(archive.peer, "STUDY", "StudyInstanceUID") == []
    assert foreign.content() == before
    assert "bytes in place stay with their owner" in archive.log.read_text()
    left = await asyncio.to_thread(gantry, archive, "left-in-place", "--json")
    rows = [json.loads(line) for line in left.stdout.splitlines()]
    assert left.returncode == 1
    assert {(row["store"], row["key"]) for row in rows} == {("old", key) for key in named}
    for key in named:
        foreign.remove(key)
    left = await asyncio.to_thread(gantry, archive, "left-in-place", "--json")
    assert (left.returncode, left.stdout) == (0, "")
    assert archive.stop() == 0


async def test_it_is_the_same_after_a_reindex_and_from_the_bucket_alone(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 3, series=2, patient="P1")
    fill(foreign, files)
    await taken(archive)
    sent = study(tmp_path / "sent", 2, patient="P2")
    await Modality(archive.peer, sent).send_all()
    await wait_for(archive, 5)
    async with index_of(archive) as index:
        before = await everything(index)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    await the_same(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def test_the_sweeper_publishes_what_a_killed_import_left_and_the_next_run_doubles_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive, "coercion: {rules: [{name: n, set: {InstitutionName: NORTH}}]}\n")
    files = study(tmp_path / "files", 3, patient="P1")
    fill(foreign, files)
    command = "import-in-place", "old", "--job", job_of(archive), "--parallel", "1"
    assert await asyncio.to_thread(dying, archive, "before-publish=kill@2", *command) != 0
    await wait_for(archive, 1)
    await until_sealed(archive)
    await asyncio.sleep(0.2)  # `sweep_grace` is over
    swept = await asyncio.to_thread(gantry, archive, "sweep", "--all", "--json")
    assert (swept.returncode, json.loads(swept.stdout)["told"]) == (0, 1), (swept.stdout, swept.stderr)
    await wait_for(archive, 2)
    Path(job_of(archive)).unlink()
    assert (await taken(archive))["objects"] == {"here": 2, "taken": 1}
    await wait_for(archive, 3)
    stored = [event for event in await events(archive, "instances") if isinstance(event, InstanceStored)]
    assert len({event.receipt for event in stored}) == 3
    assert all(event.coercion for event in stored)
    names = await find_matches(archive.peer, "SERIES", "InstitutionName", f"StudyInstanceUID={uids_of(files[0])[0]}")
    assert {str(dataset.InstitutionName) for dataset in names} == {"NORTH"}
    assert archive.stop() == 0


async def test_c_move_sends_what_is_in_place_bit_for_bit_also_where_objects_of_ours_lie_encrypted(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    foreign, port = Foreign(archive), free_port()
    (archive.folder / "keys").write_text(line_of("first"))
    archive.write_policy(
        [f"{{ae_title: DEST, host: 127.0.0.1, port: {port}, may: [], move_destination: true}}"],
        f"{REST}storage: {{in_place: [{foreign.setting}]}}\nencryption: {{key_file: {archive.folder}/keys}}\n",
    )
    archive.start()
    files = [*study(tmp_path / "files", 3, series=2), sample(tmp_path / "compressed", "JPEG2000.dcm")]
    fill(foreign, files)
    before = foreign.content()
    assert (await taken(archive))["objects"] == {"taken": 4}
    await wait_for(archive, 4)
    with StoreScp(tmp_path / "dest", "DEST", "+xa", port=port) as plain:
        assert await move(archive.peer, f"StudyInstanceUID={uids_of(files[0])[0]}") == 0x0000
        got = {uid: content(path)[1] for uid, path in plain.received().items()}
    assert got == {file.sop_instance_uid: bytes_of(file) for file in files[:3]}
    (uid, series), compressed = uids_of(files[3]), files[3]
    path = f"/dicom-web/studies/{uid}/series/{series}/instances/{compressed.sop_instance_uid}"
    as_stored = "accept=application/dicom;transfer-syntax=*"
    status, part10 = await asyncio.to_thread(raw, archive, f"{path}?{as_stored}")
    assert (status, bytes_of(compressed) in part10) == (200, True)
    async with stores_of(archive) as stores:
        keys = [stat.key async for stat in stores.in_place.list("objects/")]
        references = [await stores.in_place.reference(key) for key in keys]
    assert sorted(reference.key for reference in references if reference is not None) == sorted(before)
    assert foreign.content() == before
    assert archive.stop() == 0


async def test_an_archive_that_does_not_name_the_bucket_any_more_says_so_and_loses_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 2, patient="P1")
    fill(foreign, files)
    await taken(archive)
    sent = study(tmp_path / "sent", 2, patient="P2")
    await Modality(archive.peer, sent).send_all()
    await wait_for(archive, 4)
    settings = archive.config.read_text()
    assert archive.stop() == 0
    archive.write_policy([], REST)
    archive.start()
    uid, series = uids_of(files[0])
    path = f"/dicom-web/studies/{uid}/series/{series}/instances/{files[0].sop_instance_uid}"
    assert (await asyncio.to_thread(raw, archive, f"{path}?accept=application/dicom"))[0] == 503
    got = await get(archive.peer, tmp_path / "ours", "STUDY", f"StudyInstanceUID={uids_of(sent[0])[0]}")
    assert got == {file.sop_instance_uid: bytes_of(file) for file in sent}
    refused = await run(archive)
    assert (refused.returncode, "does not name 'old'" in refused.stderr) == (1, True)
    verified = await asyncio.to_thread(gantry, archive, "verify")
    assert (verified.returncode, "storage.in_place" in verified.stderr) == (1, True), verified.stderr
    assert not [event for event in await events(archive, "instances") if isinstance(event, ObjectLost)]
    archive.config.write_text(settings)
    assert archive.stop() == 0
    archive.start()
    await the_same(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def test_a_rule_of_tiers_copies_what_is_in_place_into_a_bucket_of_ours(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, foreign = with_foreign(make_archive)
    files = study(tmp_path / "files", 3, series=2, patient="P1", StudyDate="20190105")
    named = fill(foreign, files)
    await taken(archive)
    await wait_for(archive, 3)
    tiers = f"tiers: {{stores: [{{name: cold, url: '{cold_of(archive)}'}}], every: 0, grace: 0, rate: 0, rules: ["
    configure(archive, foreign, tiers + "{name: old, after: 1y, to: cold}]}\n")
    assert archive.stop() == 0
    archive.start()
    moved = await asyncio.to_thread(gantry, archive, "tiers", "--json")
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["objects_in"] == {"hot": 0, "cold": 3}
    left = await asyncio.to_thread(gantry, archive, "left-in-place", "--json")
    assert {json.loads(line)["key"] for line in left.stdout.splitlines()} == set(named), left.stderr
    for key in named:
        foreign.remove(key)
    await the_same(archive, files, tmp_path / "got")
    verified = await asyncio.to_thread(gantry, archive, "verify")
    assert verified.returncode == 0, verified.stdout
    assert archive.stop() == 0
