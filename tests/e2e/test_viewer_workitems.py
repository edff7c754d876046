"""Workitems at the page, in a real Chromium over a real archive: listed, looked at, cancelled and erased."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from tests.crash.test_upkeep import gantry
from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_operations import SECTION, SETTLED, says
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.orders import attributes
from tests.support.page import opened
from tests.support.workitems import MINE, WorkitemsClient, as_json, claim, done, workitem

NUMBERS = count(1)
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("workitems"))
    running.write_policy([], "http: {may_order: [loopback], may_delete: [loopback]}\n")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(archive: RunningArchive) -> WorkitemsClient:
    """Of the archive, in which nothing is to be done."""
    client = WorkitemsClient(archive.http_port)
    for match in client.ask("GET", "?limit=1000")[1] or []:
        uid = match["00080018"]["Value"][0]
        assert client.ask("DELETE", f"/{uid}?reason=test&even_in_progress=true")[0] == 204
    return client


def created(client: WorkitemsClient, **values: Any) -> str:
    uid = f"1.2.840.78.{next(NUMBERS)}"
    status, answer, _ = client.ask("POST", f"?{uid}", as_json(workitem(**values)))
    assert status == 201, answer
    return uid


def under_way(client: WorkitemsClient, uid: str, progress: str = "40") -> None:
    """Somebody claimed it, says how far it is, and what came of it until now."""
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    changes = done()
    changes[TAGS["ProcedureStepProgressInformationSequence"]] = [
        attributes(ProcedureStepProgress=progress, ProcedureStepProgressDescription="slice 12")
    ]
    output = attributes(TypeOfInstances="DICOM", StudyInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3.4.9")
    output[TAGS["ReferencedSOPSequence"]] = [
        attributes(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", ReferencedSOPInstanceUID="1.2.3.4.9.1")
    ]
    changes[TAGS["UnifiedProcedureStepPerformedProcedureSequence"]][0][TAGS["OutputInformationSequence"]] = [output]
    status, answer, _ = client.ask("POST", f"/{uid}?{MINE}", as_json(changes))
    assert status == 200, answer


@asynccontextmanager
async def workitems(archive: RunningArchive, address: str = "") -> AsyncIterator[Page]:
    async with opened(archive, f"/worklist/workitems{address}", ready=SETTLED) as page:
        yield page


async def rows(page: Page) -> list[str]:
    texts: list[str] = await page.evaluate(f"[...{SECTION}.querySelectorAll('tbody tr')].map(row => row.innerText)")
    return texts


async def ask_why(page: Page, button: str, reason: str) -> None:
    await page.press_button(button)
    await page.until("document.querySelector('#op-why')?.open")
    await page.type("#op-reason", reason)
    await page.press("Enter")


async def test_what_is_to_be_done_is_a_list_and_one_of_it_says_all(
    archive: RunningArchive, client: WorkitemsClient
) -> None:
    uid = created(client, ProcedureStepLabel=HOSTILE)
    created(client, PatientName="Öz^Ayşe", PatientID="P2", WorklistLabel="HEART")
    under_way(client, uid)
    async with workitems(archive) as page:
        await says(page, "2 workitems")
        first, second = sorted(await rows(page), key=lambda row: HOSTILE not in row)
        assert all(part in first for part in ("In progress, 40 %, slice 12", "DOE, Jane", "LIVER", "Worker", "medium"))
        assert all(part in second for part in ("Scheduled", "ÖZ, Ayşe", "P2", "HEART"))
        assert await page.evaluate("document.title") == "Workitems · Worklist · Gantry"
        # By keyboard alone: to the row, and into it.
        links = f"[...{SECTION}.querySelectorAll('.row-link')]"
        await page.until(f"(e => (e.focus(), true))({links}.find(e => e.innerText.includes('img')))")
        await page.press("Enter")
        await says(page, "Outputs")
        text = await page.evaluate(f"{SECTION}.innerText")
        assert all(part in text for part in (HOSTILE, "DOE, Jane · P1", "Segmentation", "40 %, slice 12", "1.2.3.4.9"))
        assert await page.evaluate("location.pathname") == f"/worklist/workitems/{uid}"
        assert MINE not in await page.evaluate("document.documentElement.outerHTML")
        await page.press("Escape")
        await says(page, "2 workitems")
    for query, expected in (
        ("?state=SCHEDULED", 1),
        ("?list=LIVER", 1),
        ("?term=P2", 1),
        ("?term=oz", 1),
        ("?term=nobody", 0),
        ("?state=", 2),
    ):
        async with workitems(archive, query) as page:
            assert len(await rows(page)) == expected, query


async def test_nothing_to_do_and_no_match_are_said(archive: RunningArchive, client: WorkitemsClient) -> None:
    async with workitems(archive) as page:
        await says(page, "Nothing is to be done")
        await page.type("#workitems-term", "Nobody")
        await page.press("Enter")
        await says(page, "No workitem matches")
        await says(page, "Asked for: Nobody.")
    async with workitems(archive, "/1.2.3.404") as page:
        await says(page, "There is no such workitem")
        page.errors[:] = [error for error in page.errors if "404" not in error]


async def test_one_is_cancelled_another_asked_to_be_and_erased(
    archive: RunningArchive, client: WorkitemsClient
) -> None:
    free, claimed = created(client), created(client)
    under_way(client, claimed)
    async with workitems(archive, f"/{free}") as page:
        await ask_why(page, "Cancel …", "Not needed")
        await says(page, "Cancelled")
        assert "Cancel …" not in await page.evaluate(f"{SECTION}.innerText")
    (shown,) = client.ask("GET", f"/{free}")[1]
    assert shown["00741000"]["Value"] == ["CANCELED"]
    assert "Not needed" in str(shown["00741002"])
    async with workitems(archive, f"/{claimed}") as page:
        await ask_why(page, "Cancel …", "Not needed")
        await page.until("document.querySelector('job-tray').innerText.includes('Asked for')")
        await says(page, "In progress")
        await ask_why(page, "Erase …", "the law")
        await page.until("location.pathname === '/worklist/workitems'")
        await says(page, "Nothing is to be done")
    assert client.ask("GET", f"/{claimed}")[0] == 410
    async with workitems(archive, f"/{claimed}") as page:
        await says(page, "This workitem was erased")
        page.errors[:] = [error for error in page.errors if "410" not in error]


async def test_a_long_list_comes_in_pages(archive: RunningArchive, client: WorkitemsClient) -> None:
    for number in range(102):
        created(client, PatientID=f"LONG{number}")
    async with workitems(archive) as page:
        await says(page, "100 workitems on this page")
        await page.until(
            f"(e => e && (e.click(), true))([...{SECTION}.querySelectorAll('a')].find(e => e.innerText === 'After'))"
        )
        await says(page, "2 workitems on this page")
        assert "offset=100" in await page.evaluate("location.search")


async def test_who_may_not_order_looks_and_changes_nothing(tmp_path: Path) -> None:
    chromium()
    running = RunningArchive(tmp_path)
    running.write_policy([], "http: {may_order: [other]}\n")
    running.start()
    try:
        client, uid = WorkitemsClient(running.http_port), "1.2.840.79.1"
        assert client.ask("POST", f"?{uid}", as_json(workitem()))[0] == 403
        document = tmp_path / "workitem.json"
        document.write_text(json.dumps(as_json(workitem(SOPInstanceUID=uid))))
        assert gantry(running, "workitems", "add", str(document)).returncode == 0
        async with workitems(running, f"/{uid}") as page:
            await says(page, "DOE, Jane")
            assert await page.evaluate(f"{SECTION}.querySelectorAll('.wl-acts button').length") == 0
    finally:
        running.stop()


@pytest.mark.parametrize("state", ["list", "one", "none"])
async def test_axe_finds_nothing_in_workitems(
    archive: RunningArchive,
    client: WorkitemsClient,
    state: str,
    axe: str,  # noqa: F811
) -> None:
    uid = created(client)
    under_way(client, uid)
    created(client)
    async with workitems(archive, {"list": "", "one": f"/{uid}", "none": "?term=nobody"}[state]) as page:
        await expect_accessible(page, axe)
