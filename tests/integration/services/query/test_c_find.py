"""C-FIND over real associations, on a real index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from gantry.common.dimse import Element
from gantry.common.net import Association, Peer, Server, connect
from gantry.common.net.scu import find
from gantry.common.ports.index import SearchIndex
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.association_log import NetworkObserver
from gantry.services.query.app import build_services
from tests.support.dicom import EXPLICIT, IMPLICIT, from_bytes, to_bytes
from tests.support.entries import entry


class Everyone:
    def admit(self, request: object, peer_address: str, tls: bool, certificate: str) -> None:
        return None


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    opened = await open_sqlite_index(tmp_path / "index.db")
    yield opened
    await opened.close()


@asynccontextmanager
async def asking(index: SearchIndex, syntax: str = EXPLICIT, *, strict: bool = False) -> AsyncIterator[Association]:
    metrics = Metrics()
    services = build_services(index, "GANTRY", metrics, strict=strict)
    server = Server(services, Everyone(), NetworkObserver(metrics, "query"))
    port = await server.start("127.0.0.1", 0)
    peer = Peer("127.0.0.1", port, "GANTRY", "VIEWER")
    models = (PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND)
    try:
        async with connect(peer, [(model, (syntax,)) for model in models]) as association:
            yield association
    finally:
        await server.drain(1.0)


def question(level: str = "STUDY", **keys: object) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


async def ask(
    association: Association, query: Dataset, model: str = STUDY_ROOT_FIND, syntax: str = EXPLICIT
) -> tuple[int, list[int], list[Dataset]]:
    statuses, answers = [], []
    async for response, identifier in find(association, model, to_bytes(query, syntax)):
        statuses.append(response.status)
        if identifier:
            answers.append(from_bytes(identifier, syntax))
    return statuses[-1], statuses[:-1], answers


def studies(count: int) -> list[object]:
    return [
        entry(
            n,
            f"1.9.{n}",
            f"1.{n}",
            f"1.{n}.1",
            PatientID=f"P{n % 3}",
            PatientName={"Alphabetic": f"Müller^{n}"},
            StudyDate="20240131",
            Modality="CT",
        )
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
async def test_matches_come_with_pending_and_end_with_success(index: SearchIndex, syntax: str) -> None:
    await index.apply(studies(7))
    async with asking(index, syntax) as association:
        query = question(PatientName="MULLER*", StudyInstanceUID="", ModalitiesInStudy="CT")
        final, pending, answers = await ask(association, query, syntax=syntax)
    assert final == 0x0000
    assert pending == [0xFF00] * 7
    assert sorted(answer.StudyInstanceUID for answer in answers) == [f"1.{n}" for n in range(1, 8)]
    assert {answer.ModalitiesInStudy for answer in answers} == {"CT"}
    assert {answer.RetrieveAETitle for answer in answers} == {"GANTRY"}


async def test_every_model_answers_at_its_levels(index: SearchIndex) -> None:
    await index.apply(studies(7))
    async with asking(index) as association:
        for model, query, count in [
            (PATIENT_ROOT_FIND, question("PATIENT", PatientID=""), 3),
            (PATIENT_ROOT_FIND, question("STUDY", PatientID="P1"), 3),
            (PATIENT_ROOT_FIND, question("SERIES", PatientID="P1", StudyInstanceUID="1.1"), 1),
            (STUDY_ROOT_FIND, question("SERIES", StudyInstanceUID="1.1", Modality="MR"), 0),
            (STUDY_ROOT_FIND, question("IMAGE", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1"), 1),
            (PATIENT_STUDY_ONLY_FIND, question("PATIENT", NumberOfPatientRelatedStudies=""), 3),
        ]:
            final, _, answers = await ask(association, query, model)
            assert (final, len(answers)) == (0x0000, count)


async def test_an_unsupported_optional_key_is_told_with_ff01(index: SearchIndex) -> None:
    await index.apply(studies(2))
    async with asking(index) as association:
        final, pending, answers = await ask(association, question(StudyInstanceUID="", SeriesInstanceUID=""))
    assert (final, pending) == (0x0000, [0xFF01, 0xFF01])
    assert all("SeriesInstanceUID" not in answer for answer in answers)


@pytest.mark.parametrize(
    ("asked", "status", "offending"),
    [
        (Dataset(), 0xA900, 0x00080052),
        (question("PATIENT"), 0xA900, 0x00080052),
        (question("SERIES"), 0xA900, 0x0020000D),
        (question(StudyDate="20240101-20240102-20240103"), 0xC000, 0x00080020),
        (question(StudyInstanceUID=[f"1.{n}" for n in range(60_000)]), 0xA700, 0x0020000D),
    ],
)
async def test_a_bad_identifier_is_refused_with_its_element(
    index: SearchIndex, asked: Dataset, status: int, offending: int
) -> None:
    async with asking(index) as association:
        responses = [r async for r, _ in find(association, STUDY_ROOT_FIND, to_bytes(asked, EXPLICIT))]
        assert [r.status for r in responses] == [status]
        assert responses[0].elements[Element.OFFENDING_ELEMENT] in (offending, (offending,), [offending])
        assert 0 < len(responses[0].text(Element.ERROR_COMMENT)) <= 64
        assert (await ask(association, question(StudyInstanceUID="")))[0] == 0x0000


async def test_junk_for_an_identifier_is_not_understood(index: SearchIndex) -> None:
    async with asking(index) as association:
        responses = [r async for r, _ in find(association, STUDY_ROOT_FIND, b"\x08\x00\x52\x00CS\xff\xff")]
        assert [r.status for r in responses] == [0xC000]


async def test_an_index_that_is_away_is_out_of_resources(index: SearchIndex, tmp_path: Path) -> None:
    for file in tmp_path.glob("index.db*"):
        file.write_bytes(b"junk" * 100)
    async with asking(index) as association:
        assert (await ask(association, question(StudyInstanceUID="")))[0] == 0xA700


async def test_a_cancel_ends_with_fe00_before_all_is_sent(index: SearchIndex) -> None:
    # 24 MB of answers: more than lies between two who talk.
    await index.apply([entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", StudyDescription="x" * 8000) for n in range(3000)])
    async with asking(index) as association:
        context = association.context_for(STUDY_ROOT_FIND)
        statuses = []
        async for response, _ in find(association, STUDY_ROOT_FIND, to_bytes(question(StudyDescription=""), EXPLICIT)):
            if not statuses:
                await association.cancel(context.id, response.responds_to)
            statuses.append(response.status)
    assert statuses[-1] == 0xFE00
    assert 1 <= len(statuses) - 1 < 3000


async def test_a_peer_that_does_not_read_holds_the_search_up(index: SearchIndex) -> None:
    """Back-pressure: what waits to be sent stays small however many match, and others are served meanwhile."""
    large = {"StudyDescription": "x" * 10_000}
    await index.apply([entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", **large) for n in range(4000)])
    metrics = Metrics()
    server = Server(build_services(index, "GANTRY", metrics), Everyone(), NetworkObserver(metrics, "query"))
    peer = Peer("127.0.0.1", await server.start("127.0.0.1", 0), "GANTRY", "VIEWER")
    async with connect(peer, [(STUDY_ROOT_FIND, (EXPLICIT,))]) as slow:
        slow.connection.pause("test")
        query = to_bytes(question(StudyDescription=""), EXPLICIT)
        responses = find(slow, STUDY_ROOT_FIND, query)
        first = asyncio.ensure_future(anext(responses))
        sent = -1.0
        while sent != (sent := metrics.find_responses._value.get()) or not sent:
            await asyncio.sleep(0.5)
        assert sent < 4000
        async with connect(peer, [(STUDY_ROOT_FIND, (EXPLICIT,))]) as other:
            assert (await ask(other, question(StudyInstanceUID="1.7")))[0] == 0x0000
        slow.connection.resume("test")
        await first
        async for response, _ in responses:
            final = response.status
        assert final == 0x0000
        assert metrics.find_responses._value.get() == 4001
    await server.drain(1.0)


async def test_a_search_of_the_patient_root_without_a_patient_is_answered_and_says_so(index: SearchIndex) -> None:
    """Workstations search for the studies of a day like that; a setting holds to the letter (PS3.4 C.4.1.2.1)."""
    await index.apply([entry(n, f"9.{n}", f"1.{n}", f"1.{n}.1", PatientID=f"P{n}") for n in range(3)])
    for query in (question("STUDY", StudyDate=""), question("STUDY", PatientID="P*")):
        async with asking(index) as association:
            assert await _counted(association, query) == (
                3,
                0x0000,
                "no single PatientID was given: all patients were searched",
            )
        async with asking(index, strict=True) as association:
            assert (await _counted(association, query))[:2] == (0, 0xA900)
    async with asking(index) as association:
        assert await _counted(association, question("STUDY", PatientID="P1")) == (1, 0x0000, "")
        # Only the patient need not be named.
        assert (await _counted(association, question("SERIES", PatientID="P1")))[:2] == (0, 0xA900)


async def _counted(association: Association, query: Dataset) -> tuple[int, int, str]:
    """How many answers, the final status and its Error Comment."""
    responses = [r async for r, _ in find(association, PATIENT_ROOT_FIND, to_bytes(query, EXPLICIT))]
    return len(responses) - 1, responses[-1].status, responses[-1].text(Element.ERROR_COMMENT)
