"""Rejection notes (IHE IOCM): what they name is hidden everywhere before they are answered, counted right, brought back
by hand, and refused whole where they cannot be followed; also when the indexer dies between the two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom.sop_class import CTImageStorage, KeyObjectSelectionDocumentStorage

from gantry.cli.files import DicomFile
from gantry.common.events import InstancesDeleted
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import (
    DESTINATION,
    delete,
    done,
    kill_when_its_indexer_died,
    nothing_of,
    objects_in,
    over_http,
    send,
)
from tests.crash.test_upkeep import until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, uids_of, until
from tests.support.objects import data_set, file_bytes, study, write
from tests.support.pynetdicom_peers import associated
from tests.support.rejection_notes import QUALITY, RETENTION, SAFETY, WORKLIST, rejection_note
from tests.support.stow import files, post

EXPLICIT = "1.2.840.10008.1.2.1"
SETTINGS = (
    # Sealing the trail is a commit of a consumer, too; fail points there are to meet the indexer.
    "audit: {on: false}\n"
    "http: {may_delete: [loopback]}\n"
    # A note waits for the images before it: its object is no orphan meanwhile.
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 5}\n"
    "lifecycle: {collect_every: 0.3, grace: 0.001, rejections: [%s]}\n"
    "commitment: {retry_first: 0.2, in_flight_deadline: 2}\n"
)
RULES = "113001=hide, 113037=note, 113039=show"


def archive_of(make_archive: MakeArchive, rules: str = RULES) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS % rules)
    return archive.start()


def data_sets(made: Sequence[DicomFile]) -> list[Dataset]:
    return [pydicom.dcmread(file.path, stop_before_pixels=True) for file in made]


def store(archive: RunningArchive, *datasets: Dataset) -> list[int]:
    """C-STORE statuses, one association."""
    contexts = [(KeyObjectSelectionDocumentStorage, [EXPLICIT]), (CTImageStorage, [EXPLICIT])]
    with associated(archive.peer, contexts) as association:
        return [association.send_c_store(dataset).Status for dataset in datasets]


async def sent(archive: RunningArchive, *datasets: Dataset) -> list[int]:
    return await asyncio.to_thread(store, archive, *datasets)


async def counts(archive: RunningArchive, uid: str) -> tuple[str, ...] | None:
    keys = "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy"
    answers = await find_matches(archive.peer, "STUDY", f"StudyInstanceUID={uid}", *keys)
    return tuple(str(answers[0].get(key)) for key in keys) if answers else None


async def shows(archive: RunningArchive, uid: str, expected: tuple[str, ...]) -> None:
    """As soon as the indexers have followed: nobody waited for them."""
    async with asyncio.timeout(20):
        while await counts(archive, uid) != expected:
            await asyncio.sleep(0.05)


async def test_what_a_note_rejects_is_hidden_before_it_is_answered_and_comes_back_by_hand(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    gone, stays = study(tmp_path / "gone", 4, series=2), study(tmp_path / "stays", 2)
    await send(archive, gone, stays)
    uid, series = uids_of(gone[0])
    first = [dataset for dataset in data_sets(gone) if dataset.SeriesInstanceUID == series]
    second = [dataset for dataset in data_sets(gone) if dataset.SeriesInstanceUID != series]
    assert await sent(archive, rejection_note(first)) == [0x0000]
    assert await counts(archive, uid) == ("1", "2", "CT")
    # Rejecting the last series rejects the study; the notes are hidden with what they reject.
    assert await sent(archive, rejection_note(second)) == [0x0000]
    assert await counts(archive, uid) is None
    await nothing_of(archive, gone, tmp_path / "got0")
    await expect_exactly(archive, stays, tmp_path / "got1")
    # A note that is read again publishes the same deletion again.
    deletions = {
        event.deletion: event for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)
    }
    assert [
        (deletion.kept, deletion.reason.startswith("113001 Rejected for Quality Reasons"))
        for deletion in deletions.values()
    ] == [(True, True)] * 2
    # The grace time is over at once here: what is rejected is not collected all the same.
    await until_sealed(archive)
    await asyncio.sleep(1.0)
    assert len(await objects_in(archive)) == 4 + 2 + 2
    done(archive, "undelete", uid, "--reason", "rejected by mistake")
    await shows(archive, uid, ("4", "6", "['CT', 'KO']"))
    assert archive.stop() == 0


@embedded
async def test_by_configuration_the_note_is_shown_or_nothing_is_hidden(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    made = study(tmp_path / "files", 2)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    shown = rejection_note(data_sets(made), RETENTION)
    assert await sent(archive, shown) == [0x0000]
    await shows(archive, uid, ("2", "3", "['CT', 'KO']"))
    assert await sent(archive, rejection_note(data_sets(made), SAFETY)) == [0x0000]
    assert await counts(archive, uid) == ("2", "2", "KO")
    assert archive.stop() == 0


@embedded
async def test_what_is_sent_again_after_its_rejection_is_there(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    made = study(tmp_path / "files", 2)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    assert await sent(archive, rejection_note(data_sets(made))) == [0x0000]
    assert await counts(archive, uid) is None
    await send(archive, made)
    assert await counts(archive, uid) == ("1", "2", "CT")
    await expect_exactly(archive, made, tmp_path / "got")
    # And rejected again, by another note.
    assert await sent(archive, rejection_note(data_sets(made))) == [0x0000]
    assert await counts(archive, uid) is None
    assert archive.stop() == 0


async def test_a_note_that_cannot_be_followed_is_refused_whole_and_not_stored(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    made = study(tmp_path / "files", 3)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    images = data_sets(made)
    unknown = data_set(study=uid, size=2)
    other_class = pydicom.dcmread(made[0].path, stop_before_pixels=True)
    other_class.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    none = rejection_note(images)
    none.CurrentRequestedProcedureEvidenceSequence = []
    refused = [
        (rejection_note([*images, unknown]), 0xA772),
        (none, 0xA772),
        (rejection_note([other_class]), 0xA773),
        (rejection_note(images, WORKLIST), 0xA775),
    ]
    assert await sent(archive, *[note for note, _ in refused]) == [status for _, status in refused]
    done(archive, "hold", "place", uid, "--reason", "trial")
    assert await sent(archive, rejection_note(images)) == [0xA776]
    done(archive, "hold", "release", uid, "--reason", "trial")
    assert len(await objects_in(archive)) == 3
    assert await counts(archive, uid) == ("1", "3", "CT")
    note = rejection_note(images[:1])
    assert await sent(archive, note, note, rejection_note(images[:1])) == [0x0000, 0xA770, 0xA774]
    # The same over STOW-RS, with the statuses as failure reasons.
    answer = post(archive, files([file_bytes(rejection_note([unknown]))]))
    assert (answer.status, answer.json["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA772])
    assert post(archive, files([file_bytes(rejection_note(images[1:]))])).status == 200
    assert await counts(archive, uid) is None
    assert archive.stop() == 0


@embedded
async def test_images_and_their_rejection_on_one_association(make_archive: MakeArchive) -> None:
    archive = archive_of(make_archive)
    images = [data_set(study="1.2.3.4", series="1.2.3.4.1", size=8, number=n) for n in range(5)]
    assert await sent(archive, *images, rejection_note(images[:3])) == [0x0000] * 6
    assert await counts(archive, "1.2.3.4") == ("1", "2", "CT")
    assert archive.stop() == 0


@embedded
async def test_images_and_their_rejection_at_once_over_a_window_and_in_one_request(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    for number in range(3):
        images = [data_set(study=f"1.2.{number}", series=f"1.2.{number}.1", size=256, number=n) for n in range(6)]
        made = [write(tmp_path / str(number), dataset) for dataset in (*images, rejection_note(images))]
        modality = Modality(archive.peer, made, window=4)
        await modality.send()
        assert modality.left == []
        assert await counts(archive, f"1.2.{number}") is None
        images = [data_set(study=f"1.3.{number}", series=f"1.3.{number}.1", size=256, number=n) for n in range(6)]
        answer = post(archive, files([file_bytes(dataset) for dataset in (*images, rejection_note(images))]))
        assert answer.status == 200, answer.json
        assert await counts(archive, f"1.3.{number}") is None
    assert archive.stop() == 0


@embedded
async def test_other_key_objects_are_objects(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    made = study(tmp_path / "files", 1)
    await send(archive, made)
    assert await sent(archive, rejection_note(data_sets(made), "113000")) == [0x0000]
    await shows(archive, uids_of(made[0])[0], ("2", "2", "['CT', 'KO']"))
    assert archive.stop() == 0


@embedded
@pytest.mark.parametrize("may", ["[store, find]", "[store, find, reject]"])
async def test_who_may_store_may_not_reject_unless_the_policy_says_so(
    make_archive: MakeArchive, tmp_path: Path, may: str
) -> None:
    archive = make_archive(lab=False)
    archive.write_policy([f"{{ae_title: TEST_SCU, host: 127.0.0.1, may: {may}}}"], SETTINGS % RULES)
    archive.start()
    images = [data_set(study="1.2.3.4", series="1.2.3.4.1", size=8, number=n) for n in range(2)]
    # A note that hides nothing is an object as any other (113039 here).
    statuses = await sent(archive, *images, rejection_note(images, RETENTION), rejection_note(images))
    assert statuses == [0x0000, 0x0000, 0x0000, 0x0000 if "reject" in may else 0x0124]
    assert archive.stop() == 0


@embedded
async def test_an_indexer_killed_with_a_note_rejects_it_once(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    made, stays = study(tmp_path / "files", 3), study(tmp_path / "stays", 2)
    await send(archive, made, stays)
    await until_sealed(archive)
    assert archive.stop() == 0
    archive.start(failpoints="before-commit=kill@1")
    sending = asyncio.create_task(sent(archive, rejection_note(data_sets(made))))
    await kill_when_its_indexer_died(archive)
    await asyncio.gather(sending, return_exceptions=True)  # answered or broken off
    archive.start()
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    uid = uids_of(made[0])[0]
    if await counts(archive, uid) is not None:  # the note was not on the log yet: its sender tries again
        assert await sent(archive, rejection_note(data_sets(made))) == [0x0000]
    await nothing_of(archive, made, tmp_path / "got0")
    await expect_exactly(archive, stays, tmp_path / "got")
    deletions = {event.deletion for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)}
    assert len(deletions) == 1
    assert archive.stop() == 0


@embedded
async def test_a_rejected_study_is_restored_over_http_by_who_may(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    made = study(tmp_path / "files", 2)
    await send(archive, made)
    uid = uids_of(made[0])[0]
    assert await sent(archive, rejection_note(data_sets(made), QUALITY)) == [0x0000]
    assert delete(archive, uid)[0] == 404
    assert over_http(archive, "POST", f"studies/{uid}/restore")[0] == 204
    assert await counts(archive, uid) == ("2", "3", "['CT', 'KO']")
    assert archive.stop() == 0
