"""Objects that lie encrypted, on the whole archive, in both topologies: nobody reads them in the store without the
keys, everybody whom the archive gives them reads them as they came, and keys are replaced while it works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.common.encryption.data_keys import ROOT
from gantry.common.encryption.form import read_head
from gantry.common.errors import ConfigError
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.services.process.key_services import add_key
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_tiers import the_same
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, store, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, expect_kept, stores_of, wait_for
from tests.support.objects import study

pytestmark = pytest.mark.timeout(240)
MARKED = "MARKED^PATIENT"


def encrypted(archive: RunningArchive, keys: Path) -> None:
    archive.write_policy([], f"encryption: {{key_file: {keys}}}\nupkeep: {{seal_every: 0.2}}\n")


async def sent(archive: RunningArchive, files: Sequence[DicomFile], count: int) -> None:
    """Send, and wait until the archive finds as many."""
    await store(archive, files)
    await wait_for(archive, count)


async def lying(archive: RunningArchive) -> dict[str, bytes]:
    """Everything that lies in the object store, as it lies there."""
    async with stores_of(archive) as stores:
        below: BlobStore = stores.keys["hot"]._inner  # what a thief sees
        return {stat.key: await read_whole(below, stat.key) async for stat in below.list()}


async def listed(archive: RunningArchive) -> tuple[int, dict[str, int]]:
    """The exit code of `gantry keys list`, and how many data keys each key wraps."""
    result = await asyncio.to_thread(gantry, archive, "keys", "list", "--json")
    assert result.stdout, result.stderr
    rows = json.loads(result.stdout)["keys"]
    return result.returncode, {row["wrapping_key"]: row["data_keys"] for row in rows}


async def test_nobody_reads_in_the_store_what_everybody_gets_as_it_came(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, keys = make_archive(), tmp_path / "keys"
    plain = study(tmp_path / "plain", 2, patient="P0", PatientName=MARKED)
    archive.start()
    await sent(archive, plain, 2)
    assert archive.stop() == 0
    add_key(keys, "first")
    encrypted(archive, keys)
    archive.start()
    files = study(tmp_path / "files", 4, series=2, patient="P1", PatientName=MARKED)
    await sent(archive, files, 6)
    await until_sealed(archive)
    archive.kill()
    archive.start()
    await expect_exactly(archive, [*plain, *files], tmp_path / "got")
    contents = await lying(archive)
    objects = {key: content for key, content in contents.items() if key.startswith("objects/")}
    heads = {key: read_head(content[:200]) is not None for key, content in objects.items()}
    # What was there before lies as it came, and is read beside the rest.
    assert sorted(heads.values()) == [False] * 2 + [True] * 4
    assert [MARKED.encode() in objects[key] for key in objects if heads[key]] == [False] * 4
    assert all(read_head(content[:200]) for key, content in contents.items() if key.startswith("events/"))
    verified = await asyncio.to_thread(gantry, archive, "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["objects"]) == (0, 6), verified.stdout
    assert archive.stop() == 0


async def test_the_bucket_and_the_keys_bring_everything_back_and_without_keys_nothing_starts(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, keys = make_archive(), tmp_path / "keys"
    add_key(keys, "first")
    encrypted(archive, keys)
    archive.start()
    files = study(tmp_path / "files", 3, patient="P1")
    await sent(archive, files, 3)
    async with index_of(archive) as index:
        before = await everything(index)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    archive.write_policy([])
    refused = await asyncio.to_thread(gantry, archive, "restore")
    assert (refused.returncode, "objects are encrypted" in refused.stderr) == (1, True), refused.stderr
    with pytest.raises(ConfigError, match="objects are encrypted"):
        async with stores_of(archive):
            pass
    # With other keys nothing is restored, and nothing is called lost.
    encrypted(archive, tmp_path / "others")
    add_key(tmp_path / "others", "first")
    refused = await asyncio.to_thread(gantry, archive, "restore")
    assert (refused.returncode, "key service" in refused.stderr) == (1, True), refused.stderr
    encrypted(archive, keys)
    restored = await asyncio.to_thread(gantry, archive, "restore")
    assert restored.returncode == 0, restored.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    await the_same(archive, files, tmp_path / "restored")
    assert archive.stop() == 0


async def test_keys_are_replaced_while_senders_send_and_the_archive_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, keys = make_archive(), tmp_path / "keys"
    add_key(keys, "first")
    encrypted(archive, keys)
    archive.start()
    senders = [Modality(archive.peer, study(tmp_path / f"files{n}", 12, patient=f"P{n}")) for n in range(3)]
    sending = asyncio.ensure_future(asyncio.gather(*(sender.send_all() for sender in senders)))
    await asyncio.sleep(0.5)
    add_key(keys, "second")
    wrapped = await asyncio.to_thread(gantry, archive, "keys", "rewrap", "--json")
    assert wrapped.returncode == 0, wrapped.stderr
    archive.kill()
    archive.start()
    await sending
    assert await listed(archive) == (0, {"second": 1})
    # The key before is not needed any more: not by what runs, nor by what starts.
    keys.write_text("".join(line for line in keys.read_text().splitlines(True) if line.startswith("second ")))
    await expect_kept(archive, senders)
    assert archive.stop() == 0
    archive.start()
    await expect_exactly(archive, [file for sender in senders for file in sender.files], tmp_path / "got")
    assert archive.stop() == 0


@embedded
async def test_a_key_that_is_taken_away_too_early_is_said_and_comes_back(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive, keys = make_archive(), tmp_path / "keys"
    add_key(keys, "first")
    encrypted(archive, keys)
    archive.start()
    files = study(tmp_path / "files", 2, patient="P1")
    await sent(archive, files, 2)
    assert archive.stop() == 0
    text = keys.read_text()
    add_key(keys, "second")
    keys.write_text("".join(line for line in keys.read_text().splitlines(True) if line.startswith("second ")))
    assert await listed(archive) == (1, {"first": 1})
    verified = await asyncio.to_thread(gantry, archive, "verify", "--json")
    assert (verified.returncode, "key service unavailable: keys has no key first" in verified.stderr) == (1, True)
    archive.start()
    # What is new is stored by the key that is there.
    more = study(tmp_path / "more", 1, patient="P2")
    await sent(archive, more, 3)
    assert await listed(archive) == (1, {"first": 1, "second": 1})
    keys.write_text(text + keys.read_text())
    await expect_exactly(archive, [*files, *more], tmp_path / "got")
    assert [key.startswith(ROOT) for key in await lying(archive)].count(True) == 2
    assert archive.stop() == 0
