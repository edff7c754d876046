"""A department's day, played with foreign tools, in both topologies; the archive is killed at a seeded moment of it,
and the end is the same.

Each step is what a device or a person does; one that gets no answer does it again, as devices and persons do. Ordered
by HL7, found by DCMTK's `findscu`, performed by pynetdicom and by dcmjs (MPPS), sent by DCMTK's `storescu`, committed
for pynetdicom, complete, told to a scheduler (Instance Availability Notification), routed to Orthanc, corrected and
merged by HL7, rejected by a note, deleted, restored.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gantry.common.errors import PeerError
from gantry.common.hl7.answers import acknowledged
from gantry.common.hl7.message import parse
from gantry.common.net.mllp_client import MllpClient
from tests.crash.conftest import MakeArchive
from tests.crash.test_corrections import ask, shown
from tests.support.archive import RunningArchive
from tests.support.asking import find_matches
from tests.support.dcmjs_modality import DcmjsModality
from tests.support.dcmtk import find, run, tool
from tests.support.messages import order, patient
from tests.support.modality import Modality, begun, over, refers
from tests.support.objects import data_set, write
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp
from tests.support.rejection_notes import rejection_note
from tests.support.worklist import OrdersClient

pytestmark = pytest.mark.timeout(400)
SEEDS = (4, 7, 24, 0)
"""Killed while images are sent, another device performs its step, patients are merged, and the study is deleted."""
IMAGES = 6
SETTINGS = (
    "http: {{may_correct: [loopback], may_delete: [loopback], may_order: [loopback]}}\n"
    "hl7: {{port: {hl7}, profiles: [{{sender: 'RIS^*', authorities: ['HOSP='], stations: {{CT: CT1}}}}]}}\n"
    "orders: {{idle_days: 0}}\n"
    "completion: {{quiet: 1}}\n"
    "commitment: {{retry_first: 0.5, retry_longest: 1}}\n"
    "routing: {{rules: [{{name: reading, to: [ORTHANC]}}, {{name: plan, notify: [RIS]}}],"
    " retry_first: 0.5, retry_longest: 1}}\n"
)


@dataclass(slots=True)
class Department:
    """Who works there, and what they know."""

    archive: RunningArchive
    folder: Path
    hl7: int
    orthanc: Orthanc
    ct: Scp
    told: list[Dataset]
    study: str = ""
    order: Dataset = field(default_factory=Dataset)
    files: list[Path] = field(default_factory=list)
    other: Path | None = None
    step: str = field(default_factory=generate_uid)
    transaction: str = field(default_factory=generate_uid)
    dcmjs: DcmjsModality | None = None
    """Another device; None where npm cannot fetch what it is made of."""
    step_of_dcmjs: str = field(default_factory=generate_uid)

    @property
    def address(self) -> tuple[object, ...]:
        return "-aet", "CT1", "-aec", "GANTRY", "127.0.0.1", self.archive.port

    async def message(self, sent: bytes) -> None:
        async with MllpClient("127.0.0.1", self.hl7) as client:
            assert acknowledged(parse((await client.send(sent)).decode())).accepted

    # ---- the day

    async def ordered(self) -> None:
        await self.message(order(control_id="ORDER"))

        await self.message(
            order(
                pid={3: "4713^^^HOSP^MR", 5: "MÜLLER^ANNA"},
                orc={2: "P200^RIS", 3: "F200^RIS"},
                obr={18: "A200", 19: "RP200", 20: "S200"},
                control_id="ORDER2",
            )
        )

    async def listed(self) -> None:
        """The modality takes patient and UIDs from the worklist."""
        folder = self.folder / f"worklist{len(list(self.folder.iterdir()))}"
        keys = ("-k", "0008,0050=A100", "-k", "0010,0010", "-k", "0010,0020", "-k", "0020,000d", "-k", "0040,1001")
        steps = ("-k", "(0040,0100)[0].0040,0009", "-k", "(0040,0100)[0].0008,0060=CT")
        (self.order,) = await asyncio.to_thread(find, self.address, folder, "-W", *keys, *steps)
        self.study = str(self.order.StudyInstanceUID)
        assert (self.order.PatientID, self.order.AccessionNumber) == ("4711", "A100")

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._performed, "begun") in (0x0000, 0x0111)
        assert OrdersClient(self.archive).states("A100") == {"S100": "STARTED"}

    async def sent(self) -> None:
        if not self.files:
            attributes: dict[str, Any] = {"AccessionNumber": "A100", "PatientBirthDate": "19700131", "PatientSex": "M"}
            series, patient_name = generate_uid(), str(self.order.PatientName)
            made = [
                data_set(study=self.study, series=series, number=n, patient="4711", name=patient_name, **attributes)
                for n in range(1, IMAGES + 1)
            ]
            for dataset in made:
                dataset.SpecificCharacterSet = "ISO_IR 192"
            self.files = [write(self.folder / "ct", dataset).path for dataset in made]
        done = await asyncio.to_thread(run, "storescu", *self.address, *self.files)
        assert done.returncode == 0, done.stdout

    async def performed(self) -> None:
        assert await asyncio.to_thread(self._performed, "over") in (0x0000, 0x0110)
        assert OrdersClient(self.archive).states("A100") == {"S100": "COMPLETED"}

    async def performed_by_another(self) -> None:
        """Without images; a device of another vendor finds, begins and ends its step, and says each twice."""
        orders = OrdersClient(self.archive)
        if self.dcmjs is not None and orders.states("A200") != {"S200": "COMPLETED"}:
            await asyncio.to_thread(self.dcmjs.perform, self.archive.port, "A200", self.step_of_dcmjs)
            assert orders.states("A200") == {"S200": "COMPLETED"}

    async def committed(self) -> None:
        """Asked under one transaction until a report says that all is safe."""
        await asyncio.to_thread(self._ask_for_commitment)
        _, report = await asyncio.to_thread(self.ct.kept.report, self.transaction, 20.0)
        assert len(report.ReferencedSOPSequence) == IMAGES
        assert not report.get("FailedSOPSequence")

    async def complete(self) -> None:
        status, answer = ask(self.archive, "GET", "changes?limit=1000")
        assert status == 200
        assert "completed" in {
            change["type"] for change in answer["changes"] if change.get("StudyInstanceUID") == self.study
        }

    async def available(self) -> None:
        """The scheduler knows of all images; of those that came after a pause by a notification of their own."""
        notices = [notice for notice in self.told if notice.StudyInstanceUID == self.study]
        series = [reference for notice in notices for reference in notice.ReferencedSeriesSequence]
        named = [item for reference in series for item in reference.ReferencedSOPSequence]
        assert len({item.ReferencedSOPInstanceUID for item in named}) == IMAGES
        assert {item.InstanceAvailability for item in named} == {"ONLINE"}

    async def routed(self) -> None:
        matches = await asyncio.to_thread(self.orthanc.post, "/tools/lookup", self.study.encode())
        (study,) = (match for match in matches if match["Type"] == "Study")
        held = await asyncio.to_thread(self.orthanc.get, f"/studies/{study['ID']}/instances")
        assert len(held) == IMAGES

    async def corrected(self) -> None:
        await self.message(patient("A08", pid={5: "MÜLLER^JÖRG^KARL"}, control_id="NAME"))
        assert await shown(self.archive, self.study) == ("4711", "MÜLLER^JÖRG^KARL", "A100")

    async def merged(self) -> None:
        """Into a patient that the archive knows."""
        self.other = self.other or write(self.folder / "other", data_set(patient="4712", name="MÜLLER^J")).path
        done = await asyncio.to_thread(run, "storescu", *self.address, self.other)
        assert done.returncode == 0, done.stdout
        merge = patient("A40", pid={3: "4712^^^HOSP^MR", 5: "MÜLLER^J"}, mrg={1: "4711^^^HOSP^MR"}, control_id="MERGE")
        await self.message(merge)
        assert (await shown(self.archive, self.study))[0] == "4712"

    async def rejected(self) -> None:
        image = pydicom.dcmread(self.files[0])
        note = write(self.folder / "note", rejection_note([image])).path
        await asyncio.to_thread(run, "storescu", *self.address, note)
        assert await self._images() == IMAGES - 1

    async def deleted(self) -> None:
        status, _ = await asyncio.to_thread(ask, self.archive, "DELETE", f"studies/{self.study}?reason=wrong+one")
        assert status in (200, 202, 204, 404)
        assert await find_matches(self.archive.peer, "STUDY", f"StudyInstanceUID={self.study}") == []

    async def restored(self) -> None:
        status, words = await asyncio.to_thread(ask, self.archive, "POST", f"studies/{self.study}/restore?reason=right")
        assert status in (202, 204, 409), words  # 409: it is back already, since we asked before
        assert await self._images() == IMAGES - 1

    # ---- their devices

    def _performed(self, state: str) -> int | None:
        with Modality(self.archive.port) as modality:
            if state == "begun":
                status = modality.create(self.step, begun([refers(self.order)], PatientID="4711"))
            else:
                status = modality.set(self.step, over())
        return int(status.Status) if "Status" in status else None

    def _ask_for_commitment(self) -> None:
        request = Dataset()
        request.TransactionUID, request.ReferencedSOPSequence = self.transaction, []
        for path in self.files:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", path.stem
            request.ReferencedSOPSequence.append(item)
        ae = AE("CT1")
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate("127.0.0.1", self.archive.port, ae_title="GANTRY")
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
        # PS3.7 table 10.1-4: 0131H is what a transaction that is there already is answered.
        assert status.get("Status") in (0x0000, 0x0131)

    async def _images(self) -> int:
        (match,) = await find_matches(
            self.archive.peer, "STUDY", f"StudyInstanceUID={self.study}", "NumberOfStudyRelatedInstances"
        )
        return int(match.NumberOfStudyRelatedInstances)

    @property
    def steps(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return (
            *(self.ordered, self.listed, self.begun, self.sent, self.performed),
            *(self.performed_by_another, self.committed, self.complete, self.available, self.routed, self.corrected),
            *(self.merged, self.rejected, self.deleted, self.restored),
        )


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory) -> DcmjsModality | None:
    modality = DcmjsModality(tmp_path_factory.mktemp("node") / "dcmjs")
    return None if modality.missing() else modality


@pytest.fixture
def department(make_archive: MakeArchive, tmp_path: Path, dcmjs: DcmjsModality | None) -> Iterator[Department]:
    tool("storescu")
    archive, ports = make_archive(), [free_port() for _ in range(2)]
    notices: list[Dataset] = []

    def notified(event: evt.Event) -> tuple[int, None]:
        notices.append(event.attribute_list)
        return 0x0000, None

    with (
        Scp("CT1") as ct,
        Scp("RIS", contexts=[str(InstanceAvailabilityNotification)], handlers=[(evt.EVT_N_CREATE, notified)]) as ris,
        Orthanc(tmp_path, ports[1], archive.port) as orthanc,
    ):
        peers = [
            f"{{ae_title: CT1, host: 127.0.0.1, port: {ct.port}, may: [store, find, commit, worklist, mpps, reject]}}",
            f"{{ae_title: RIS, host: 127.0.0.1, port: {ris.port}, may: []}}",
            f"{{ae_title: ORTHANC, host: 127.0.0.1, port: {ports[1]}, may: [], move_destination: true}}",
        ]
        archive.write_policy(peers, SETTINGS.format(hl7=ports[0]))
        (tmp_path / "work").mkdir()
        yield Department(archive.start(), tmp_path / "work", ports[0], orthanc, ct, notices, dcmjs=dcmjs)


async def until_done(step: Callable[[], Awaitable[None]], seconds: float = 60.0) -> None:
    """Do it again until it is done: what got no answer, or is not seen yet."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            await step()
        except (AssertionError, PeerError, OSError, RuntimeError, ValueError, IndexError):
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.3)
        else:
            return


async def the_end(department: Department) -> None:
    assert OrdersClient(department.archive).states("A100") == {"S100": "COMPLETED"}
    if department.dcmjs is not None:
        status, performed = OrdersClient(department.archive).ask("GET", "/A200/performed")
        assert (status, len(performed)) == (200, 1)
        assert OrdersClient(department.archive).states("A200") == {"S200": "COMPLETED"}
    assert await shown(department.archive, department.study) == ("4712", "MÜLLER^J", "A100")
    assert len(await find_matches(department.archive.peer, "STUDY")) == 2


async def test_a_day_in_a_department(department: Department) -> None:
    for step in department.steps:
        await until_done(step)
    await the_end(department)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_day_on_which_the_archive_is_killed_ends_the_same(department: Department, seed: int) -> None:
    chance = random.Random(seed)
    fatal = chance.randrange(len(department.steps))
    archive = department.archive

    async def killed() -> None:
        await asyncio.sleep(chance.random())
        archive.kill()
        await asyncio.to_thread(archive.start)

    for number, step in enumerate(department.steps):
        killing: Any = asyncio.create_task(killed()) if number == fatal else None
        await until_done(step)
        if killing is not None:
            await killing
            await until_done(step)
    await the_end(department)
