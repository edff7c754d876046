"""Studies are corrected and patients merged on the page, and it is taken back, in a real Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set
from tests.support.page import names, opened, put


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path, environment={"GANTRY_HTTP__MAY_CORRECT": "loopback"}).start()
    for name, patient in (("Adams^Ada", "P1"), ("Brown^Ben", "P2")):
        put(running, [data_set(name=name, patient=patient, StudyDate="20240102", size=16)])
    yield running
    running.stop()


async def job(page: Page, words: str) -> None:
    await page.until(f"[...document.querySelectorAll('.job')].some(e => e.textContent.includes('{words}'))")


async def shown(page: Page, *expected: str) -> None:
    rows = "[...document.querySelectorAll('study-table .body .row[data-study] .name')].map(e => e.textContent).sort()"
    await page.until(f"JSON.stringify({rows}) === JSON.stringify({sorted(expected)})")


async def permitted(page: Page) -> None:
    """Return when the page knows what its reader may do."""
    script = "performance.getEntriesByType('resource').some(e => e.name.includes('/permissions') && e.responseEnd)"
    await page.until(script)


async def replace(page: Page, field: str, value: str) -> None:
    await page.evaluate(f"document.querySelector('{field}').value = ''")
    await page.type(field, value)


async def test_a_study_is_corrected_by_the_keyboard_and_taken_back(archive: RunningArchive) -> None:
    async with opened(archive) as page, opened(archive) as other:
        await shown(page, "ADAMS, Ada", "BROWN, Ben")
        await permitted(page)
        await page.type("#search", "brown")
        await names(page, ["BROWN, Ben"])
        await page.press("ArrowDown", "c")
        await page.until("document.querySelector('#correct')?.open")
        # Without a change and a reason nothing is sent.
        await page.type("#correct-reason", "Misspelt")
        await page.press("Enter")
        await page.until("document.querySelector('#correct .problem').textContent.includes('Nothing is changed')")
        await replace(page, "#correct-name", "Browne^Ben")
        await replace(page, "#correct-accession", "A100")
        await page.type("#correct-birth", "1970-01-31")
        await page.press("Enter")
        await job(page, "The study is corrected")
        await names(page, ["BROWNE, Ben"])
        await shown(other, "ADAMS, Ada", "BROWNE, Ben")
        await page.press_button("Undo")
        await job(page, "Taken back")
        await names(page, ["BROWN, Ben"])


async def test_the_history_of_a_study_can_be_read_and_taken_back(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await permitted(page)
        await page.type("#search", "adams")
        await names(page, ["ADAMS, Ada"])
        await page.press("ArrowDown", "c")
        await page.until("document.querySelector('#correct')?.open")
        await replace(page, "#correct-name", "Addams^Ada")
        await page.type("#correct-reason", "Misspelt")
        await page.press("Enter")
        await names(page, ["ADDAMS, Ada"])
        await page.press("ArrowDown", "Enter")
        await page.until("document.querySelector('study-page #for-history')?.textContent === 'History (1)'")
        await page.evaluate("document.querySelector('study-page #for-history').click()")
        history = "document.querySelector('study-page study-history').textContent"
        await page.until(f"{history}.includes('Study corrected by loopback: Misspelt')")
        assert "PatientName: Addams^Ada" in (await page.evaluate(history)).replace("Patient's Name", "PatientName")
        await page.press_button("Take back")
        await page.until(f"{history}.includes('Taken back on the page')")
        await page.until("document.querySelector('study-page h2').textContent.includes('ADAMS')")


async def test_two_patients_are_merged_by_the_bar_and_parted_again(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await shown(page, "ADAMS, Ada", "BROWN, Ben")
        await page.evaluate(
            "document.querySelectorAll('study-table .body input[type=checkbox]').forEach(e => e.click())"
        )
        bar = "[...document.querySelectorAll('action-bar button')].filter(e => !e.hidden).map(e => e.textContent)"
        await page.until(f"{bar}.includes('Merge patients …')")
        await page.press_button("Merge patients …")
        await page.until("document.querySelector('#merge')?.open")
        await page.evaluate(
            "[...document.querySelectorAll('#merge .choice')].find(e => e.textContent.includes('BROWN')).click()"
        )
        await page.type("#merge-reason", "Registered twice")
        await page.press("Enter")
        await job(page, "The patients are one")
        await shown(page, "BROWN, Ben", "BROWN, Ben")
        await page.press_button("Undo")
        await job(page, "Taken back")
        await shown(page, "ADAMS, Ada", "BROWN, Ben")


async def test_a_patient_is_corrected_in_all_studies(archive: RunningArchive) -> None:
    await asyncio.to_thread(put, archive, [data_set(name="Adams^Ada", patient="P1", StudyDate="20240103", size=16)])
    async with opened(archive) as page:
        await permitted(page)
        await page.type("#search", "adams")
        await names(page, ["ADAMS, Ada", "ADAMS, Ada"])
        await page.press("ArrowDown", "c")
        await page.until("document.querySelector('#correct')?.open")
        await page.evaluate("document.querySelector('#correct input[value=patient]').click()")
        assert await page.evaluate("document.querySelector('#correct-accession').disabled")
        assert await page.evaluate("document.querySelector('#correct [data-field=confidential]').hidden"), "nobody is"
        await replace(page, "#correct-name", "Adams^Adele")
        await page.type("#correct-reason", "Registry")
        await page.press("Enter")
        await job(page, "The patient is corrected")
        await names(page, ["ADAMS, Adele", "ADAMS, Adele"])


async def test_who_may_not_correct_is_not_offered_it(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    await asyncio.to_thread(put, archive, [data_set(name="Only^One", size=16)])
    async with opened(archive) as page:
        await permitted(page)
        await page.press("ArrowDown", "x")
        await page.until("document.querySelector('action-bar').textContent.includes('1 selected')")
        bar = "[...document.querySelectorAll('action-bar button')].filter(e => !e.hidden).map(e => e.textContent)"
        assert not {"Correct …", "Merge patients …"} & set(await page.evaluate(bar))
        await page.press("c")
        assert not await page.evaluate("document.querySelector('#correct').open")
    archive.stop()


async def test_a_patient_is_marked_as_confidential_and_the_mark_is_taken_away(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path, environment={"GANTRY_HTTP__MAY_CORRECT": "loopback"})
    archive.write_policy([], "access: {confidential: [administrator]}\n")
    archive.start()
    uid = await asyncio.to_thread(put, archive, [data_set(name="Adams^Ada", patient="P1", size=16)])

    def said() -> str:
        return archive.http(f"/dicom-web/studies?StudyInstanceUID={uid}&includefield=00403001")[1]

    async def change(page: Page, before: str, after: str) -> None:
        await page.press("ArrowDown", "c")
        await page.until("document.querySelector('#correct')?.open")
        await page.until("!document.querySelector('#correct-confidential').disabled")
        assert await page.evaluate("document.querySelector('#correct-confidential').value") == before
        await page.evaluate("document.querySelector('#correct input[value=patient]').click()")
        await replace(page, "#correct-confidential", after) if after else await page.evaluate(
            "document.querySelector('#correct-confidential').value = ''"
        )
        await page.type("#correct-reason", "asked for by the board")
        await page.press("Enter")
        await job(page, "The patient is corrected")

    async with opened(archive) as page:
        await permitted(page)
        await names(page, ["ADAMS, Ada"])
        await change(page, "", "VIP")
        assert '"VIP"' in await asyncio.to_thread(said)
    async with opened(archive) as page:
        await permitted(page)
        await names(page, ["ADAMS, Ada"])
        await change(page, "VIP", "")
        assert "VIP" not in await asyncio.to_thread(said)
    archive.stop()
