"""The place Operations of the page, in a real Chromium over a real archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.support.archive import RunningArchive
from tests.support.asking import Modality, found, wait_for
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, write
from tests.support.page import opened, put

OPERATOR = {
    "GANTRY_HTTP__MAY_OPERATE": "loopback",
    "GANTRY_HTTP__MAY_DELETE": "loopback",
    "GANTRY_HTTP__MAY_HOLD": "loopback",
}
SECTION = "document.querySelector('operations-place .section')"
SETTLED = f"Boolean({SECTION}?.querySelector(':scope > :not([aria-busy]) .op-body > *'))"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path, environment=OPERATOR).start()
    yield running
    running.stop()


@asynccontextmanager
async def section(archive: RunningArchive, address: str) -> AsyncIterator[Page]:
    """A section of Operations, when it has its answer."""
    async with opened(archive, f"/operations/{address}", ready=SETTLED) as page:
        yield page


async def says(page: Page, words: str) -> None:
    await page.until(f"{SECTION}.innerText.includes({words!r})")


async def test_a_study_is_found_by_its_accession_number_and_the_address_can_be_sent(archive: RunningArchive) -> None:
    uid = await asyncio.to_thread(
        put, archive, [data_set(name="Secret^Jane", patient="P7", AccessionNumber="A200", size=16)]
    )
    async with opened(archive) as page:
        await page.until("!document.querySelector('gantry-rail a[href=\"/operations\"]').hidden")
        await page.click('gantry-rail a[href="/operations"]')
        await page.press_button("Where is my study?", of="operations-place a")
        await page.until("document.activeElement?.id === 'where-term'")
        await page.type("#where-term", "A200")
        await page.press("Enter")
        await says(page, uid)
        await says(page, "1 instances can be found and retrieved")
        assert await page.evaluate("location.pathname + location.search") == "/operations/where?term=A200"
        assert "Secret" not in await page.evaluate("document.querySelector('operations-place').innerText")
        assert await page.evaluate("document.title") == "Where is my study? · Operations · Gantry"
        await page.press_button("Open the study", of="operations-place a")
        await page.until("document.querySelector('study-page h2')?.textContent.includes('SECRET')")
        assert await page.evaluate("document.querySelector('operations-place').offsetHeight") == 0
    async with section(archive, "where?term=A200") as page:
        await says(page, uid)
        await page.press("Escape")
        await page.until("document.querySelectorAll('study-table .body .row[data-study]').length === 1")
        assert await page.evaluate("location.pathname") == "/"


async def test_what_nobody_knows_is_said_with_what_to_look_at(archive: RunningArchive) -> None:
    async with section(archive, "where?term=NOTHING") as page:
        await says(page, "Nothing is known of it")
        await says(page, "NOTHING")


async def test_who_may_not_operate_has_no_such_place(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        await asyncio.to_thread(put, archive, [data_set(size=16)])
        async with opened(archive) as page:
            assert await page.evaluate("document.querySelector('gantry-rail a[href=\"/operations\"]').hidden")
        async with section(archive, "where?term=X") as page:
            await says(page, "Operations are not open to you")
            await says(page, "http.may_operate")
            page.errors[:] = [one for one in page.errors if "403" not in one]
    finally:
        archive.stop()


async def send(archive: RunningArchive, folder: Path, number: int, **attributes: Any) -> None:
    """One instance by C-STORE: what is in conflict is taken with a warning."""
    file = write(folder / f"{number}.dcm", data_set(number=number, size=16, **attributes))
    await Modality(archive.peer, [file]).send_all()


async def test_a_conflict_is_compared_decided_and_taken_back(archive: RunningArchive, tmp_path: Path) -> None:
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    await send(archive, tmp_path, 1, **uids, name="First^Come")
    await wait_for(archive, 1)
    await send(archive, tmp_path, 2, **uids, name="Second^Come")
    async with section(archive, "conflicts") as page:
        for _ in range(100):  # until the index has the second one, too
            if "1 UID means more than one object" in await page.evaluate(f"{SECTION}.innerText"):
                break
            await page.evaluate("document.querySelector('operations-place').refresh()")
            await asyncio.sleep(0.1)
        await says(page, "FIRST, Come")
        await says(page, "other bytes")
        assert (
            await page.evaluate("document.querySelector('a[href=\"/operations/conflicts\"] .badge').textContent") == "1"
        )
        # By keyboard alone: to the row, into it, to the side that is not current.
        await page.press("ArrowDown", "Enter")
        await says(page, "2 attributes differ")
        await says(page, "Pixels: ")
        differing = await page.evaluate(
            f"[...{SECTION}.querySelectorAll('.op-comparison tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
        )
        assert differing == [["PatientName", "First^Come", "Second^Come"], ["InstanceNumber", "1", "2"]]
        aside = ".op-side[aria-label^='aside'] .op-actions button"
        await page.evaluate(f"document.querySelector({aside!r}).focus()")
        await page.press("Enter")
        await page.until("document.querySelector('#op-why')?.open")
        await page.press("Enter")  # not without a reason
        assert await page.evaluate("document.querySelector('#op-why').open")
        await page.type("#op-reason", "the second is right")
        await page.press("Enter")
        await says(page, "It is not in conflict")
        page.errors[:] = [one for one in page.errors if "404" not in one]
        assert str((await found(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "Second^Come"
        await page.press_button("Undo")
        await says(page, "2 attributes differ")
        assert str((await found(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "First^Come"


async def test_without_conflicts_the_worklist_says_so(archive: RunningArchive) -> None:
    async with section(archive, "conflicts") as page:
        await says(page, "No conflicts")
