"""Promise 4 on the whole archive: once in effect, whatever comes again, at once, or with other bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from blake3 import blake3
from pydicom.uid import generate_uid

from gantry.common.events import InstanceConflictFound, InstanceStored
from tests.crash.conftest import MakeArchive
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, get, stored_object, stores_of, until
from tests.support.objects import bytes_of, data_set, study, write


def outcomes(archive: RunningArchive) -> dict[str, int]:
    """What the indexer made of the events so far."""
    names = ("added", "redundant", "redelivered", "conflict")
    counts = {name: int(archive.metric(f'gantry_instances_indexed_total{{outcome="{name}"}}')) for name in names}
    return {name: count for name, count in counts.items() if count}


async def test_objects_sent_over_eight_associations_at_once_are_counted_once(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive().start()
    files = study(tmp_path / "files", 30, series=2)
    modalities = [Modality(archive.peer, files, window=1 + n % 3) for n in range(8)]
    await asyncio.gather(*(modality.send_all() for modality in modalities))
    await until(lambda: sum(outcomes(archive).values()) == 240)
    assert outcomes(archive) == {"added": 30, "redundant": 210}
    await expect_exactly(archive, files, tmp_path / "got")
    assert await events(archive, "conflicts") == []


async def test_other_bytes_under_a_uid_are_kept_aside_and_told_of(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive().start()
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    first = write(tmp_path / "first", data_set(**uids, name="First^Come", number=1))
    other = write(tmp_path / "other", data_set(**uids, name="Second^Come", number=2))
    for file in (first, other):
        await Modality(archive.peer, [file]).send_all()
    await until(lambda: outcomes(archive) == {"added": 1, "conflict": 1})
    await expect_exactly(archive, [first], tmp_path / "got")
    (match,) = await find_matches(archive.peer, "STUDY", "PatientName")
    assert str(match.PatientName) == "First^Come"
    (conflict,) = await events(archive, "conflicts")
    assert isinstance(conflict, InstanceConflictFound)
    assert "this receipt is kept aside" in archive.log.read_text()
    assert conflict.sop_instance_uid == uids["instance"]
    assert (conflict.kept_digest, conflict.aside_digest) == (digest(bytes_of(first)), digest(bytes_of(other)))
    contents = await stored_bytes(archive)
    assert contents == {conflict.kept_receipt: bytes_of(first), conflict.aside_receipt: bytes_of(other)}


async def test_fifty_senders_at_once_with_one_uid_make_one_instance_that_is_no_mixture(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive().start()
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    # Of different lengths, one of them beyond what is stored in one piece.
    sizes = (16, 64, 200, 512, 900)
    variants = [write(tmp_path / str(n), data_set(**uids, number=n, size=size)) for n, size in enumerate(sizes)]
    modalities = [Modality(archive.peer, [variants[n % 5]]) for n in range(50)]
    await asyncio.gather(*(modality.send_all() for modality in modalities))
    await until(lambda: sum(outcomes(archive).values()) == 50)
    assert outcomes(archive)["added"] == 1
    contents = await stored_bytes(archive)
    assert sorted(contents.values()) == sorted(bytes_of(variants[n % 5]) for n in range(50))
    current = contents[min(contents)]
    for attempt in ("a", "b"):
        brought = await get(archive.peer, tmp_path / attempt, "STUDY", f"StudyInstanceUID={uids['study']}")
        assert brought == {uids["instance"]: current}
    (match,) = await find_matches(archive.peer, "STUDY")
    assert (match.NumberOfStudyRelatedInstances, match.NumberOfStudyRelatedSeries) == (1, 1)
    conflicts = [event for event in await events(archive, "conflicts") if isinstance(event, InstanceConflictFound)]
    named = {d for event in conflicts for d in (event.kept_digest, event.aside_digest)}
    assert named == {digest(bytes_of(variant)) for variant in variants}


def digest(data: bytes) -> str:
    return f"blake3:{blake3(data).hexdigest()}"


async def stored_bytes(archive: RunningArchive) -> dict[str, bytes]:
    """The data set of every receipt on the log, as it lies in the object store; its digest is checked."""
    contents = {}
    async with stores_of(archive) as stores:
        for event in await events(archive, "instances"):
            assert isinstance(event, InstanceStored)
            data = (await stored_object(stores, event.object_key))[event.data_set_offset :]
            assert digest(data) == event.digest
            contents[event.receipt] = data
    return contents
