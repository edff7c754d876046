"""Sixteen senders store, send again, delete, restore and reject the same studies of the same patients at once: in the
end, every count is what the fold of the log's events says, nobody has a patient twice, and a rebuilt index is the
same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pydicom

from gantry.cli.files import DicomFile
from gantry.common.events import InstanceStored
from gantry.common.lifecycle import StudyState, apply
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import archive_of, over_http
from tests.crash.test_rejection import sent
from tests.crash.test_upkeep import done, everything, index_of
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find, until
from tests.support.objects import study
from tests.support.rejection_notes import rejection_note

SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: 0, rejections: ['113001=note']}\n"
)
SENDERS, ROUNDS = 16, 6


async def change(archive: RunningArchive, chance: random.Random, studies: Sequence[Sequence[DicomFile]]) -> str:
    """One sender does one thing to one study."""
    files = chance.choice(studies)
    images = [pydicom.dcmread(file.path, stop_before_pixels=True) for file in files]
    uid, series = images[0].StudyInstanceUID, chance.choice(images).SeriesInstanceUID
    what = chance.choice(("store", "store", "some", "delete", "series", "restore", "reject"))
    match what:
        case "store":
            await Modality(archive.peer, files).send_all()
        case "some":
            await Modality(archive.peer, chance.sample(list(files), 2)).send_all()
        case "reject":
            # A700H is "try again": the indexers are behind on a busy machine.
            (status,) = await sent(archive, rejection_note(chance.sample(images, 2)))
            assert status in (0x0000, 0xA700, 0xA772, 0xA774), status
        case _:
            path = f"studies/{uid}" + (f"/series/{series}" if what == "series" else "")
            method, path = ("POST", f"{path}/restore") if what == "restore" else ("DELETE", path)
            status, _ = await asyncio.to_thread(over_http, archive, method, path)
            assert status in (202, 204, 404), status
    return what


def folded(happened: Sequence[object]) -> Counter[str]:
    """By study, how many instances there are."""
    states: defaultdict[str, StudyState] = defaultdict(StudyState)
    for event in happened:
        uid = event.study_instance_uid  # type: ignore[attr-defined]
        states[uid] = apply(states[uid], event)  # type: ignore[arg-type]
    return +Counter(
        {uid: len({one.instance for one in state.receipts.values() if one.there}) for uid, state in states.items()}
    )


async def test_sixteen_at_once_end_with_the_counts_of_the_fold(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, SETTINGS)
    studies = [study(tmp_path / f"s{n}", 4, series=2, patient=f"P{n % 3}") for n in range(6)]
    for files in studies:
        await Modality(archive.peer, files).send_all()

    async def sender(number: int) -> list[str]:
        chance = random.Random(number)
        return [await change(archive, chance, studies) for _ in range(ROUNDS)]

    did = Counter(what for some in await asyncio.gather(*map(sender, range(SENDERS))) for what in some)
    assert min(did.values()) > 3, did
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    happened = await events(archive, "instances")
    expected = folded(happened)
    keys = "StudyInstanceUID", "NumberOfStudyRelatedInstances", "PatientID"
    async with asyncio.timeout(30):
        while True:
            matches, _ = await find(archive.peer, "STUDY", keys)
            if Counter({m.StudyInstanceUID: int(m.NumberOfStudyRelatedInstances) for m in matches}) == expected:
                break
            await asyncio.sleep(0.2)
    patients, _ = await find(archive.peer, "PATIENT", ("PatientID", "NumberOfPatientRelatedInstances"))
    names = [patient.PatientID for patient in patients]
    assert sorted(names) == sorted({match.PatientID for match in matches})
    assert sum(int(patient.NumberOfPatientRelatedInstances) for patient in patients) == sum(expected.values())
    # Every acknowledged object is on the log, and a rebuilt index is the same, document by document.
    assert sum(isinstance(one, InstanceStored) for one in happened) >= 24
    assert archive.stop() == 0
    async with index_of(archive) as index:
        before = await everything(index)
    await done(archive, "reindex", "--even-if-fewer")
    async with index_of(archive) as index:
        assert await everything(index) == before
