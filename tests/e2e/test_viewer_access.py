"""Nothing that axe-core finds, on any state of the page, in light and dark (WCAG 2.2 AA)."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archive import ROOT, RunningArchive
from tests.support.browser import Page, chromium
from tests.support.page import ROWS, fill, opened, search

RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
FINDINGS = f"""axe.run(document, {{runOnly: {RULES}}}).then(found =>
  found.violations.map(one => `${{one.id}}: ${{one.nodes.map(node => node.html.slice(0, 200)).join(' | ')}}`))"""


@pytest.fixture(scope="module")
def axe() -> str:
    done = subprocess.run(["sh", str(ROOT / "deploy/axe.sh")], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr.strip() or "axe-core cannot be had")
    return Path(done.stdout.strip()).read_text()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    environment = {"GANTRY_HTTP__MAY_DELETE": "loopback", "GANTRY_HTTP__MAY_CORRECT": "loopback"}
    running = RunningArchive(tmp_path_factory.mktemp("access"), environment=environment).start()
    fill(running, 8, size=32, first_size=32)
    yield running
    running.stop()


async def _list(page: Page) -> None:
    await search(page, "2000..")


async def _no_match(page: Page) -> None:
    await search(page, "nobody ct")
    await page.until("Boolean(document.querySelector('.message'))")


async def _quick_look(page: Page) -> None:
    await page.press("ArrowDown", "Space")
    await page.until("document.querySelectorAll('.tags tbody tr').length > 5")


async def _priors(page: Page) -> None:
    await _quick_look(page)
    await page.click("#for-priors")


async def _times(page: Page) -> None:
    await _quick_look(page)
    await page.click("#for-times")


async def _study(page: Page) -> None:
    await page.press("ArrowDown", "Enter")
    await page.until("document.querySelectorAll('.tags tbody tr').length > 5")


async def _selection(page: Page) -> None:
    await page.press("ArrowDown", "x")
    await page.until("!document.querySelector('action-bar').hidden")


async def _delete(page: Page) -> None:
    await _selection(page)
    await page.until("document.querySelector('action-bar').innerText.includes('Delete …')")
    await page.press("Delete")
    await page.until("document.querySelector('#delete').open")


async def _reject(page: Page) -> None:
    await _selection(page)
    await page.until("document.querySelector('action-bar').innerText.includes('Reject …')")
    await page.press_button("Reject …")
    await page.until("document.querySelector('#reject')?.open")


async def _correct(page: Page) -> None:
    await _selection(page)
    await page.until("document.querySelector('action-bar').innerText.includes('Correct …')")
    await page.press("c")
    await page.until("document.querySelector('#correct').open")


async def _merge(page: Page) -> None:
    await page.press("ArrowDown", "x", "ArrowDown", "x")
    await page.until("document.querySelector('action-bar').innerText.includes('Merge patients …')")
    await page.press_button("Merge patients …")
    await page.until("document.querySelector('#merge').open")


async def _history(page: Page) -> None:
    await _quick_look(page)
    await page.click("#for-history")


async def _help(page: Page) -> None:
    await page.press("?")


async def _view(page: Page) -> None:
    await page.click(".holder > button")


async def _upload(page: Page) -> None:
    await page.choose_files("#files", [Path(__file__)])
    await page.until("Boolean(document.querySelector('.job[data-state=done]'))")


async def _error(page: Page) -> None:
    await page.stand_in("*/studies?*", lambda *_: (503, "text/plain", "the index is away"))
    await search(page, "doe")
    await page.until("document.querySelector('.message')?.textContent.includes('the index is away')")
    await asyncio.sleep(0.3)  # the count was asked for beside it, and is answered so, too
    page.errors.clear()


STATES = (
    *(_list, _no_match, _quick_look, _priors, _times, _history, _study),
    *(_selection, _delete, _reject, _correct, _merge, _help, _view, _upload, _error),
)


async def expect_accessible(page: Page, axe: str) -> None:
    """axe-core finds nothing, in light, in dark, and on a phone, where nothing is wider than the screen."""
    await page.evaluate(f"(() => {{ {axe} }})()")
    for theme in ("light", "dark"):
        await page.theme(theme)
        assert await page.evaluate(FINDINGS) == [], theme
    await page.size(390, 844, phone=True)
    await page.until("innerWidth <= 390")
    assert await page.evaluate(FINDINGS) == [], "on a phone"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__.strip("_"))
async def test_axe_finds_nothing(state: Callable[[Page], Awaitable[None]], archive: RunningArchive, axe: str) -> None:
    async with opened(archive) as page:
        await state(page)
        await page.evaluate(f"(() => {{ {axe} }})()")
        for theme in ("light", "dark"):
            await page.theme(theme)
            assert await page.evaluate(FINDINGS) == [], theme
        await page.size(390, 844, phone=True)
        await page.until(f"{ROWS}.length >= 0")
        assert await page.evaluate(FINDINGS) == [], "on a phone"


async def test_axe_finds_nothing_in_an_empty_archive(axe: str, tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        async with opened(archive, ready="Boolean(document.querySelector('#empty'))") as page:
            await page.evaluate(f"(() => {{ {axe} }})()")
            for theme in ("light", "dark"):
                await page.theme(theme)
                assert await page.evaluate(FINDINGS) == [], theme
            await page.size(390, 844, phone=True)
            assert await page.evaluate(FINDINGS) == [], "on a phone"
    finally:
        archive.stop()
