"""Studies are deleted on the page and brought back, in a real Chromium; other pages that are open follow."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set
from tests.support.page import names, opened, put, url

ALL = {"ADAMS, Ada", "BROWN, Ben", "CLARK, Cleo"}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path, environment={"GANTRY_HTTP__MAY_DELETE": "loopback"}).start()
    for name in ("Adams^Ada", "Brown^Ben", "Clark^Cleo"):
        put(running, [data_set(name=name, patient=name[:5], StudyDate="20240102", size=16)])
    yield running
    running.stop()


async def job(page: Page, words: str) -> None:
    await page.until(f"[...document.querySelectorAll('.job')].some(e => e.textContent.includes('{words}'))")


async def shown(page: Page, expected: set[str]) -> None:
    rows = "[...document.querySelectorAll('study-table .body .row[data-study] .name')].map(e => e.textContent).sort()"
    await page.until(f"JSON.stringify({rows}) === JSON.stringify({sorted(expected)})")


async def test_a_study_is_deleted_for_a_reason_and_undone(archive: RunningArchive) -> None:
    async with opened(archive) as page, opened(archive) as other:
        await shown(page, ALL)
        await page.until("document.querySelector('study-table .body .row[data-study]')?.dataset.study.length > 0")
        uid = await page.evaluate(
            "[...document.querySelectorAll('study-table .body .row[data-study]')]"
            ".find(e => e.textContent.includes('BROWN')).dataset.study"
        )
        await page.type("#search", "brown")
        await names(page, ["BROWN, Ben"])
        await page.press("ArrowDown", "Delete")
        await page.until("document.querySelector('#delete')?.open")
        assert await page.evaluate("document.querySelector('#delete-title').textContent") == "Delete 1 study?"
        assert "BROWN, Ben" in await page.evaluate("document.querySelector('#delete .named').textContent")
        # Without a reason nothing is deleted.
        await page.press("Enter")
        assert await page.evaluate("document.querySelector('#delete').open")
        await page.type("#delete-reason", "Sent twice")
        await page.press("Enter")
        await job(page, "1 study deleted")
        await page.until("document.querySelector('.message')?.textContent.includes('No study matches')")
        await shown(other, ALL - {"BROWN, Ben"})
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url(archive)}/dicom-web/studies/{uid}/metadata", timeout=20)
        await page.press_button("Undo")
        await job(page, "1 study restored")
        await names(page, ["BROWN, Ben"])
        assert await page.evaluate("[...document.querySelectorAll('.undo')].every(e => e.hidden)")
        await other.until("document.body.innerText.includes('1 new')")


async def test_several_are_deleted_by_the_bar_and_what_is_refused_says_why(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await shown(page, ALL)
        held = await page.evaluate("document.querySelector('study-table .body .row[data-study]').dataset.study")
        assert gantry(archive, "hold", "place", held, "--reason", "trial").returncode == 0
        await page.evaluate(
            "document.querySelectorAll('study-table .body input[type=checkbox]').forEach(e => e.click())"
        )
        await page.until("document.querySelector('action-bar').textContent.includes('3 selected')")
        await page.press_button("Delete …")
        await page.type("#delete-reason", "Test images")
        await page.press("Enter")
        await job(page, "2 studies deleted, 1 not")
        lines = "[...document.querySelectorAll('.job li[data-state=failed]')].map(e => e.textContent)"
        (line,) = await page.evaluate(lines)
        assert "hold stands on this study" in line
        await page.until("document.querySelectorAll('study-table .body .row[data-study]').length === 1")
        page.errors[:] = [error for error in page.errors if "409" not in error]


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[RunningArchive]:
    """Nobody may delete in it."""
    chromium()
    running = RunningArchive(tmp_path).start()
    put(running, [data_set(name="Only^One", size=16)])
    yield running
    running.stop()


async def test_who_may_not_delete_is_not_offered_it(closed: RunningArchive) -> None:
    async with opened(closed) as page:
        await page.press("ArrowDown", "x")
        await page.until("document.querySelector('action-bar').textContent.includes('1 selected')")
        bar = "[...document.querySelectorAll('action-bar button')].filter(e => !e.hidden).map(e => e.textContent)"
        assert "Delete …" not in await page.evaluate(bar)
        await page.press("Delete")
        assert not await page.evaluate("document.querySelector('#delete').open")
