"""What follows from rejections: what is sent again, notes that come first, notes that follow others and that revoke; in
both topologies, over restarts, and when the indexer dies in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.common.events import InstancesDeleted, InstancesRestored
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import (
    DESTINATION,
    done,
    kill_when_its_indexer_died,
    nothing_of,
    objects_in,
    send,
)
from tests.crash.test_rejection import counts, data_sets, sent, shows
from tests.crash.test_upkeep import gantry, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import events, expect_exactly, uids_of, until
from tests.support.objects import file_bytes, study
from tests.support.rejection_notes import QUALITY, RETENTION, SAFETY, WORKLIST, rejection_note
from tests.support.stow import files, post

SETTINGS = (
    # Sealing the trail is a commit of a consumer, too; fail points there are to meet the indexer.
    "audit: {on: false}\n"
    "http: {may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: %s, grace: 3600, rejections: [%s], %s}\n"
)
RULES = "113001=hide, 113037=hide, 113038=hide, 113039=delete"
REVOKING = "REVOKE^99SITE"


def archive_of(make_archive: MakeArchive, policy: str, *, collect_every: float = 0.3) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([DESTINATION], SETTINGS % (collect_every, RULES, policy))
    return archive.start()


def revocation(instances: list[Dataset]) -> Dataset:
    return rejection_note(instances, "REVOKE", scheme="99SITE")


async def followed(archive: RunningArchive) -> None:
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)


async def test_what_is_rejected_for_safety_is_refused_when_it_is_sent_again(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, "sent_again: [113037=refuse, 113038=ignore]")
    made = study(tmp_path / "files", 3)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    images = data_sets(made)
    assert await sent(archive, rejection_note(images[:1], SAFETY), rejection_note(images[1:2], WORKLIST)) == [0, 0]
    assert await counts(archive, uid) == ("1", "1", "CT")
    before = await objects_in(archive)
    # Refused, acknowledged and hidden, and one more copy of what is there.
    assert await sent(archive, *whole(made)) == [0xA771, 0x0000, 0x0000]
    answer = post(archive, files([file_bytes(dataset) for dataset in whole(made)[:1]]))
    assert (answer.status, answer.json["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA771])
    await shows(archive, uid, ("1", "1", "CT"))
    assert len(await objects_in(archive)) == len(before) + 2
    assert archive.metric('gantry_subsequent_occurrences_total{outcome="refused"}') == 2
    await until(lambda: archive.metric('gantry_subsequent_occurrences_total{outcome="hidden"}') == 1)
    # By hand it comes back, and can be sent again then.
    done(archive, "undelete", uid, "--reason", "rejected by mistake")
    await shows(archive, uid, ("3", "5", "['CT', 'KO']"))
    assert await sent(archive, *whole(made)) == [0, 0, 0]
    assert archive.stop() == 0


@embedded
@pytest.mark.parametrize(("rule", "status", "left"), [("accept", 0, 2), ("ignore", 0, 0), ("refuse", 0xA771, 0)])
async def test_what_was_deleted_by_hand_is_sent_again(
    make_archive: MakeArchive, tmp_path: Path, rule: str, status: int, left: int
) -> None:
    archive = archive_of(make_archive, f"sent_again: [deleted={rule}]", collect_every=0)
    made = study(tmp_path / "files", 2)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    done(archive, "delete", uid, "--reason", "a mistake", "--yes")
    await until_hidden(archive, uid)
    assert await sent(archive, *whole(made)) == [status] * 2
    if left:
        await shows(archive, uid, ("1", str(left), "CT"))
    elif not status:
        await until(lambda: archive.metric('gantry_subsequent_occurrences_total{outcome="hidden"}') == 2)
    assert (await counts(archive, uid) or ("", "0"))[1] == str(left)
    assert archive.stop() == 0


async def test_a_note_that_comes_first_rejects_what_comes_within_the_time(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, "note_first: 600")
    made = study(tmp_path / "files", 3)
    uid, _ = uids_of(made[0])
    images = data_sets(made)
    assert await sent(archive, rejection_note(images[:2])) == [0x0000]
    # Over the loss of all but the bucket.
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    archive.start()
    assert await sent(archive, *whole(made)) == [0, 0, 0]
    await shows(archive, uid, ("1", "1", "CT"))
    await expect_exactly(archive, made[2:], tmp_path / "got0")
    # A second note for the same is refused; by hand it comes back.
    assert await sent(archive, rejection_note(images[:1])) == [0xA774]
    done(archive, "undelete", uid, "--reason", "rejected by mistake")
    await shows(archive, uid, ("2", "4", "['CT', 'KO']"))
    assert archive.stop() == 0


@embedded
async def test_a_note_that_waited_in_vain_is_reported_and_rejects_nothing_any_more(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, "note_first: 1")
    made = study(tmp_path / "files", 2)
    uid, _ = uids_of(made[0])
    assert await sent(archive, rejection_note(data_sets(made))) == [0x0000]
    async with asyncio.timeout(30):
        while archive.metric("gantry_rejections_lapsed_total") != 2:
            await asyncio.sleep(0.2)
    assert await sent(archive, *whole(made)) == [0, 0]
    await shows(archive, uid, ("1", "2", "CT"))
    restorations = [event for event in await events(archive, "instances") if isinstance(event, InstancesRestored)]
    assert [len(restoration.receipts) for restoration in restorations] == [2]
    assert archive.stop() == 0


@embedded
async def test_without_a_time_for_it_a_note_that_comes_first_is_refused(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, "note_first: 0")
    made = study(tmp_path / "files", 1)
    assert await sent(archive, rejection_note(data_sets(made))) == [0xA772]
    assert archive.stop() == 0


async def test_notes_follow_others_as_the_table_says_and_revoke(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, f"revoking: ['{REVOKING}'], sent_again: [113037=refuse]")
    made = study(tmp_path / "files", 2)
    await send(archive, made)
    uid, _ = uids_of(made[0])
    images = data_sets(made)
    assert await sent(archive, revocation(images)) == [0xA772]
    assert await sent(archive, rejection_note(images)) == [0x0000]
    assert await sent(archive, rejection_note(images)) == [0xA774]
    assert await sent(archive, *whole(made)[:1]) == [0x0000]  # quality accepts it again
    await shows(archive, uid, ("1", "1", "CT"))
    # Safety follows quality, for what is hidden and for what is there; and nothing follows safety but retention.
    assert await sent(archive, rejection_note(images, SAFETY)) == [0x0000]
    assert await counts(archive, uid) is None
    assert await sent(archive, *whole(made)) == [0xA771, 0xA771]
    assert await sent(archive, rejection_note(images)) == [0xA774]
    assert await sent(archive, rejection_note(images, WORKLIST)) == [0xA774]
    # What is revoked is there, each once; the notes are not.
    assert await sent(archive, revocation(images)) == [0x0000]
    await expect_exactly(archive, made, tmp_path / "got")
    assert await counts(archive, uid) == ("1", "2", "CT")
    assert await sent(archive, revocation(images)) == [0xA772]
    assert await sent(archive, *whole(made)) == [0, 0]
    # And rejected once more.
    assert await sent(archive, rejection_note(images, RETENTION)) == [0x0000]
    assert await counts(archive, uid) is None
    assert archive.stop() == 0


@embedded
async def test_who_may_reject_with_some_codes_only_is_refused_the_others(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive(lab=False)
    peer = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, reject], rejects: ['113001']}"
    archive.write_policy([peer], SETTINGS % (0, RULES, f"revoking: ['{REVOKING}']"))
    archive.start()
    images = whole(study(tmp_path / "files", 2))
    assert await sent(archive, *images, rejection_note(images[:1], SAFETY)) == [0, 0, 0x0124]
    assert await sent(archive, rejection_note(images[:1], QUALITY), revocation(images[:1])) == [0, 0x0124]
    assert archive.stop() == 0


@embedded
async def test_an_indexer_killed_with_what_is_sent_again_hides_it_once(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, "sent_again: [113001=ignore], note_first: 600")
    made, stays = study(tmp_path / "files", 2), study(tmp_path / "stays", 2)
    await send(archive, made, stays)
    assert await sent(archive, rejection_note(data_sets(made))) == [0x0000]
    await until_sealed(archive)
    assert archive.stop() == 0
    archive.start(failpoints="before-commit=kill@1")
    sending = asyncio.create_task(sent(archive, *whole(made)))
    await kill_when_its_indexer_died(archive)
    await asyncio.gather(sending, return_exceptions=True)
    archive.start()
    await followed(archive)
    await nothing_of(archive, made, tmp_path / "got0")
    await expect_exactly(archive, stays, tmp_path / "got")
    assert (
        len({event.deletion for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)})
        == 1
    )
    assert archive.stop() == 0


async def until_hidden(archive: RunningArchive, uid: str) -> None:
    async with asyncio.timeout(20):
        while await counts(archive, uid) is not None:
            await asyncio.sleep(0.05)


def whole(made: list[DicomFile]) -> list[Dataset]:
    return [pydicom.dcmread(file.path) for file in made]
