"""A modality asks for its worklist, begins a step and ends it; and what goes wrong, with the standard's statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from gantry.cli.files import DicomFile
from gantry.common.events import StudyCompleted
from tests.support.archive import RunningArchive
from tests.support.asking import Modality as Sender
from tests.support.asking import events
from tests.support.modality import Modality, begun, over, refers, unscheduled
from tests.support.objects import data_set, write
from tests.support.topology import TOPOLOGIES, environment, remove_stores
from tests.support.worklist import OrdersClient, ordered, scheduled

NUMBERS = count(1)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    folder = tmp_path_factory.mktemp("steps")
    running = RunningArchive(folder, environment=environment(request.param, folder))
    running.write_policy([], "http: {may_order: [loopback]}\norders: {idle_days: 0}\n")
    try:
        running.start()
        yield running
        assert running.alive, running.log.read_text()
    finally:
        running.stop()
        remove_stores(running.environment)


@pytest.fixture
def orders(archive: RunningArchive) -> OrdersClient:
    return OrdersClient(archive)


@pytest.fixture
def modality(archive: RunningArchive) -> Iterator[Modality]:
    with Modality(archive.port) as fixture:
        yield fixture


@pytest.fixture
def order(orders: OrdersClient) -> Dataset:
    """An order with two steps."""
    placed = ordered(next(NUMBERS), scheduled("S1"), scheduled("S2"))
    orders.place(placed)
    return placed


def listed(modality: Modality, order: Dataset) -> set[str]:
    worklist = modality.worklist(AccessionNumber=order.AccessionNumber)
    return {entry.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID for entry in worklist}


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_all_steps_that_a_modality_performs_leave_the_worklist(
    modality: Modality, orders: OrdersClient, order: Dataset, state: str
) -> None:
    key, uid = order.AccessionNumber, generate_uid()
    assert listed(modality, order) == {"S1", "S2"}
    assert modality.create(uid, begun([refers(order, 0), refers(order, 1)])).Status == 0
    assert orders.states(key) == {"S1": "STARTED", "S2": "STARTED"}
    assert listed(modality, order) == set()
    assert modality.set(uid, over(state)).Status == 0
    assert orders.states(key) == {"S1": state, "S2": state}
    assert listed(modality, order) == set()
    (step,) = orders.ask("GET", f"/{key}/performed")[1]
    assert step["00080018"]["Value"] == [uid]


def test_a_modality_groups_the_steps_of_two_orders(modality: Modality, orders: OrdersClient, order: Dataset) -> None:
    other = ordered(next(NUMBERS))
    orders.place(other)
    own = generate_uid()
    group = [refers(order, StudyInstanceUID=own), refers(other, StudyInstanceUID=own)]
    assert modality.create(generate_uid(), begun(group)).Status == 0
    assert orders.states(order.AccessionNumber) == {"S1": "STARTED", "S2": "SCHEDULED"}
    assert orders.states(other.AccessionNumber) == {"S1": "STARTED"}


def test_a_study_alone_is_a_reference_too(modality: Modality, orders: OrdersClient, order: Dataset) -> None:
    assert modality.create(generate_uid(), begun([unscheduled(order.StudyInstanceUID)])).Status == 0
    assert orders.states(order.AccessionNumber) == {"S1": "STARTED", "S2": "STARTED"}


def test_an_unscheduled_step_is_taken_and_its_order_may_come_later(modality: Modality, orders: OrdersClient) -> None:
    late = ordered(next(NUMBERS))
    assert modality.create(generate_uid(), begun([unscheduled(late.StudyInstanceUID)])).Status == 0
    orders.place(late)
    assert orders.states(late.AccessionNumber) == {"S1": "STARTED"}


def test_a_step_is_created_once(modality: Modality, order: Dataset) -> None:
    uid = generate_uid()
    assert modality.create(uid, begun([refers(order)])).Status == 0x0000
    assert modality.create(uid, begun([refers(order)])).Status == 0x0111


def test_a_step_that_is_over_is_not_updated(modality: Modality, order: Dataset) -> None:
    uid = generate_uid()
    modality.create(uid, begun([refers(order)]))
    assert modality.set(uid, over()).Status == 0x0000
    late = modality.set(uid, over("DISCONTINUED"))
    assert (late.Status, late.ErrorID) == (0x0110, 0xA710)
    assert late.ErrorComment == "performed procedure step may no longer be updated"


def test_what_a_creation_lacks_is_told(modality: Modality, order: Dataset) -> None:
    without = begun([refers(order)])
    del without.Modality
    missing = modality.create(generate_uid(), without)
    assert (missing.Status, missing.ErrorComment) == (0x0120, "Modality is missing")
    empty = modality.create(generate_uid(), begun([refers(order)], PerformedStationAETitle=""))
    assert (empty.Status, empty.ErrorComment) == (0x0121, "PerformedStationAETitle has no value")
    assert modality.create(generate_uid(), begun([])).Status == 0x0121
    assert (
        modality.create(generate_uid(), begun([refers(order)], PerformedProcedureStepStatus="COMPLETED")).Status
        == 0x0106
    )


def test_a_step_does_not_end_without_a_series(modality: Modality, orders: OrdersClient, order: Dataset) -> None:
    uid = generate_uid()
    modality.create(uid, begun([refers(order)]))
    assert modality.set(uid, over(PerformedSeriesSequence=Items([]))).Status == 0x0121
    assert orders.states(order.AccessionNumber)["S1"] == "STARTED"


def test_what_may_not_be_set_is_a_warning_and_stays(modality: Modality, order: Dataset) -> None:
    uid = generate_uid()
    modality.create(uid, begun([refers(order)]))
    assert modality.set(uid, over(PatientID="P9")).Status == 0x0107
    step = modality.get(uid)[1]
    assert step is not None
    assert (step.PatientID, step.PerformedProcedureStepStatus) == ("P1", "COMPLETED")


def test_a_step_is_asked_for_in_whole_and_in_part(modality: Modality, order: Dataset) -> None:
    uid = generate_uid()
    modality.create(uid, begun([refers(order)]))
    status, step = modality.get(uid)
    assert status.Status == 0
    assert step is not None
    assert str(step.PatientName) == "Müller^Eva"
    assert step.ScheduledStepAttributesSequence[0].AccessionNumber == order.AccessionNumber
    part = modality.get(uid, 0x00400252, 0x00080060)[1]
    assert part is not None
    assert [element.keyword for element in part] == ["Modality", "PerformedProcedureStepStatus"]


def test_what_was_never_created_is_neither_set_nor_found(archive: RunningArchive, modality: Modality) -> None:
    assert modality.set(generate_uid(), over()).Status == 0x0112
    assert modality.get(generate_uid())[0].Status == 0x0112
    assert archive.metric("gantry_step_requests_total") > 0


def test_an_operation_of_the_other_sop_class_is_refused(modality: Modality, order: Dataset) -> None:
    uid = generate_uid()
    modality.create(uid, begun([refers(order)]))
    assert modality.get(uid, of=ModalityPerformedProcedureStep)[0].Status == 0x0211


def test_a_cancelled_order_is_on_no_worklist(modality: Modality, orders: OrdersClient, order: Dataset) -> None:
    assert orders.ask("DELETE", f"/{order.AccessionNumber}?reason=did+not+come")[0] == 200
    assert listed(modality, order) == set()
    assert orders.states(order.AccessionNumber) == {"S1": "CANCELLED", "S2": "CANCELLED"}


def made(files: list[DicomFile]) -> Dataset:
    """What N-SET says at the end of a step that made these."""
    ends = over()
    references = []
    for file in files:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = file.sop_class_uid, file.sop_instance_uid
        references.append(reference)
    ends.PerformedSeriesSequence[0].ReferencedImageSequence = Items(references)
    return ends


async def completions(archive: RunningArchive, study_uid: str, count: int) -> list[StudyCompleted]:
    """Return when so many were said of a study."""
    async with asyncio.timeout(30):
        while True:
            study_events = [event for event in await events(archive, "instances") if isinstance(event, StudyCompleted)]
            study_events = [event for event in study_events if event.study_instance_uid == study_uid]
            if len(study_events) >= count:
                return study_events
            await asyncio.sleep(0.2)


async def test_a_study_is_complete_when_all_that_a_step_made_is_here(
    archive: RunningArchive, modality: Modality, order: Dataset, tmp_path: Path
) -> None:
    uid, series = generate_uid(), generate_uid()
    files = [write(tmp_path, data_set(study=order.StudyInstanceUID, series=series, number=n)) for n in (1, 2, 3)]
    assert modality.create(uid, begun([refers(order)])).Status == 0
    await Sender(archive.peer, files[:2]).send_all()
    # The step is over before its last image is here.
    assert modality.set(uid, made(files)).Status == 0
    await asyncio.sleep(2)
    assert not [event for event in await events(archive, "instances") if isinstance(event, StudyCompleted)]
    await Sender(archive.peer, files[2:]).send_all()
    (completion,) = await completions(archive, order.StudyInstanceUID, 1)
    assert (completion.reason, completion.added, completion.instances, completion.senders) == (
        "procedure step",
        3,
        3,
        ("TEST_SCU",),
    )
