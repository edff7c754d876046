"""What the archive says in FHIR R4 and R5, validated by HL7's own validator (on Maven, as HAPI brings it)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.dicom import bundled_file
from tests.support.hl7_validator import validated
from tests.support.objects import data_set, file_bytes
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable
from tests.support.worklist import OrdersClient, ordered, scheduled

pytestmark = pytest.mark.timeout(600)  # the first run fetches the validator

FOREIGN = ("CT_small.dcm", "MR_small.dcm", "waveform_ecg.dcm", "reportsi.dcm", "rtplan.dcm", "liver_1frame.dcm")
MADE = (
    data_set(
        study="1.2.3.7",
        instance="1.2.3.7.1",
        patient="4711/ä",
        name="Müller^Jörg^^Dr.",
        IssuerOfPatientID="NORTH",
        PatientSex="M",
        PatientBirthDate="19700131",
        TimezoneOffsetFromUTC="+0100",
        SeriesDate="20240131",
        SeriesTime="101501.5",
        SeriesNumber=3,
        Laterality="L",
        BodyPartExamined="HAND",
        SpecificCharacterSet="ISO_IR 192",
        ReferringPhysicianName="House^Greg",
    ),
    data_set(study="1.2.3.8", instance="1.2.3.8.1", patient="", name="", StudyDate="", Modality="", AccessionNumber=""),
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("archive"))
    settings = "query: {fhir_systems: ['NORTH=urn:oid:1.2.36.146.595.217']}\nhttp: {may_order: [loopback]}\n"
    running.write_policy([], settings)
    running.start()
    try:
        bodies = [*(bundled_file(name).read_bytes() for name in FOREIGN), *(file_bytes(dataset) for dataset in MADE)]
        assert post(running, files(bodies)).status in (200, 202)
        for dataset in MADE:
            wait_searchable(running.peer, dataset.StudyInstanceUID, 1)
        orders = OrdersClient(running)
        orders.place(*(ordered(number, scheduled("S1"), scheduled("S2")) for number in range(1, 8)))
        orders.place(
            ordered(
                8,
                PatientID="4711/ä",
                IssuerOfPatientID="NORTH",
                PatientName="Müller^Jörg^^Dr.",
                RequestedProcedurePriority="STAT",
                PlacerOrderNumberImagingServiceRequest="PLACED-8",
                ReasonForTheRequestedProcedure="Fall",
                RequestedProcedureComments="Speaks Turkish",
                IssueDateOfImagingServiceRequest="20260104",
            )
        )
        orders.ask("DELETE", "/A2?reason=ordered+twice")
        yield running
    finally:
        running.stop()


def test_every_resource_is_valid_by_the_definitions_of_hl7(archive: RunningArchive, tmp_path: Path) -> None:
    names = {
        "studies": "ImagingStudy?_include=ImagingStudy:subject&_total=accurate",
        "study": "ImagingStudy/1.2.3.7",
        "bare": "ImagingStudy/1.2.3.8",
        "patient": "Patient/4711-2F-C3-A4.NORTH",
        "order": "ServiceRequest/A8",
        "orders": "ServiceRequest?_count=5",
        "revoked": "ServiceRequest/A2",
        "capabilities": "metadata",
        "outcome": "ImagingStudy?started=yesterday",
    }
    for name, path in names.items():
        for release, prefix in (("r4", ""), ("r5", "r5-")):
            status, body = archive.http(f"/fhir/{release}/{path}")
            assert status == (400 if name == "outcome" else 200), path
            (tmp_path / f"{prefix}{name}.json").write_text(body)
    wrong = '{"resourceType": "ImagingStudy", "status": "here", "subject": {}}'
    (tmp_path / "wrong.json").write_text(wrong)
    # What is right in R4 is not in R5.
    (tmp_path / "r5-wrong.json").write_text((tmp_path / "study.json").read_text())
    lines = validated(tmp_path)
    every = [f"{prefix}{name}" for prefix in ("", "r5-") for name in (*names, "wrong")]
    assert {line for line in lines if line.endswith(" validated")} == {f"{name}.json validated" for name in every}
    messages = [line for line in lines if not line.endswith(" validated")]
    for name in ("wrong.json", "r5-wrong.json"):
        assert any(line.startswith(f"{name} ERROR") for line in messages), "it looks"
    print("\n".join(messages))
    assert [line for line in messages if " ERROR " in line and "wrong.json" not in line] == []


def found(archive: RunningArchive, query: str) -> list[str]:
    """The ids of all pages of a search for orders."""
    ids: list[str] = []
    path = f"/fhir/r4/ServiceRequest?{query}"
    while path:
        status, body = archive.http(path)
        assert status == 200, body
        bundle = json.loads(body)
        ids += [entry["resource"]["id"] for entry in bundle.get("entry", ())]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "").partition(f":{archive.http_port}")[2]
    return ids


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", "A1 A2 A3 A4 A5 A6 A7 A8"),
        ("_count=3", "A1 A2 A3 A4 A5 A6 A7 A8"),
        ("_count=0", ""),
        ("status=active&_count=2", "A1 A3 A4 A5 A6 A7 A8"),
        ("status=revoked", "A2"),
        ("status=completed", ""),
        ("_id=A3,A5", "A3 A5"),
        ("_id=A3,A5&patient.identifier=P5", "A5"),
        ("identifier=A4", "A4"),
        ("identifier=A*", ""),
        ("identifier=PLACED-8", "A8"),
        ("patient=4711-2F-C3-A4.NORTH", "A8"),
        ("patient.identifier=urn:oid:1.2.36.146.595.217%7C4711/%C3%A4", "A8"),
        ("occurrence=2026-01-05&identifier=A1,A2", "A1 A2"),
        ("occurrence=gt2026-01-05", ""),
    ],
)
def test_orders_are_found(archive: RunningArchive, query: str, wanted: str) -> None:
    assert sorted(found(archive, query)) == wanted.split()


def test_what_is_no_order_is_said_so(archive: RunningArchive) -> None:
    for path, status in (("/A99", 404), ("/a%20b", 404), ("/A1/x", 404), ("?occurrence=soon", 400)):
        answer = archive.http(f"/fhir/r4/ServiceRequest{path}")
        assert (answer[0], json.loads(answer[1])["resourceType"]) == (status, "OperationOutcome"), path
