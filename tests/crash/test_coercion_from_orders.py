"""Values that coercion takes from orders, on the whole archive: whatever dies or is away, nothing is lost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.common.events import InstanceStored
from tests.crash.conftest import MakeArchive
from tests.crash.test_coercion import listed, restored
from tests.crash.test_corrections import metadata, part10, shown
from tests.crash.test_deletion import done
from tests.crash.test_upkeep import everything, gantry, index_of
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find_matches, until, wait_for
from tests.support.objects import data_set, study, write
from tests.support.worklist import OrdersClient, ordered, scheduled

SETTINGS = (
    "http: {may_order: [loopback], may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "lifecycle: {collect_every: 0}\n"
)
RULES = """coercion:
  rules:
    - name: from the worklist
      calling: ['CT*']
      order:
        by: [StudyInstanceUID, AccessionNumber, ScheduledProcedureStepID, PatientID]
        copy: [PatientID, PatientName, PatientBirthDate, PatientSex, AccessionNumber, ReferringPhysicianName,
               RequestedProcedureDescription, RequestAttributesSequence]
"""
METRIC = 'gantry_coercion_orders_total{{outcome="{}",rule="from the worklist"}}'


def archive_of(make_archive: MakeArchive, more: str = "", **options: str) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([], SETTINGS + RULES + more)
    return archive.start(**options)


def image(folder: Path, **values: object) -> DicomFile:
    """As a modality sends it where somebody typed a name at its console."""
    attributes = {"patient": "TYPED", "name": "Typed^Wrong", "PatientSex": "F", "PatientComments": "own", **values}
    return write(folder, data_set(**attributes))  # type: ignore[arg-type]


def request_of(step: str, **values: str) -> Dataset:
    item = Dataset()
    item.ScheduledProcedureStepID = step
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


async def send(archive: RunningArchive, *files: DicomFile) -> None:
    await Modality(replace(archive.peer, calling_ae_title="CT1"), [*files]).send_all()


def outcome(archive: RunningArchive, word: str) -> float:
    return archive.metric(METRIC.format(word)) or 0.0


def logged(archive: RunningArchive) -> list[dict[str, object]]:
    return [json.loads(line) for line in archive.log.read_text().splitlines() if line.startswith("{")]


def expect_ordered(got: Dataset, number: int, steps: list[str]) -> None:
    assert (got.PatientID, got.PatientName, got.PatientSex) == (f"P{number}", f"Patient^No{number}", "O")
    assert (got.AccessionNumber, got.ReferringPhysicianName) == (f"A{number}", "Cuddy^Lisa")
    assert [item.ScheduledProcedureStepID for item in got.RequestAttributesSequence] == steps
    assert {item.RequestedProcedureID for item in got.RequestAttributesSequence} == {f"R{number}"}
    (modified,) = got.OriginalAttributesSequence
    assert modified.ReasonForTheAttributeModification == "COERCE"
    assert modified.ModifiedAttributesSequence[0].PatientName == "Typed^Wrong"
    assert got.PatientComments == "own"  # no attribute that the rule copies


async def test_an_object_gets_the_values_of_its_order_by_whatever_leads_to_it(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    orders = OrdersClient(archive)
    day = scheduled("S1", ScheduledProcedureStepStartDate="20240131")
    orders.place(ordered(1), ordered(2), ordered(3, scheduled("S1"), scheduled("S2")), ordered(4, day))
    by_study = image(tmp_path, study="1.2.840.99.1", AccessionNumber="")
    by_accession = image(tmp_path, AccessionNumber="A2")
    by_step = image(tmp_path, patient="P3", AccessionNumber="", RequestAttributesSequence=[request_of("S2")])
    # More than one chunk of ingest, and nothing but the patient and the day.
    by_patient = image(tmp_path, patient="P4", AccessionNumber="", size=1300)
    nobodys = image(tmp_path, AccessionNumber="A77")
    files = [by_study, by_accession, by_step, by_patient]
    await send(archive, *files, nobodys)
    # Retrieved at once, whether the indexers have come so far or not.
    for number, (file, steps) in enumerate(zip(files, (["S1"], ["S1"], ["S2"], ["S1"]), strict=True), 1):
        expect_ordered(part10(archive, file), number, steps)
        assert metadata(archive, file)["00080050"]["Value"] == [f"A{number}"]
        assert part10(archive, file, "?original=true") == pydicom.dcmread(file.path)
    assert part10(archive, nobodys) == pydicom.dcmread(nobodys.path)
    await wait_for(archive, 5)
    (match,) = await find_matches(archive.peer, "STUDY", "PatientID=P3", "AccessionNumber=A3", "PatientName")
    assert str(match.PatientName) == "Patient^No3"
    assert (outcome(archive, "found"), outcome(archive, "none")) == (4, 1)
    assert archive.metric('gantry_objects_coerced_total{rule="from the worklist"}') == 4
    # An order that changes later changes nothing that is stored.
    status, answer = orders.ask("PATCH", "/A2", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Later^Name"}]}})
    assert status == 200, answer
    assert (await shown(archive, pydicom.dcmread(by_accession.path).StudyInstanceUID))[1] == "Patient^No2"
    again = image(tmp_path, AccessionNumber="A2")
    await send(archive, again)
    assert part10(archive, again).PatientName == "Later^Name"
    assert archive.stop() == 0


async def test_an_order_that_is_not_clear_is_none_and_the_object_is_stored_as_it_came(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    days = [scheduled("S1", ScheduledProcedureStepStartDate="20240131") for _ in range(2)]
    OrdersClient(archive).place(*(ordered(n, day, PatientID="P1") for n, day in enumerate(days, 1)))
    file = image(tmp_path, patient="P1", AccessionNumber="")
    await send(archive, file)
    assert part10(archive, file) == pydicom.dcmread(file.path)
    assert outcome(archive, "several") == 1
    line = next(line for line in logged(archive) if line.get("event") == "stored without values of an order")
    assert (line["rule"], line["outcome"], line["calling"]) == ("from the worklist", "several", "CT1")
    assert "P1" not in str(line)
    assert archive.stop() == 0


async def test_what_came_from_an_order_comes_back_from_the_bucket_alone_and_no_segment_names_the_patient(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    OrdersClient(archive).place(ordered(1))
    files = study(tmp_path / "files", 3, series=2, patient="TYPED", name="Typed^Wrong", PatientComments="own")
    await send(archive, *files)
    stored = [event for event in await events(archive, "instances") if isinstance(event, InstanceStored)]
    assert len(stored) >= 3
    assert all(event.coercion for event in stored)
    await wait_for(archive, 3)
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    async with index_of(archive) as index:
        before = await everything(index)
    # The order is erased, and what its images say is theirs.
    done(archive, "orders", "erase", "A1", "--reason", "the law")
    await restored(archive)
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    for file in files:
        expect_ordered(part10(archive, file), 1, ["S1"])
    # And there is no order any more for what comes now.
    late = image(tmp_path / "late")
    await send(archive, late)
    assert part10(archive, late) == pydicom.dcmread(late.path)
    assert archive.stop() == 0


@pytest.mark.parametrize("failpoint", ["after-blob-put=kill@2", "before-publish=kill@3", "after-publish=kill@2"])
async def test_an_object_whose_event_was_not_published_is_found_with_what_its_order_said_then(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = archive_of(make_archive, failpoints=failpoint)
    orders = OrdersClient(archive)
    orders.place(ordered(1))
    files = [image(tmp_path / "files", AccessionNumber="A1") for _ in range(2)]
    modality = Modality(replace(archive.peer, calling_ae_title="CT1"), files)
    await modality.send()
    assert modality.left == files[1:]
    archive.kill()
    # Whoever sweeps it knows no rules.
    archive.write_policy([], SETTINGS)
    archive.start()
    await wait_for(archive, 2)
    for file in files:
        expect_ordered(part10(archive, file), 1, ["S1"])
    assert archive.stop() == 0


async def test_ingest_follows_orders_by_itself_and_stores_without_them_where_they_cannot_be_read(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    OrdersClient(archive).place(ordered(1))
    assert archive.stop() == 0
    # A process that has no orders role.
    archive.arguments += ["--role", "ingest", "--role", "query", "--role", "retrieve", "--role", "indexer"]
    archive.start()
    file = image(tmp_path, AccessionNumber="A1")
    await send(archive, file)
    expect_ordered(part10(archive, file), 1, ["S1"])
    assert archive.stop() == 0


async def test_orders_that_cannot_be_read_cost_no_object(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    OrdersClient(archive).place(ordered(1))
    assert archive.stop() == 0
    archive.write_policy([], SETTINGS + RULES + "  orders_within: 0.2\norders: {start_within: 0.1}\n")
    # Reading the first orders takes long.
    archive.start(failpoints="after-fold=sleep:10@1")
    file = image(tmp_path, AccessionNumber="A1")
    await send(archive, file)
    assert part10(archive, file) == pydicom.dcmread(file.path)
    assert outcome(archive, "away") == 1
    await until(lambda: OrdersClient(archive).ask("GET", "/A1")[0] == 200)
    again = image(tmp_path, AccessionNumber="A1")
    await send(archive, again)
    expect_ordered(part10(archive, again), 1, ["S1"])
    assert archive.stop() == 0


async def test_what_would_come_from_orders_is_listed_of_files(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    OrdersClient(archive).place(ordered(1))
    known, unknown = image(tmp_path, AccessionNumber="A1"), image(tmp_path, AccessionNumber="A9")
    code, lines = await listed(archive, "--calling", "CT1", str(known.path), str(unknown.path))
    assert code == 0
    changes = {
        (line["attribute"], *line["before"], *line["after"]) for line in lines if line["object"] == str(known.path)
    }
    assert ("PatientName", "Typed^Wrong", "Patient^No1") in changes
    assert ("RequestAttributesSequence", "1 items") in changes
    assert [line for line in lines if line["object"] == str(unknown.path)] == [
        {"object": str(unknown.path), "rule": "from the worklist", "order": "none"}
    ]
    result = await asyncio.to_thread(gantry, archive, "coerce", "--dry-run", "--calling", "CT1", str(unknown.path))
    assert "(no order)" in result.stdout
    assert archive.stop() == 0
