"""Receivers of notifications learn which instances became unavailable, and which came back, on the whole archive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from gantry.cli.files import DicomFile
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import delete, done, send
from tests.crash.test_routing import SETTINGS, listed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality as Sender
from tests.support.asking import uids_of, until
from tests.support.modality import Modality, begun, over, unscheduled
from tests.support.objects import data_set, study, write
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp
from tests.support.rejection_notes import rejection_note

pytestmark = pytest.mark.timeout(240)


@dataclass
class Planner:
    """What a RIS was told: the notifications, and what the latest of them says of each instance."""

    told: list[Dataset] = field(default_factory=list)

    def create(self, event: evt.Event) -> tuple[int, None]:
        """Takes a notification."""
        self.told.append(event.attribute_list)
        return 0x0000, None

    def last(self) -> Mapping[str, str]:
        """Instance Availability by SOP Instance UID."""
        return words_of(self.told[-1]) if self.told else {}

    async def until(self, *expected: Mapping[str, str]) -> None:
        """Wait until the latest notification is this one."""
        await until(lambda: self.last() in expected)


def words_of(notification: Dataset) -> Mapping[str, str]:
    references = [item for series in notification.ReferencedSeriesSequence for item in series.ReferencedSOPSequence]
    words = {str(reference.ReferencedSOPInstanceUID): str(reference.InstanceAvailability) for reference in references}
    assert len(words) == len(references)
    assert all(reference.ReferencedSOPClassUID and reference.RetrieveAETitle == "GANTRY" for reference in references)
    return words


def words(online: Sequence[DicomFile], unavailable: Sequence[DicomFile] = ()) -> Mapping[str, str]:
    states = {file.sop_instance_uid: "ONLINE" for file in online}
    return states | {file.sop_instance_uid: "UNAVAILABLE" for file in unavailable}


@contextmanager
def ris(planner: Planner, port: int = 0) -> Iterator[int]:
    handlers = [(evt.EVT_N_CREATE, planner.create)]
    with Scp("RIS", handlers=handlers, contexts=[str(InstanceAvailabilityNotification)], port=port) as scp:
        yield scp.port


def notifying(archive: RunningArchive, port: int, rule: str = "{name: planner, notify: [RIS]}") -> RunningArchive:
    peers = [
        f"{{ae_title: RIS, host: 127.0.0.1, port: {port}, may: []}}",
        "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, echo, reject]}",
        "{ae_title: CT1, host: 127.0.0.1, may: [mpps]}",
    ]
    archive.write_policy(peers, SETTINGS % rule)
    return archive.start()


async def test_what_is_deleted_is_unavailable_beside_what_is_left_and_what_comes_back_is_online(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    planner = Planner()
    with ris(planner) as port:
        rule = "{name: planner, where: ['PatientID=P1'], sources: [TEST_SCU], notify: [RIS]}"
        archive = notifying(make_archive(), port, rule)
        files = study(tmp_path / "files", 4, series=2, patient="P1")
        others = study(tmp_path / "others", 1, patient="P2")
        await send(archive, files, others)
        await planner.until(words(files))
        uid, series = uids_of(files[0])
        assert delete(archive, f"{uid}/series/{series}")[0] == 204
        await planner.until(words(files[1::2], files[::2]))
        done(archive, "undelete", uid, "--reason", "right")
        await planner.until(words(files))
        # Nothing of it is left: rules are compared with what was there.
        done(archive, "delete", uid, "--reason", "wrong")
        await planner.until(words((), files))
        done(archive, "delete", uids_of(others[0])[0], "--reason", "nobody is told")
        states = await listed(archive, "--all")
        assert {state["kind"] for state in states} == {"availability", "availability change"}
        assert {str(notice.StudyInstanceUID) for notice in planner.told} == {uid}
        assert not any(notice.ReferencedPerformedProcedureStepSequence for notice in planner.told)
        assert archive.stop() == 0


@embedded
async def test_a_rejection_is_told_once_a_destination_is_there_whatever_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    planner, port = Planner(), free_port()
    archive = notifying(make_archive(), port)
    files = study(tmp_path / "files", 3, patient="P1")
    await send(archive, files)
    note = write(tmp_path / "note", rejection_note([pydicom.dcmread(files[1].path)]))
    await Sender(archive.peer, [note]).send_all()
    async with asyncio.timeout(60):
        while not any(state["kind"] == "availability change" for state in await listed(archive)):
            await asyncio.sleep(0.3)
    archive.kill()
    archive.start()
    expected = words([files[0], files[2]], [files[1]])
    with ris(planner, port):
        await until(lambda: any(expected.items() <= words_of(notice).items() for notice in planner.told))
        async with asyncio.timeout(60):
            while await listed(archive):
                await asyncio.sleep(0.3)
    assert archive.stop() == 0


def performed(files: Sequence[DicomFile], *absent: str) -> Dataset:
    """N-SET of a step that made these, and some that never came."""
    series = Dataset()
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = series.RetrieveAETitle = ""
    series.ProtocolName, series.SeriesInstanceUID = "Head", uids_of(files[0])[1]
    series.ReferencedImageSequence = Items([])
    for uid in (*(file.sop_instance_uid for file in files), *absent):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = files[0].sop_class_uid, uid
        series.ReferencedImageSequence.append(item)
    return over(PerformedSeriesSequence=Items([series]))


async def test_a_notification_names_the_procedure_step_and_what_that_made(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    """PS3.4 table R.3.2-1, PS3.3 C.4.23: one item."""
    planner, step, absent = Planner(), generate_uid(), generate_uid()
    with ris(planner) as port:
        archive = notifying(make_archive(), port)
        files = study(tmp_path / "files", 3, patient="P1")
        uid = uids_of(files[0])[0]
        other = write(tmp_path / "other", data_set(study=uid, patient="P1", number=9))

        def perform() -> None:
            with Modality(archive.port) as modality:
                assert modality.create(step, begun([unscheduled(uid)])).Status == 0
                assert modality.set(step, performed(files, absent)).Status == 0

        await asyncio.to_thread(perform)
        await send(archive, [*files, other])
        made = {**words(files), absent: "UNAVAILABLE"}
        await until(lambda: [words_of(notice) for notice in planner.told] == [made, words([other])])
        (reference,) = planner.told[0].ReferencedPerformedProcedureStepSequence
        assert reference.ReferencedSOPClassUID == ModalityPerformedProcedureStep
        assert reference.ReferencedSOPInstanceUID == step
        assert reference.PerformedWorkitemCodeSequence == []
        assert not planner.told[1].ReferencedPerformedProcedureStepSequence
        path = f"{uid}/series/{uids_of(files[0])[1]}/instances/{files[0].sop_instance_uid}"
        assert delete(archive, path)[0] == 204
        await planner.until({**words(files[1:], files[:1]), absent: "UNAVAILABLE"})
        assert len(planner.told) == 3
        assert planner.told[2].ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == step
        assert archive.stop() == 0
