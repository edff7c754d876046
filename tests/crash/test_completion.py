"""Studies become complete, on the whole archive, in both topologies: once for all that came, whatever is killed, and
again for what comes late."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.common.events import StudyCompleted
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import ask
from tests.crash.test_deletion import send
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find_matches, uids_of
from tests.support.objects import data_set, study, write

pytestmark = pytest.mark.timeout(240)
SETTINGS = "http: {may_delete: [loopback]}\nupkeep: {seal_every: 0.2}\ncompletion: {quiet: %s, longest: %s}\n"


def watching(archive: RunningArchive, quiet: float = 1.5, longest: float = 600) -> RunningArchive:
    archive.write_policy([], SETTINGS % (quiet, longest))
    return archive


async def completed(archive: RunningArchive) -> dict[str, list[StudyCompleted]]:
    """What was said of each study; what was published twice, once."""
    studies: dict[str, dict[str, StudyCompleted]] = {}
    for event in await events(archive, "instances"):
        if isinstance(event, StudyCompleted):
            studies.setdefault(event.study_instance_uid, {})[event.last_receipt] = event
    return {uid: list(completions.values()) for uid, completions in studies.items()}


async def until_completed(archive: RunningArchive, *counts: int) -> dict[str, list[StudyCompleted]]:
    """Return when so many completions were said of so many studies."""
    async with asyncio.timeout(90):
        while True:
            completions = await completed(archive)
            if sorted(map(len, completions.values())) == sorted(counts):
                return completions
            await asyncio.sleep(0.2)


async def searchable(archive: RunningArchive, uid: str) -> int:
    (match,) = await find_matches(archive.peer, "STUDY", "NumberOfStudyRelatedInstances", f"StudyInstanceUID={uid}")
    return int(match.NumberOfStudyRelatedInstances)


def late(folder: Path, first: DicomFile, number: int) -> DicomFile:
    uid, series = uids_of(first)
    return write(folder, data_set(study=uid, series=series, number=number, patient="P1"))


async def test_a_study_is_complete_once_and_again_when_something_comes_late(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = watching(make_archive()).start()
    files, others = study(tmp_path / "one", 4, patient="P1"), study(tmp_path / "two", 2, patient="P2")
    await send(archive, files, others)
    completions = await until_completed(archive, 1, 1)
    ((first,), (other,)) = completions[uids_of(files[0])[0]], completions[uids_of(others[0])[0]]
    assert (first.reason, first.added, first.instances) == ("quiet", 4, 4)
    assert (other.reason, other.added, other.instances) == ("quiet", 2, 2)
    await Modality(archive.peer, [late(tmp_path / "late", files[0], 9), files[0]]).send_all()
    completions = await until_completed(archive, 2, 1)
    again = completions[uids_of(files[0])[0]][1]
    # What was sent again is one of those that came, and no further instance.
    assert (again.added, again.instances) == (2, 5)
    status, changes = ask(archive, "GET", "../changes?type=completed&limit=100")
    if status == 200:
        assert {change["instances"] for change in changes["changes"] if change["type"] == "completed"} == {4, 2, 5}
    assert archive.metric("gantry_studies_completed_total") == 3
    assert archive.stop() == 0


async def test_what_is_said_to_be_complete_can_be_found(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = watching(make_archive(), quiet=0.3).start()
    files = study(tmp_path / "files", 30, patient="P1")
    await Modality(archive.peer, files).send_all()
    (completions,) = (await until_completed(archive, 1)).values()
    assert await searchable(archive, uids_of(files[0])[0]) >= completions[-1].instances
    assert archive.stop() == 0


@embedded
async def test_a_study_for_which_something_comes_all_the_time_is_complete_at_last(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = watching(make_archive(), quiet=60, longest=3).start()
    files = study(tmp_path / "files", 6, patient="P1")
    for file in files:
        await Modality(archive.peer, [file]).send_all()
        await asyncio.sleep(0.7)
    async with asyncio.timeout(60):
        while not (completions := await completed(archive)):
            await asyncio.sleep(0.2)
    first = completions[uids_of(files[0])[0]][0]
    assert first.reason == "long"
    assert 0 < first.added <= 6
    assert archive.stop() == 0


@embedded
async def test_a_study_is_complete_while_others_come_all_the_time(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = watching(make_archive()).start()
    first = study(tmp_path / "first", 2, patient="P1")
    await Modality(archive.peer, first).send_all()

    enough = asyncio.Event()

    async def send_others() -> None:
        for number in range(2000):
            if enough.is_set():
                return
            await Modality(archive.peer, study(tmp_path / f"o{number}", 1, patient=f"O{number}", size=8)).send_all()

    sending = asyncio.create_task(send_others())
    try:
        async with asyncio.timeout(20):
            while uids_of(first[0])[0] not in await completed(archive):
                await asyncio.sleep(0.5)
        assert not sending.done()
    finally:
        enough.set()
        await sending
    assert archive.stop() == 0


@embedded
async def test_a_study_that_is_deleted_is_never_complete(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = watching(make_archive(), quiet=3).start()
    gone, rest = study(tmp_path / "gone", 2, patient="P1"), study(tmp_path / "there", 2, patient="P2")
    await send(archive, gone, rest)
    assert ask(archive, "DELETE", f"studies/{uids_of(gone[0])[0]}?reason=x")[0] in (200, 204)
    completions = await until_completed(archive, 1)
    assert list(completions) == [uids_of(rest[0])[0]]
    assert archive.stop() == 0


@embedded
@pytest.mark.parametrize("failpoint", ["before-publish=kill@1", "after-publish=kill@1"])
async def test_nothing_is_missed_whatever_is_killed(make_archive: MakeArchive, tmp_path: Path, failpoint: str) -> None:
    archive = watching(make_archive(), quiet=2).start()
    files = study(tmp_path / "files", 5, patient="P1")
    await Modality(archive.peer, files[:3]).send_all()
    archive.kill()  # the study is open
    archive.start(failpoints=failpoint, ready=False)
    await asyncio.sleep(6)
    archive.kill()
    archive.start()
    completions = await until_completed(archive, 1)
    (first,) = completions.values()
    assert (first[0].added, first[0].instances) == (3, 3)
    await send(archive, files)
    completions = await until_completed(archive, 2)
    (both,) = completions.values()
    assert both[1].instances == 5
    assert archive.stop() == 0
