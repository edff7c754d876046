"""Queries that span Orthanc and a second archive of ours, which asks us in turn; in both topologies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dimse import Element
from gantry.common.net import Peer, connect
from gantry.common.net.scu import find
from tests.crash.test_prefetch import prior
from tests.support.archive import RunningArchive
from tests.support.asking import Modality
from tests.support.dicom import EXPLICIT, from_bytes, to_bytes
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.topology import TOPOLOGIES, environment, remove_stores

pytestmark = pytest.mark.timeout(240)


@contextmanager
def two_archives(folder: Path, topology: str, orthanc: int) -> Iterator[tuple[RunningArchive, RunningArchive]]:
    """Ours, and OLD: each asks the other one, and answers it as it answers workstations."""
    folders = [folder / name for name in ("ours", "theirs")]
    for root in folders:
        root.mkdir()
    stores = environment(topology, folders[0])
    ours = RunningArchive(folders[0], lab=False, environment=stores)
    old = RunningArchive(folders[1], lab=False)
    entry = "{ae_title: %s, host: 127.0.0.1, port: %d, may: [find, echo], federated: true}"
    sender = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find], federated: true}"
    plain = "{ae_title: PLAIN, host: 127.0.0.1, may: [find]}"
    limited = "{ae_title: SOME, host: 127.0.0.1, may: [find], federated: true, sees: [{institution: [North]}]}"
    ours.write_policy(
        [entry % ("OLD", old.port), entry % ("ORTHANC", orthanc), sender, plain, limited],
        "federation: {archives: [{ae_title: OLD, deadline: 10}, {ae_title: ORTHANC, deadline: 10}]}\n",
    )
    old.write_policy(
        [entry % ("GANTRY", ours.port), sender],
        "dimse: {ae_title: OLD}\nfederation: {archives: [{ae_title: GANTRY, deadline: 10}]}\n",
    )
    try:
        yield ours.start(), old.start()
    finally:
        ours.kill()
        old.kill()
        remove_stores(stores)


async def studies(peer: Peer) -> tuple[dict[str, Dataset], str]:
    """Those of P1 by the year in their UIDs, and the final Error Comment."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.PatientID, identifier.StudyDate = "STUDY", "P1", "20180101-"
    identifier.StudyInstanceUID = identifier.NumberOfStudyRelatedInstances = identifier.InstanceAvailability = ""
    answers, comment = {}, ""
    async with connect(peer, [(STUDY_ROOT_FIND, (EXPLICIT,))]) as association:
        async for command, data in find(association, STUDY_ROOT_FIND, to_bytes(identifier, EXPLICIT)):
            if data:
                answer = from_bytes(data, EXPLICIT)
                answers[str(answer.StudyInstanceUID).split(".")[4]] = answer
            else:
                assert command.status == 0
                comment = str(command.elements.get(Element.ERROR_COMMENT, ""))
    return answers, comment


async def all_found(peer: Peer, years: set[str]) -> dict[str, Dataset]:
    """What is found once all of it is searchable."""
    async with asyncio.timeout(60):
        while True:
            answers, comment = await studies(peer)
            if set(answers) >= years and all(
                int(answer.NumberOfStudyRelatedInstances) == 2 for answer in answers.values()
            ):
                assert set(answers) == years
                assert comment == ""
                return answers
            await asyncio.sleep(0.5)


def searched(archive: RunningArchive, query: str) -> list[dict[str, Any]]:
    status, body = archive.http(f"/dicom-web/studies?{query}")
    assert status == 200
    matches: list[dict[str, Any]] = json.loads(body)
    return matches


async def below(peer: Peer, level: str, study: str) -> list[Dataset]:
    """Series or instances of a study."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = level, study
    identifier.Modality = identifier.PatientID = identifier.SeriesInstanceUID = identifier.InstanceAvailability = ""
    if level == "IMAGE":
        identifier.SOPInstanceUID = ""
    answers = []
    async with connect(peer, [(STUDY_ROOT_FIND, (EXPLICIT,))], extended=((STUDY_ROOT_FIND, b"\1"),)) as association:
        async for command, data in find(association, STUDY_ROOT_FIND, to_bytes(identifier, EXPLICIT)):
            if data:
                answers.append(from_bytes(data, EXPLICIT))
            else:
                assert (command.status, command.elements.get(Element.ERROR_COMMENT)) == (0, None)
    return answers


async def series_and_instances_span(ours: RunningArchive, theirs: Peer, studies: dict[str, Dataset]) -> None:
    """Those of Orthanc's study and of OLD's are found where they are, by C-FIND and over HTTP."""
    for year, holder in (("2022", "ORTHANC"), ("2024", "OLD")):
        uid = str(studies[year].StudyInstanceUID)
        (series,) = await below(ours.peer, "SERIES", uid)
        assert (titles(series), series.PatientID, series.Modality) == ([holder], "P1", "CT")
        instances = await below(ours.peer, "IMAGE", uid)
        assert [
            (titles(instance), instance.SeriesInstanceUID, instance.InstanceAvailability) for instance in instances
        ] == [([holder], series.SeriesInstanceUID, "NEARLINE")] * 2
        for path in (f"{uid}/instances", f"{uid}/series/{series.SeriesInstanceUID}/instances"):
            status, body = await asyncio.to_thread(ours.http, f"/dicom-web/studies/{path}?federated=true")
            uids = [match["00080018"]["Value"][0] for match in json.loads(body)]
            assert (status, uids) == (200, sorted(str(instance.SOPInstanceUID) for instance in instances))
        assert await below(replace(ours.peer, calling_ae_title="PLAIN"), "SERIES", uid) == []
    assert [titles(answer) for answer in await below(ours.peer, "SERIES", str(studies["2019"].StudyInstanceUID))] == [
        ["GANTRY"]
    ]
    # OLD asks us, and what only Orthanc has is not ours to tell it.
    assert await below(theirs, "SERIES", str(studies["2022"].StudyInstanceUID)) == []


def titles(answer: Dataset) -> list[str]:
    value = answer.RetrieveAETitle
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_queries_span_orthanc_and_an_archive_that_asks_us_in_turn(topology: str, tmp_path: Path) -> None:
    port = free_port()
    with two_archives(tmp_path, topology, port) as (ours, old), Orthanc(tmp_path, port, ours.port) as orthanc:
        files = {year: prior(tmp_path / "files", year) for year in (2019, 2022, 2024)}
        for file in (*files[2022], *files[2019], *prior(tmp_path / "x", 2025, patient="P2")):
            orthanc.upload(file.path)
        theirs = replace(old.peer, called_ae_title="OLD")
        await Modality(ours.peer, files[2019]).send_all()
        await Modality(theirs, files[2024]).send_all()

        await all_found(replace(ours.peer, calling_ae_title="PLAIN"), {"2019"})
        answers = await all_found(ours.peer, {"2019", "2022", "2024"})
        assert {year: titles(answer) for year, answer in answers.items()} == {
            "2019": ["GANTRY", "ORTHANC"],
            "2022": ["ORTHANC"],
            "2024": ["OLD"],
        }
        assert {year: answer.InstanceAvailability for year, answer in answers.items()} == {
            "2019": "ONLINE",
            "2022": "NEARLINE",
            "2024": "NEARLINE",
        }
        await series_and_instances_span(ours, theirs, answers)
        # OLD asks us and nobody else: a query that comes from it is answered from here alone, and so is ours by it.
        assert set(await all_found(theirs, {"2019", "2024"})) == {"2019", "2024"}
        for calling in ("PLAIN", "SOME"):
            alone, _ = await studies(replace(ours.peer, calling_ae_title=calling))
            assert set(alone) == ({"2019"} if calling == "PLAIN" else set())

        assert len(await asyncio.to_thread(searched, ours, "PatientID=P1")) == 1
        over_http = await asyncio.to_thread(searched, ours, "PatientID=P1&federated=true")
        assert [match["00080054"]["Value"] for match in over_http] == [["GANTRY", "ORTHANC"], ["ORTHANC"], ["OLD"]]

        # One that is away costs a warning, and nothing of what the others have.
        assert old.stop() == 0
        answers, comment = await studies(ours.peer)
        assert (set(answers), comment) == ({"2019", "2022"}, "no or not all answers of OLD")
        assert ours.stop() == 0
