"""Marks of studies, over HTTP, on a real index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gantry.common.access import Sight
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.lifecycle import Deletion, DeletionState, holder_of, holders
from gantry.common.ports.index import Decision, HoldChange, InstanceKey
from gantry.common.runtime.restricted_index import SIGHT, RestrictedIndex
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import WebServer
from gantry.services.query.app import build_web
from gantry.services.query.states import MOST
from tests.support.entries import entry

STUDIES = [
    entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientID=f"P{n}", **({"IssuerOfPatientID": "NORTH"} if n == 4 else {}))
    for n in range(6)
]
ONE = Sight(({PATIENT_ID: Single(("P3",))},))
ASKED = ",".join(f"1.{n}" for n in range(8))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Over studies of which 1 is held, 2 rejected in part, 3 in conflict, and 4 of a patient who is held."""
    index = await open_sqlite_index(tmp_path / "index.db")
    again = entry(33, "1.9.3", "1.3", "1.3.1", PatientID="P3", digest="blake3:other")
    document = entry(22, "1.9.22", "1.2", "1.2.1", PatientID="P2")
    await index.apply([*STUDIES, again, document])
    patient = holder_of(holders("P4", "NORTH")[1])
    await index.hold([HoldChange("default", holder, "h", True) for holder in ("1.1", patient)])
    deletion_state = DeletionState(frozenset([Deletion("r", 5, kept=True, code="113001")]))
    await index.decide([Decision("default", InstanceKey("1.2", "1.2.1", "1.9.2"), STUDIES[2].receipt, deletion_state)])
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    states_of = build_web(RestrictedIndex(index), None)[Resource.STATES]

    async def as_somebody(request: web.BaseRequest, match: Match) -> web.StreamResponse:
        token = SIGHT.set(ONE if "X-One" in request.headers else SIGHT.get())
        try:
            return await states_of(request, match)
        finally:
            SIGHT.reset(token)

    server.serve({Resource.STATES: as_somebody})
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session
    await server.close()
    await index.close()


async def states(client: aiohttp.ClientSession, uids: str, **headers: str) -> object:
    async with client.get(f"/dicom-web/studies/states?StudyInstanceUID={uids}", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        return await response.json()


async def test_states_are_those_of_the_studies_that_have_any(client: aiohttp.ClientSession) -> None:
    expected = {"1.1": ["held"], "1.2": ["rejected"], "1.3": ["conflict"], "1.4": ["held"]}
    assert await states(client, ASKED) == expected
    assert await states(client, "1.0,1.3") == {"1.3": ["conflict"]}
    assert await states(client, "1.3&StudyInstanceUID=1.1") == {"1.3": ["conflict"], "1.1": ["held"]}


async def test_nobody_is_told_of_a_study_that_he_does_not_see(client: aiohttp.ClientSession) -> None:
    assert await states(client, ASKED, **{"X-One": "yes"}) == {"1.3": ["conflict"]}


@pytest.mark.parametrize("uids", ["", "1.2,nothing", "1.2,../3", ",".join(f"1.{n}" for n in range(MOST + 1))])
async def test_what_is_no_question_is_said_so(client: aiohttp.ClientSession, uids: str) -> None:
    async with client.get(f"/dicom-web/studies/states?StudyInstanceUID={uids}") as response:
        assert response.status == 400
        assert "StudyInstanceUID: 1 to 200 Study Instance UIDs" in await response.text()
