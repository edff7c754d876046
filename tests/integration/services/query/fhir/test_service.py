"""FHIR over real connections, on a real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.fhir.identifiers import Systems
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.fhir_answers import FHIR_JSON
from gantry.common.web.server import WebServer
from gantry.services.query.fhir import service
from gantry.services.query.fhir.service import FhirService
from tests.support.entries import entry

# Nine studies of three patients: a CT and an SR series in each, with two instances each.
ENTRIES = [
    entry(
        study * 10 + number + 1,
        f"1.{study}.{number // 2}.{number}",
        f"1.{study}",
        f"1.{study}.{number // 2}",
        PatientID=f"P{study % 3}",
        IssuerOfPatientID="NORTH",
        PatientName={"Alphabetic": "Doe^Jane"},
        StudyDate=f"2024010{study}",
        StudyTime="101500",
        TimezoneOffsetFromUTC="+0100",
        Modality=["CT", "SR"][number // 2],
        SeriesNumber=str(9 - number // 2),
        AccessionNumber=f"A{study}",
        InstanceNumber=str(9 - number),
    )
    for study in range(1, 10)
    for number in range(4)
]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    index = await open_sqlite_index(tmp_path / "index.db")
    await index.apply(ENTRIES)
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    systems = Systems.read(["NORTH=urn:oid:1.2.36"])
    server.serve(FhirService(index, None, systems, "GANTRY", date(2026, 1, 2)).handlers())
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        try:
            yield session
        finally:
            await server.close()
            await index.close()


async def ask(client: aiohttp.ClientSession, path: str, wanted: int = 200, **headers: str) -> Any:
    async with client.get(path if path.startswith("http") else f"/fhir/r4/{path}", headers=headers) as response:
        assert response.status == wanted, await response.text()
        assert response.content_type == FHIR_JSON
        return await response.json(content_type=None)


def ids(bundle: Any, mode: str = "match") -> list[str]:
    return [resource["resource"]["id"] for resource in bundle.get("entry", ()) if resource["search"]["mode"] == mode]


async def test_newest_studies_come_first_a_page_at_a_time(client: aiohttp.ClientSession) -> None:
    uids, pages = list[str](), 0
    url = "ImagingStudy?_count=4&modality=CT"
    while url:
        bundle = await ask(client, url)
        uids += ids(bundle)
        pages += 1
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert (uids, pages) == ([f"1.{n}" for n in range(9, 0, -1)], 3)


async def test_study_is_read_with_its_series_and_instances_by_their_numbers(client: aiohttp.ClientSession) -> None:
    study = await ask(client, "ImagingStudy/1.4")
    assert (study["started"], study["numberOfInstances"]) == ("2024-01-04T10:15:00+01:00", 4)
    assert [series["uid"] for series in study["series"]] == ["1.4.1", "1.4.0"]
    assert [instance["uid"] for instance in study["series"][1]["instance"]] == ["1.4.0.1", "1.4.0.0"]
    assert study["contained"][0]["address"].endswith("/dicom-web")


async def test_study_of_very_many_instances_is_given_without_them(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_INSTANCES", 3)
    study = await ask(client, "ImagingStudy/1.4")
    assert [series["numberOfInstances"] for series in study["series"]] == [2, 2]
    assert not any("instance" in series for series in study["series"])


async def test_studies_of_a_patient_come_with_him(client: aiohttp.ClientSession) -> None:
    for query in ("patient=Patient/P1.NORTH", "patient.identifier=urn:oid:1.2.36%7CP1", "subject:identifier=P1"):
        bundle = await ask(client, f"ImagingStudy?{query}&_include=ImagingStudy:subject&_total=accurate")
        assert (ids(bundle), bundle["total"]) == (["1.7", "1.4", "1.1"], 3)
        assert ids(bundle, "include") == ["P1.NORTH"]
    patient = await ask(client, "Patient/P1.NORTH")
    assert patient["name"][0]["family"] == "Doe"
    assert ids(await ask(client, "Patient?identifier=P1")) == ["P1.NORTH"]


async def test_a_total_alone_lists_nothing(client: aiohttp.ClientSession) -> None:
    bundle = await ask(client, "ImagingStudy?started=ge2024-01-05&_summary=count")
    assert (bundle["total"], "entry" in bundle) == (5, False)
    assert (await ask(client, "ImagingStudy?patient=Patient/--&_summary=count"))["total"] == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("ImagingStudy/1.99", 404, "not-found"),
        ("ImagingStudy/no-uid", 404, "not-found"),
        ("Patient/P9", 404, "not-found"),
        ("Observation", 404, "not-found"),
        ("ImagingStudy?started=yesterday", 400, "invalid"),
        ("ImagingStudy?_cursor=x", 400, "invalid"),
        ("ImagingStudy?_format=xml", 406, "processing"),
    ],
)
async def test_what_is_wrong_is_said_as_an_outcome(
    client: aiohttp.ClientSession, path: str, status: int, code: str
) -> None:
    answer = await ask(client, path, status)
    assert (answer["resourceType"], answer["issue"][0]["code"]) == ("OperationOutcome", code)


async def test_unknown_parameters_are_refused_only_if_that_is_wanted(client: aiohttp.ClientSession) -> None:
    bundle = await ask(client, "ImagingStudy?reason=1&modality=CT&_count=1")
    assert "reason" not in bundle["link"][0]["url"]
    await ask(client, "ImagingStudy?reason=1", 400, Prefer="handling=strict")


async def test_below_r5_everything_is_r5_and_leads_to_r5(client: aiohttp.ClientSession) -> None:
    async with client.get("/fhir/r5/ImagingStudy?_count=1") as response:
        assert response.status == 200
        bundle = await response.json(content_type=None)
    (entry,) = bundle["entry"]
    assert "/fhir/r5/ImagingStudy/" in entry["fullUrl"]
    assert all("/fhir/r5/ImagingStudy?" in link["url"] for link in bundle["link"])
    modalities = entry["resource"]["modality"]
    assert modalities
    assert all(set(modality) == {"coding"} for modality in modalities)
    async with client.get("/fhir/r5/metadata") as response:
        answer = await response.json(content_type=None)
    assert answer["fhirVersion"] == "5.0.0"
    assert answer["implementation"]["url"].endswith("/fhir/r5")
    async with client.get("/fhir/r5/Subscription") as response:
        assert response.status == 404
    async with client.get("/fhir/r6/metadata") as response:
        assert response.status == 404


async def test_what_can_be_asked_is_stated(client: aiohttp.ClientSession) -> None:
    answer = await ask(client, "metadata")
    assert (answer["resourceType"], answer["date"]) == ("CapabilityStatement", "2026-01-02")
    async with client.post("/fhir/r4/ImagingStudy", data=b"{}") as response:
        assert response.status == 405
