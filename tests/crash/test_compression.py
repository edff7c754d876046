"""Studies that rules move to an object store that compresses, on the whole archive, in both topologies: less room, and
the same bytes for everybody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.common.lifecycle import HOT
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import ask
from tests.crash.test_deletion import dying, send
from tests.crash.test_tiers import TODAY, configure, objects_in, the_same, tiered, tiers_of, told, until_moved
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import expect_exactly, get, uids_of
from tests.support.image_files import samples
from tests.support.objects import bytes_of, data_set, study, write

pytestmark = pytest.mark.timeout(240)
SIDE = 512


def old_images(folder: Path) -> list[DicomFile]:
    """Three images whose frames take a block each, of an old study."""
    first = data_set(patient="P1", StudyDate="20190105")
    uids = {"study": first.StudyInstanceUID, "series": first.SeriesInstanceUID}
    pixels = samples(SIDE * SIDE, 2)
    return [
        write(folder, data_set(**uids, patient="P1", number=n, size=SIDE, StudyDate="20190105", PixelData=pixels))
        for n in (1, 2, 3)
    ]


async def room(archive: RunningArchive) -> dict[str, int]:
    """The bytes that objects take in each store."""
    async with tiers_of(archive) as tiers:
        return {name: sum([stat.size async for stat in store.list("objects/")]) for name, store in tiers.stores.items()}


async def test_what_is_compressed_takes_less_room_and_is_given_out_as_it_came(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, compress=True)
    old, new = old_images(tmp_path / "old"), study(tmp_path / "new", 2, patient="P2", StudyDate=TODAY)
    await send(archive, old, new)
    before = await room(archive)
    (state,) = told(archive)
    assert (state["moved"], state["failed"], state["unequal"], state["left"]) == (3, 0, 0, 3)
    after = await room(archive)
    assert state["bytes_in"] == after
    moved = before[HOT] - after[HOT]
    assert 3 * SIDE * SIDE * 2 < moved
    assert after["cold"] < moved / 2
    await the_same(archive, old, tmp_path / "got")
    await expect_exactly(archive, [*old, *new], tmp_path / "exactly")
    for command in (["verify"], ["reconcile"]):
        result = await asyncio.to_thread(gantry, archive, *command, "--json")
        assert result.returncode == 0, (command, result.stdout, result.stderr)
    # What is corrected is corrected in what is read, and the rest of it is as it came.
    uid = uids_of(old[0])[0]
    status, answer = ask(
        archive, "POST", f"studies/{uid}/corrections?reason=x", {"00081030": {"vr": "LO", "Value": ["Other"]}}
    )
    assert (status, answer["settled"]) == (200, True), answer
    objects = await get(archive.peer, tmp_path / "corrected", "STUDY", f"StudyInstanceUID={uid}")
    assert all(b"Other" in content and bytes_of(old[0])[-SIDE:] in content for content in objects.values())
    assert archive.stop() == 0


async def test_what_is_compressed_is_restored_and_comes_back_when_a_rule_says_so(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, compress=True)
    old = old_images(tmp_path / "old")
    await send(archive, old, [])
    told(archive)
    async with index_of(archive) as index:
        before = await everything(index)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    await the_same(archive, old, tmp_path / "restored")
    # Without knowing that it is compressed, all of it would be taken for damaged.
    configure(archive)
    refused = gantry(archive, "verify")
    assert (refused.returncode, "objects are compressed in cold" in refused.stderr) == (1, True), refused.stderr
    configure(archive, "{name: kept, where: ['PatientID=P1'], after: never, to: cold}", compress=True)
    told(archive)
    await until_moved(archive, cold=0, hot=3)
    assert (await room(archive))["cold"] == 0
    await the_same(archive, old, tmp_path / "back")
    assert archive.stop() == 0


@embedded
@pytest.mark.parametrize("failpoint", ["after-copy=kill@2", "before-leave=kill@2", "after-leave=kill@2"])
async def test_a_compression_that_is_killed_anywhere_loses_nothing_and_ends_the_same(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = tiered(make_archive, compress=True)
    old = old_images(tmp_path / "old")
    await send(archive, old, [])
    assert dying(archive, failpoint, "tiers") != 0
    await expect_exactly(archive, old, tmp_path / "got")
    keys = await objects_in(archive)
    assert len(keys[HOT] | keys["cold"]) == 3
    told(archive)
    await until_moved(archive, cold=3, hot=0)
    await the_same(archive, old, tmp_path / "after")
    assert archive.stop() == 0


@embedded
async def test_a_compressed_copy_that_is_damaged_is_noticed_before_the_original_goes(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, compress=True, grace=3600)
    old = old_images(tmp_path / "old")
    await send(archive, old, [])
    told(archive)
    key = sorted((await objects_in(archive))["cold"])[0]
    path = archive.folder / "cold" / key
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.chmod(0o600)
    path.write_bytes(content)
    configure(archive, grace=0, compress=True)
    result = gantry(archive, "tiers", "--json")
    assert result.returncode == 1, result.stdout
    keys = await objects_in(archive)
    assert (key in keys[HOT], len(keys[HOT]), len(keys["cold"])) == (True, 1, 3)
    # Nobody is given what is damaged.
    uid = uids_of(old[0])[0]
    objects = await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")
    assert set(objects.values()) <= {bytes_of(file) for file in old}
    assert archive.stop() == 0
