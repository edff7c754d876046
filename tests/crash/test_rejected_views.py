"""Who sees rejected instances: an AE title, or a role, with a view finds and retrieves it as before; nobody else
does."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gantry.cli.files import DicomFile
from gantry.common.net import Peer
from tests.crash.conftest import MakeArchive
from tests.crash.test_coercion import restored
from tests.crash.test_deletion import done, move, nothing_of
from tests.crash.test_rejection import data_sets, sent
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, find, find_matches, get, uids_of, until, wait_for
from tests.support.objects import bytes_of, study
from tests.support.rejection_notes import SAFETY, rejection_note

VIEW = "lifecycle: {collect_every: 0, rejections: [113001=hide, 113037=hide], views: ['qa=113001']}\n"
SETTINGS = "audit: {on: false}\nupkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 5}\n"
PEERS = (
    "{ae_title: QA, host: 127.0.0.1, may: [find, retrieve], view: qa}",
    # Nobody answers there: C-MOVE of something fails, of nothing it does not.
    "{ae_title: DEST, host: 127.0.0.1, port: 1, move_destination: true}",
)


def archive_of(make_archive: MakeArchive, more: str = VIEW) -> RunningArchive:
    archive = make_archive()
    archive.write_policy(PEERS, SETTINGS + more)
    return archive.start()


def qa(archive: RunningArchive) -> Peer:
    return replace(archive.peer, calling_ae_title="QA")


async def counts(peer: Peer, uid: str) -> tuple[str, ...] | None:
    keys = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy")
    answers = await find_matches(peer, "STUDY", f"StudyInstanceUID={uid}", *keys)
    return tuple(str(answers[0].get(key)) for key in keys) if answers else None


async def expect_all(archive: RunningArchive, files: Sequence[DicomFile], folder: Path) -> None:
    """The one with the view finds them at each level, and gets them as they were sent."""
    uid = uids_of(files[0])[0]
    listed = []
    for series in {uids_of(file)[1] for file in files}:
        at = f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}", "SOPInstanceUID"
        listed += [match.SOPInstanceUID for match in await find_matches(qa(archive), "IMAGE", *at)]
    assert {file.sop_instance_uid for file in files} <= set(listed)
    got = {}
    for series in sorted({uids_of(file)[1] for file in files}):
        of_series = f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}"
        got |= await get(qa(archive), folder / series, "SERIES", *of_series)
    assert got == {file.sop_instance_uid: bytes_of(file) for file in files}
    assert await move(qa(archive), f"StudyInstanceUID={uid}") != 0x0000


async def test_an_ae_title_with_a_view_finds_and_retrieves_what_everybody_else_does_not(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    bad, unsafe, good = (study(tmp_path / name, 4, series=2) for name in ("bad", "unsafe", "good"))
    await Modality(archive.peer, [*bad, *unsafe, *good]).send_all()
    await wait_for(archive, 12)
    assert await sent(archive, rejection_note(data_sets(bad)), rejection_note(data_sets(unsafe), SAFETY)) == [0, 0]
    await nothing_of(archive, bad, tmp_path / "got0")
    await nothing_of(archive, unsafe, tmp_path / "got1")
    # Counts agree with what is seen: four images, and the note that rejects them.
    uid = uids_of(bad[0])[0]
    assert await counts(qa(archive), uid) == ("3", "5", "['CT', 'KO']")
    assert await counts(archive.peer, uid) is None
    await expect_all(archive, bad, tmp_path / "got2")
    await expect_all(archive, good, tmp_path / "got3")
    # The view is of quality only.
    assert await counts(qa(archive), uids_of(unsafe[0])[0]) is None
    assert await get(qa(archive), tmp_path / "got4", "STUDY", f"StudyInstanceUID={uids_of(unsafe[0])[0]}") == {}
    assert len((await find(qa(archive), "STUDY", ["StudyInstanceUID"]))[0]) == 2
    assert len((await find(archive.peer, "STUDY", ["StudyInstanceUID"]))[0]) == 1
    # A part of a study: others see the rest, and the counts of the rest.
    part = data_sets(good)[:1]
    assert await sent(archive, rejection_note(part)) == [0]
    assert (await counts(archive.peer, uids_of(good[0])[0]), await counts(qa(archive), uids_of(good[0])[0])) == (
        ("2", "3", "CT"),
        ("3", "5", "['CT', 'KO']"),
    )
    # What is deleted is gone for everybody, and what is revoked is there for everybody.
    done(archive, "undelete", uid, "--reason", "a mistake")
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    assert await counts(archive.peer, uid) == await counts(qa(archive), uid) == ("3", "5", "['CT', 'KO']")
    done(archive, "delete", uid, "--reason", "asked for")
    assert await counts(qa(archive), uid) is None
    await nothing_of(archive, bad, tmp_path / "got5")
    assert archive.stop() == 0


async def test_what_a_view_shows_comes_back_from_the_bucket_and_a_view_that_is_new_comes_with_a_reindex(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    without = VIEW.replace(", views: ['qa=113001']", "")
    archive.write_policy([PEERS[1], PEERS[0].replace(", view: qa", "")], SETTINGS + without)
    archive.start()
    bad, good = study(tmp_path / "bad", 2), study(tmp_path / "good", 2)
    await Modality(archive.peer, [*bad, *good]).send_all()
    await wait_for(archive, 4)
    assert await sent(archive, rejection_note(data_sets(bad))) == [0]
    assert archive.stop() == 0
    archive.write_policy(PEERS, SETTINGS + VIEW)
    archive.start()
    # Until the index is built anew, the view is what everybody sees: not less.
    assert len((await find(qa(archive), "STUDY", ["StudyInstanceUID"]))[0]) == 1
    assert "views are not built" in archive.log.read_text()
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    await expect_all(archive, bad, tmp_path / "got0")
    assert len((await find(archive.peer, "STUDY", ["StudyInstanceUID"]))[0]) == 1
    await restored(archive)
    archive.start()
    await expect_all(archive, bad, tmp_path / "got1")
    assert len((await find(archive.peer, "STUDY", ["StudyInstanceUID"]))[0]) == 1
    assert archive.stop() == 0


def asked(archive: RunningArchive, path: str, token: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "*/*"}
    request = urllib.request.Request(f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_a_role_with_a_view_sees_over_http_what_others_do_not(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(lab=False)
    tokens = tmp_path / "tokens"
    tokens.write_text("qa:the-token-of-quality roles=technologist\nward:the-token-of-the-ward roles=radiologist\n")
    tokens.chmod(0o600)
    more = f"http: {{tokens_file: '{tokens}'}}\naccess: {{views: [technologist=qa]}}\n"
    stores = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, reject, find, retrieve]}"
    archive.write_policy([*PEERS, stores], SETTINGS + VIEW + more)
    archive.start()
    bad = study(tmp_path / "bad", 3)
    await Modality(archive.peer, bad).send_all()
    await wait_for(archive, 3)
    assert await sent(archive, rejection_note(data_sets(bad))) == [0]
    uid, series = uids_of(bad[0])
    instance = f"studies/{uid}/series/{series}/instances/{bad[0].sop_instance_uid}"
    for path in (f"studies/{uid}", f"studies/{uid}/metadata", instance, f"{instance}/rendered", f"{instance}/frames/1"):
        # The one with the view first: nothing that is cached for him is for others.
        assert asked(archive, path, "the-token-of-quality")[0] == 200, path
        assert asked(archive, path, "the-token-of-the-ward")[0] == 404, path
    search = f"studies?StudyInstanceUID={uid}&includefield=NumberOfStudyRelatedInstances"
    (answer,) = json.loads(asked(archive, search, "the-token-of-quality")[1])
    assert answer["00201208"]["Value"] == [4]
    assert asked(archive, search, "the-token-of-the-ward") in ((200, b"[]"), (204, b""))
    assert archive.stop() == 0


def test_a_view_that_there_is_not_is_refused_at_the_start(make_archive: MakeArchive) -> None:
    archive = make_archive()
    archive.write_policy([PEERS[0].replace("view: qa", "view: qb")], SETTINGS + VIEW)
    result = gantry(archive, "serve", "--check-config")
    assert result.returncode != 0
    assert "peer QA has the view qb, which is unknown" in result.stderr
