"""Sixteen senders store, send again, delete, restore and reject the same studies of the same patients at once, assign
them to another patient, move their series to another study and back, merge and unmerge the patients: in the end, every
count and every patient is what the fold of the log's events says, nobody has a patient twice, and a rebuilt index is
the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest

from gantry.cli.files import DicomFile
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.events import Event, InstancesMoved, InstanceStored
from gantry.common.lifecycle import CorrectionEffect, Corrections, DeletionState, corrected, effect_of, successor
from gantry.common.runtime.decisions import decisions_of
from gantry.services.indexer.corrections import changes_of
from tests.crash.conftest import MakeArchive
from tests.crash.test_corrections import ask, identity
from tests.crash.test_deletion import archive_of, over_http
from tests.crash.test_rejection import sent
from tests.crash.test_upkeep import done, everything, index_of
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find, stores_of, uids_of, until
from tests.support.objects import study
from tests.support.rejection_notes import rejection_note

SETTINGS = (
    "http: {may_delete: [loopback], may_correct: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: 0, rejections: ['113001=note']}\n"
)
BEHIND = 503
"""The indexers are behind on a busy machine: try again."""
SENDERS, ROUNDS = 16, 7


async def change(archive: RunningArchive, chance: random.Random, studies: Sequence[Sequence[DicomFile]]) -> str:
    """One sender does one thing to one study."""
    files = chance.choice(studies)
    images = [pydicom.dcmread(file.path, stop_before_pixels=True) for file in files]
    uid, series = images[0].StudyInstanceUID, chance.choice(images).SeriesInstanceUID
    action = chance.choice(
        (
            *("store", "store", "some", "delete", "series", "restore", "reject"),
            *("assign", "merge", "merge", "unmerge", "move", "move", "back"),
        )
    )
    patient, other = chance.sample(("P0", "P1", "P2"), 2)
    match action:
        case "assign":
            path = f"studies/{uid}/corrections?reason=x"
            status, _ = await asyncio.to_thread(ask, archive, "POST", path, identity(patient))
            assert status in (200, 202, 404, BEHIND), status
        case "merge" | "unmerge":
            body = {"patient": identity(patient), **({"into": identity(other)} if action == "merge" else {})}
            path = f"patients/{'merges' if action == 'merge' else 'withdrawals'}?reason=x"
            status, _ = await asyncio.to_thread(ask, archive, "POST", path, body)
            assert status in (200, 202, 404, 409, BEHIND), status
        case "move" | "back":
            into = pydicom.dcmread(chance.choice(studies)[0].path, stop_before_pixels=True).StudyInstanceUID
            path = f"studies/{uid}/series/{series}/moves" if action == "move" else f"studies/{uid}/moves"
            method = "POST" if action == "move" else "DELETE"
            to = {"into": into} if action == "move" else None
            status, _ = await asyncio.to_thread(ask, archive, method, f"{path}?reason=x", to)
            assert status in (200, 202, 404, 409, BEHIND), status
        case "store":
            await Modality(archive.peer, files).send_all()
        case "some":
            await Modality(archive.peer, chance.sample(list(files), 2)).send_all()
        case "reject":
            # A700H is "try again": the indexers are behind on a busy machine.
            (status,) = await sent(archive, rejection_note(chance.sample(images, 2)))
            assert status in (0x0000, 0xA700, 0xA772, 0xA774), status
        case _:
            path = f"studies/{uid}" + (f"/series/{series}" if action == "series" else "")
            method, path = ("POST", f"{path}/restore") if action == "restore" else ("DELETE", path)
            status, _ = await asyncio.to_thread(over_http, archive, method, path)
            # 409: of what is to be restored, something is rejected still.
            assert status in (202, 204, 404, BEHIND, *([409] if action == "restore" else [])), status
    return action


def folded(happened: Sequence[Event]) -> Counter[str]:
    """By study, how many instances there are."""
    deletion_states: defaultdict[str, DeletionState] = defaultdict(DeletionState)
    for decision in decisions_of(happened):
        deletion_states[decision.receipt] |= decision.deletion_state
    into = {
        event.move: (event.into_study, event.into_series) for event in happened if isinstance(event, InstancesMoved)
    }
    waiting = {
        event.receipt: (event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
        for event in happened
        if isinstance(event, InstanceStored)
    }
    instances = set()
    while waiting:
        receipt, instance = waiting.popitem()
        if not deletion_states[receipt].hidden:
            instances.add(instance)
        for deletion in deletion_states[receipt].standing:
            if deletion.moved and not deletion.final:
                waiting[successor(receipt, deletion.id)] = (*into[deletion.id], instance[2])
    return Counter(study_uid for study_uid, _, _ in instances)


async def patients_of(
    archive: RunningArchive, happened: Sequence[Event], studies: Sequence[Sequence[DicomFile]]
) -> dict[str, str]:
    """By study that is there, its Patient ID after the corrections and merges on the log."""
    of_studies: defaultdict[str, Corrections] = defaultdict(Corrections)
    of_patients: defaultdict[str, Corrections] = defaultdict(Corrections)
    async with stores_of(archive) as stores:
        for change in await changes_of(stores.objects, [*happened, *await events(archive, "patients")]):
            if change.study_instance_uid:
                of_studies[change.study_instance_uid] |= change.corrections
            else:
                of_patients[change.patient] |= change.corrections
    patients = {}
    for number, files in enumerate(studies):
        uid = uids_of(files[0])[0]
        own, known = {PATIENT_ID: [f"P{number % 3}"]}, dict(of_patients)
        while not isinstance(effect := effect_of(own, uid, of_studies[uid], known), CorrectionEffect):
            known[effect.patient] = Corrections()
        patients[uid] = corrected(own, effect.applied)[PATIENT_ID][0]
    counts = folded(happened)
    return {uid: patient for uid, patient in patients.items() if uid in counts}


@pytest.mark.timeout(300)  # reads two whole indices of a cluster at its end
async def test_sixteen_at_once_end_with_the_counts_of_the_fold(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, SETTINGS)
    studies = [study(tmp_path / f"s{n}", 4, series=2, patient=f"P{n % 3}") for n in range(6)]
    for files in studies:
        await Modality(archive.peer, files).send_all()

    async def sender(number: int) -> list[str]:
        chance = random.Random(number)
        return [await change(archive, chance, studies) for _ in range(ROUNDS)]

    did = Counter(action for actions in await asyncio.gather(*map(sender, range(SENDERS))) for action in actions)
    assert min(did.values()) > 1, did
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
    assert {m.StudyInstanceUID: m.PatientID for m in matches} == await patients_of(archive, happened, studies)
    patients, _ = await find(archive.peer, "PATIENT", ("PatientID", "NumberOfPatientRelatedInstances"))
    names = [patient.PatientID for patient in patients]
    assert sorted(names) == sorted({match.PatientID for match in matches})
    assert sum(int(patient.NumberOfPatientRelatedInstances) for patient in patients) == sum(expected.values())
    # Every acknowledged object is on the log, and a rebuilt index is the same, document by document.
    assert sum(isinstance(event, InstanceStored) for event in happened) >= 24
    assert archive.stop() == 0
    async with index_of(archive) as index:
        before = await everything(index)
    await done(archive, "reindex", "--even-if-fewer")
    async with index_of(archive) as index:
        assert await everything(index) == before
