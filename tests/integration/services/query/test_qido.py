"""QIDO-RS over real connections, on a real index; and the same questions asked by C-FIND."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.dicom.query.matching import Level
from gantry.common.dicom.query.queries import Extended, Model, compile_query
from gantry.common.ports.index import SearchIndex
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebServer
from gantry.services.query.answers import Answers
from gantry.services.query.app import build_web
from tests.support.dicom import EXPLICIT, from_bytes, to_bytes
from tests.support.entries import entry
from tests.support.long import examples

ENTRIES = [
    entry(
        n,
        f"1.9.{n}",
        f"1.{n % 9}",
        f"1.{n % 9}.{n % 2}",
        PatientID=f"P{n % 9 % 3}",
        PatientName={"Alphabetic": ["Müller^Jörg", "DOE^JANE", "<script>&^\u202e"][n % 9 % 3]},
        StudyDate=f"2024013{n % 9 % 2}",
        StudyTime="101500",
        Modality=["CT", "MR"][n % 9 % 2],
        AccessionNumber=f"A{n % 9}",
        StudyDescription="Head,neck",
        Rows=512,
        InstanceNumber=n,
    )
    for n in range(1, 40)
]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, SearchIndex]]:
    index = await open_sqlite_index(folder / "index.db")
    await index.apply(ENTRIES)
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    server.serve(build_web(index, None))
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        try:
            yield session, index
        finally:
            await server.close()
            await index.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(tmp_path) as (session, _):
        yield session


async def ask(client: aiohttp.ClientSession, path: str, **parameters: str) -> list[Dataset]:
    async with client.get(f"/dicom-web/{path}", params=parameters) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/dicom+json"
        return [Dataset.from_json(match) for match in await response.json(content_type=None)]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("studies", 9),
        ("studies/1.3/series", 2),
        ("studies/1.3/series/1.3.1/instances", 3),
        ("studies/1.3/instances", 5),
        ("series", 18),
        ("instances", 39),
    ],
)
async def test_all_six_resources_answer(client: aiohttp.ClientSession, path: str, count: int) -> None:
    assert len(await ask(client, path)) == count
    async with client.get(f"/dicom-web/{path}/count") as response:
        assert await response.json() == {"count": count}


async def test_answer_has_what_viewers_need(client: aiohttp.ClientSession) -> None:
    (study,) = await ask(client, "studies", StudyInstanceUID="1.3")
    assert study.PatientName == "Müller^Jörg"
    assert study.ModalitiesInStudy == "MR"
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 5)
    assert study.RetrieveURL.endswith("/dicom-web/studies/1.3")
    assert study.RetrieveURL.startswith("http://127.0.0.1:")
    assert study.InstanceAvailability == "ONLINE"
    assert study.ReferringPhysicianName == ""
    instance = (await ask(client, "studies/1.3/series/1.3.1/instances"))[0]
    assert instance.RetrieveURL.endswith(f"/studies/1.3/series/1.3.1/instances/{instance.SOPInstanceUID}")


async def test_xml_says_the_same(client: aiohttp.ClientSession) -> None:
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    async with client.get("/dicom-web/studies?PatientID=P2", headers=accept) as response:
        reader = aiohttp.MultipartReader.from_response(response)
        documents = []
        while part := await reader.next():
            assert isinstance(part, aiohttp.BodyPartReader)
            assert part.headers["Content-Type"] == "application/dicom+xml"
            documents.append(ElementTree.fromstring(await part.read()))
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    names = [d.find(f"{space}DicomAttribute[@keyword='PatientName']//{space}FamilyName") for d in documents]
    assert [name.text for name in names if name is not None] == ["<script>&"] * 3
    async with client.get("/dicom-web/studies?PatientID=none", headers=accept) as response:
        assert response.status == 204


async def test_the_same_result_is_not_sent_twice(client: aiohttp.ClientSession) -> None:
    async with client.get("/dicom-web/studies") as response:
        etag = response.headers["ETag"]
    async with client.get("/dicom-web/studies", headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with client.get("/dicom-web/studies", headers={"If-Match": '"another"'}) as response:
        assert response.status == 412
    async with client.get("/dicom-web/studies?limit=1", headers={"If-None-Match": etag}) as response:
        assert response.status == 200


async def test_pages_by_offset_and_by_cursor_are_the_whole(client: aiohttp.ClientSession) -> None:
    whole = [match.SOPInstanceUID for match in await ask(client, "instances")]
    paged = []
    for offset in range(0, 39, 7):
        paged += [match.SOPInstanceUID for match in await ask(client, "instances", limit="7", offset=str(offset))]
    assert paged == whole
    walked: list[str] = []
    url: Any = "/dicom-web/instances?limit=7&includefield=SOPClassUID"
    while url is not None:
        async with client.get(url) as response:
            walked += [match["00080018"]["Value"][0] for match in await response.json(content_type=None)]
            url = response.links["next"]["url"] if "next" in response.links else None
            assert ("There are additional results" in response.headers.get("Warning", "")) == (url is not None)
    assert walked == whole


@pytest.mark.parametrize("orderby", ["-StudyDate,-StudyTime", "PatientName,-StudyDate", "-received", "AccessionNumber"])
async def test_an_order_holds_by_offset_and_by_cursor(client: aiohttp.ClientSession, orderby: str) -> None:
    whole = [match.StudyInstanceUID for match in await ask(client, "studies", orderby=orderby)]
    assert len(set(whole)) == 9
    paged: list[str] = []
    for offset in range(0, 9, 2):
        matches = await ask(client, "studies", orderby=orderby, limit="2", offset=str(offset))
        paged += [match.StudyInstanceUID for match in matches]
    assert paged == whole
    walked: list[str] = []
    url: Any = f"/dicom-web/studies?limit=2&orderby={orderby}"
    while url is not None:
        async with client.get(url) as response:
            walked += [match["0020000D"]["Value"][0] for match in await response.json(content_type=None)]
            url = response.links["next"]["url"] if "next" in response.links else None
    assert walked == whole


async def test_newest_first_and_names_and_numbers_are_in_order(client: aiohttp.ClientSession) -> None:
    dates = [match.StudyDate for match in await ask(client, "studies", orderby="-StudyDate")]
    assert dates == sorted(dates, reverse=True)
    assert len(set(dates)) == 2
    names = [str(match.PatientName) for match in await ask(client, "studies", orderby="PatientName")]
    assert names == ["<script>&^\u202e"] * 3 + ["DOE^JANE"] * 3 + ["Müller^Jörg"] * 3
    numbers = [
        int(match.InstanceNumber) for match in await ask(client, "studies/1.3/instances", orderby="-InstanceNumber")
    ]
    assert numbers == [39, 30, 21, 12, 3]


async def test_a_cursor_of_another_order_and_an_order_that_is_none_are_refused(client: aiohttp.ClientSession) -> None:
    async with client.get("/dicom-web/studies?limit=2&orderby=-StudyDate") as response:
        url = str(response.links["next"]["url"])
    for wrong in (url.replace("-StudyDate", "StudyDate"), url.replace("orderby=-StudyDate&", "")):
        async with client.get(wrong) as response:
            assert (response.status, "cursor" in await response.text()) == (400, True)
    async with client.get("/dicom-web/studies?orderby=PatientComments") as response:
        assert response.status == 400
        assert "studies are ordered by PatientName" in await response.text()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("PatientName=doe*", 3),
        ("PatientName=DOE^JANE", 3),
        ("StudyDate=20240131", 4),
        ("StudyDate=20240131-&ModalitiesInStudy=MR", 4),
        ("PatientName=jane%20do&fuzzymatching=true", 3),
        ("StudyDescription=*neck", 9),
        ("PatientID=P9", 0),
        ("StudyTime=1015", 9),
        ("orderby=-StudyDate&limit=2&PatientID=P1", 3),
    ],
)
async def test_a_count_is_that_of_the_matches(client: aiohttp.ClientSession, query: str, count: int) -> None:
    async with client.get(f"/dicom-web/studies/count?{query}") as response:
        assert await response.json() == {"count": count}
    async with client.get(f"/dicom-web/studies?{query.replace('&limit=2', '')}") as response:
        assert len(await response.json(content_type=None)) == count


async def test_counting_what_must_be_looked_at_ends(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(self: object, query: object) -> int:
        await asyncio.sleep(3600)
        return 0

    monkeypatch.setattr("gantry.common.adapters.sqlite.index.index.SqliteIndex.total", forever)
    monkeypatch.setattr("gantry.services.query.matches.COUNT_SECONDS", 0.05)
    async with client.get("/dicom-web/studies/count?StudyTime=1015") as response:
        assert (response.status, "narrow the search" in await response.text()) == (503, True)
        assert int(response.headers["Retry-After"]) > 0


async def test_what_is_not_supported_is_said(client: aiohttp.ClientSession) -> None:
    async with client.get("/dicom-web/studies?PatientName=doe*&fuzzymatching=true") as response:
        assert "Warning" not in response.headers
        assert len(await response.json(content_type=None)) == 3
    async with client.get("/dicom-web/studies?00091001=x") as response:
        assert response.headers["Warning"].startswith('299 gantry "00091001 is not supported as a key here')
        assert len(await response.json(content_type=None)) == 9  # all of them


@pytest.mark.parametrize(
    ("query", "accept", "statuses"),
    [
        ("limit=-1", "", {400}),
        ("limit=1000000000", "", {200}),
        ("offset=10001", "", {200}),
        ("offset=1000000000", "", {400}),
        ("includefield=junk", "", {400}),
        ("fuzzymatching=junk", "", {400}),
        ("PatientName=" + "%3F" * 500, "", {200}),
        ("PatientName=" + "*" * 500 + "x", "", {200}),
        ("PatientName=" + "*" * 2000, "", {400}),
        ("PatientID=%5B%5E%24(a%2B)%2B", "", {200}),
        ("PatientID=%00%ff", "", {200}),
        ("PatientName=';%20DROP%20TABLE%20study;%20--", "", {200}),
        ("StudyInstanceUID=" + ",".join(["1.2"] * 3000), "", {200}),
        ("StudyInstanceUID=..%2f..%2fetc", "", {400}),
        ("StudyDate=99990101-00010101", "", {200, 400}),
        ("cursor=WzEsMiwzLDQsNV0", "", {400}),
        ("cursor=WyJ4IiwxXQ", "", {200}),
        ("&".join(["PatientID=x"] * 1001), "", {400}),
        ("", "junk", {406}),
        ("", "text/html", {406}),
        ("", "x/y," * 100, {400}),
        ("%zz=%", "", {200}),
        ("_=1732600000", "", {200}),
    ],
)
async def test_bad_question_is_no_error_of_ours(
    client: aiohttp.ClientSession, query: str, accept: str, statuses: set[int]
) -> None:
    url = aiohttp.client.URL(f"/dicom-web/studies?{query}", encoded=True)
    async with client.get(url, headers={"Accept": accept} if accept else {}) as response:
        assert response.status in statuses, await response.text()
        if response.status == 200:
            json.loads(await response.read())


LEVELS = {"STUDY": (Level.STUDY, "studies"), "SERIES": (Level.SERIES, "series"), "IMAGE": (Level.IMAGE, "instances")}
_values: dict[str, list[str]] = {
    "PatientID": ["", "P1", "P*", "P1\\P2", "p1"],
    "PatientName": ["", "MULLER*", "doe^jane", "*jane", "?OE*", "<script>&^\u202e"],
    "StudyDate": ["20240130", "20240131-", "-20240130", "19990101-20501231"],
    "AccessionNumber": ["A1", "A?", "A1\\A2"],
    "ModalitiesInStudy": ["CT", "MR\\CT", "US"],
    "StudyInstanceUID": ["1.3", "1.3\\1.4", "1.77"],
    "StudyDescription": ["Head,neck", "*,*"],
    "Modality": ["CT", "M*"],
    "InstanceNumber": ["7", "007"],
    "NumberOfStudyRelatedInstances": ["", "5"],
}
questions = st.tuples(
    st.sampled_from(sorted(LEVELS)),
    st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in _values.items()}),
)


def test_the_same_identifier_has_the_same_answer_by_c_find() -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        context = serving(Path(folder))
        client, index = runner.run(context.__aenter__())

        @given(questions)
        @settings(max_examples=examples(60))
        def agree(question: tuple[str, dict[str, str]]) -> None:
            level, keys = question
            assert runner.run(by_qido(client, level, keys)) == runner.run(by_c_find(index, level, keys))

        try:
            agree()
        finally:
            runner.run(context.__aexit__(None, None, None))


async def by_qido(client: aiohttp.ClientSession, level: str, keys: dict[str, str]) -> list[dict[str, str]]:
    async with client.get(f"/dicom-web/{LEVELS[level][1]}?{urlencode(keys)}") as response:
        assert response.status == 200
        matches = [Dataset.from_json(match) for match in await response.json(content_type=None)]
    return [_plain(match, keys, level) for match in matches]


async def by_c_find(index: SearchIndex, level: str, keys: dict[str, str]) -> list[dict[str, str]]:
    """As `gantry.services.query.c_find` does it, with the relational search that QIDO-RS always is."""
    request = Dataset()
    request.SpecificCharacterSet = "ISO_IR 192"
    request.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(request, keyword, value if keyword != "NumberOfStudyRelatedInstances" else value or None)
    identifier = decode_identifier(to_bytes(request, EXPLICIT), EXPLICIT)
    query = compile_query(
        identifier, Model.STUDY_ROOT, "default", Extended(relational=True, combined_date_time=True, timezone=True)
    )
    answers = Answers(identifier, query, EXPLICIT, "GANTRY")
    return [
        _plain(from_bytes(answers.encode(document), EXPLICIT), keys, level)
        async for page in index.find(query)
        for document in page
    ]


def _plain(data_set: Dataset, keys: dict[str, str], level: str) -> dict[str, str]:
    unique = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
    return {key: str(data_set[key].value) for key in (*keys, unique) if key in data_set}


async def test_capabilities_name_every_path(client: aiohttp.ClientSession) -> None:
    async with client.get("/dicom-web/") as response:
        resources = {resource["path"]: resource["methods"] for resource in (await response.json())["resources"]}
    assert resources["/dicom-web/studies"] == ["GET", "POST"]
    assert "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}" in resources
    async with client.options("/dicom-web", headers={"Accept": "application/vnd.sun.wadl+xml"}) as response:
        assert response.status == 200
        document = ElementTree.fromstring(await response.read())
    space = "{http://wadl.dev.java.net/2009/02}"
    assert len(document.findall(f".//{space}resource")) == len(resources)
