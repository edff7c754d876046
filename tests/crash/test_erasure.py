"""After a deletion became final no byte of a marked name is left anywhere that we write (docs/lifecycle.md says for how
long it may be before)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.events import TOPICS, ObjectsCollected, PatientCorrectionsErased, StudyCorrectionsErased
from gantry.common.ports.blobs import read_whole
from gantry.common.runtime.sealed_events import segments
from gantry.services.process.stores import Stores, open_stores
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import SETTINGS as UNRECORDED
from tests.crash.test_deletion import archive_of, bytes_of_index, delete, done
from tests.crash.test_upkeep import gantry, places, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, stores_of, uids_of, until, wait_for
from tests.support.objects import data_set, study, write
from tests.support.opensearch_documents import deleted_documents

MARKS = (b"P-GONE", b"MARKED", b"marked", b"Marked")
SETTINGS = UNRECORDED.replace("audit: {on: false}\n", "")
COERCING = """coercion: {rules: [{name: x, where: ['PatientID=P-GONE'], set: {ReferringPhysicianName: Marked^Coerced}}]}
"""
TRAIL = "audit/"
"""What was accessed, by whom, and who looked for whom, stays on record there (decision 0043)."""
MONTH_US = 31 * 24 * 3600 * 1_000_000


class Later(SystemClock):
    """The clock of a month from now."""

    def now_us(self) -> int:
        return super().now_us() + MONTH_US


async def bytes_in(stores: Stores) -> bytes:
    """All objects, what is sealed in them, and all that the log has."""
    keys = [stat.key async for stat in stores.objects.list("") if not stat.key.startswith(TRAIL)]
    everything = [await read_whole(stores.objects, key) for key in keys]
    async for segment in segments(stores.objects, "default", 0, SystemClock().now_us() // 1000):
        everything += [record.payload for record in segment.records]
    for topic in {topic.name for topic in TOPICS.values()}:
        everything += [record.payload async for record in stores.log.replay(topic)]
    return b"".join(everything)


async def bytes_of(archive: RunningArchive) -> bytes:
    """All that an archive has written: objects, segments, log, index, log lines, and every file of its folder."""
    async with stores_of(archive) as stores:
        in_stores = await bytes_in(stores)
    written = [path for path in (archive.folder / "data").rglob("*") if path.is_file()]
    files = [path.read_bytes() for path in written if TRAIL.strip("/") not in path.parts]
    return in_stores + bytes_of_index(archive) + archive.log.read_bytes() + b"".join(files)


async def forget_what_is_old(archive: RunningArchive) -> None:
    """As when the time that the log keeps events for is over. What the trail wrote while the archive ended is sealed by
    the next process, and can be forgotten by the log then."""
    archive.start()
    await until_sealed(archive)
    assert archive.stop() == 0
    environment = {**archive.environment, "GANTRY_DATA": str(archive.folder / "data")}
    stores = await open_stores(load_settings(None, environment), Later())
    try:
        assert await stores.log.remove_expired() > 0  # type: ignore[attr-defined]
    finally:
        await stores.close()


async def collected(archive: RunningArchive, count: int) -> None:
    """Return when there are certificates of so many receipts."""
    async with asyncio.timeout(90):
        while True:
            certificates = [
                event for event in await events(archive, "instances") if isinstance(event, ObjectsCollected)
            ]
            if len({receipt.receipt for certificate in certificates for receipt in certificate.receipts}) == count:
                return
            await asyncio.sleep(0.3)


async def erased(archive: RunningArchive) -> None:
    """Return when the values of the corrections are gone: of the study, and of its patient."""
    kinds = StudyCorrectionsErased | PatientCorrectionsErased
    async with asyncio.timeout(90):
        while True:
            history = [*await events(archive, "instances"), *await events(archive, "patients")]
            if len({type(event) for event in history if isinstance(event, kinds)}) == 2:
                return
            await asyncio.sleep(0.3)


async def send(archive: RunningArchive, files: list[DicomFile]) -> None:
    await Modality(archive.peer, files).send_all()


@pytest.mark.timeout(300)  # every command starts a process of its own
async def test_no_byte_of_a_name_is_left_after_its_deletion_became_final(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, SETTINGS + COERCING + "completion: {quiet: 0.5}\n")
    gone = study(tmp_path / "gone", 4, patient="P-GONE", name="Marked^Name")
    stays = study(tmp_path / "stays", 2, patient="P-STAYS", name="Stays^Name")
    await send(archive, gone)
    # The same bytes again, and other bytes of the same name and instance, which are kept aside.
    await send(archive, gone[:1])
    await send(archive, [write(tmp_path / "other", data_set(**places(gone[1]), patient="P-GONE", name="Marked^Other"))])
    await send(archive, stays)
    await wait_for(archive, 6)
    assert (
        len(await find_matches(archive.peer, "STUDY", "PatientName=MARKED*", "ReferringPhysicianName=MARKED^COER*"))
        == 1
    )
    uid = uids_of(gone[0])[0]
    # What a correction says is kept beside the objects, and goes with them.
    done(archive, "correct", uid, "--set", "PatientName=Marked^Corrected", "--reason", "misspelt")
    done(archive, "correct", "--patient", "P-GONE", "--set", "PatientComments=Marked", "--reason", "x")
    done(archive, "change-id", "P-GONE", "--to", "P-GONE-ANEW", "--reason", "new numbers")
    assert len(await find_matches(archive.peer, "STUDY", "PatientName=MARKED^CORR*", "PatientID=P-GONE-ANEW")) == 1
    # Deleted, restored and deleted again: what was kept to bring it back goes, too.
    assert delete(archive, uid)[0] == 204
    done(archive, "undelete", uid, "--reason", "a mistake")
    everything = await bytes_of(archive)
    assert any(mark in everything for mark in MARKS)
    done(archive, "purge", uid, "--reason", "the law", "--yes")
    await collected(archive, 6)
    await erased(archive)
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    await until_sealed(archive)
    await expect_exactly(archive, stays, tmp_path / "got")
    # Arrivals of studies that are not complete are needed yet.
    await until(lambda: archive.metric("gantry_studies_open") == 0)
    await asyncio.sleep(1)
    assert archive.stop() == 0
    await forget_what_is_old(archive)
    everything = await bytes_of(archive)
    assert b"P-STAYS" in everything
    assert [mark for mark in MARKS if mark in everything] == []
    if archive.environment:
        prefix = archive.environment["GANTRY_STORAGE__INDEX"].rpartition("/")[2]
        async with asyncio.timeout(90):
            while deleted_documents(prefix) != {"0"}:
                await asyncio.sleep(1)
    # A new index is made of what is left, and knows no more.
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    everything = await bytes_of(archive)
    assert [mark for mark in MARKS if mark in everything] == []
