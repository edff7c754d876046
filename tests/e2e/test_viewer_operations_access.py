"""Every section of Operations for everybody: axe-core finds nothing, the keyboard gets everywhere, a phone shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.test_viewer_access import FINDINGS, axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_operations import SECTION, says, section
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.operations import OPERATOR, POLICY, Operated, operate, peers
from tests.support.page import fill, opened


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningArchive, Operated]]:
    chromium()
    folder = tmp_path_factory.mktemp("operated")
    archive = RunningArchive(folder, environment=OPERATOR, lab=False)
    archive.write_policy(peers(archive), POLICY)
    archive.start()
    fill(archive, 3, size=32, first_size=32)
    yield archive, asyncio.run(operate(archive, folder))
    archive.stop()


ADDRESSES = (
    *("health", "where", "where?term=ACCESSION", "where?term=NOBODY", "conflicts", "conflicts/CONFLICT"),
    *(
        "conflicts/1.2.3",
        "letters",
        "letters?state=all",
        "routes",
        "routes?state=ended",
        "holds",
        "holds?term=NOBODY",
        "retention",
        "peers",
    ),
)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_axe_finds_nothing_in_operations(
    address: str,
    operated: tuple[RunningArchive, Operated],
    axe: str,  # noqa: F811
) -> None:
    archive, subject = operated
    address = address.replace("ACCESSION", subject.accession).replace("CONFLICT", subject.conflict)
    async with section(archive, address) as page:
        if subject.conflict in address:
            await says(page, "differ")
        await expect_accessible(page, axe)
        assert await page.evaluate(f"{SECTION}.scrollWidth <= {SECTION}.clientWidth")
        page.errors[:] = [error for error in page.errors if "404" not in error]


async def test_axe_finds_nothing_where_a_reason_is_asked_for_and_a_study_is_held(
    operated: tuple[RunningArchive, Operated],
    axe: str,  # noqa: F811
) -> None:
    archive, subject = operated
    address = f"/?study={subject.study}"
    async with opened(archive, address, ready="Boolean(document.querySelector('.held'))") as page:
        await page.click(".held")
        await page.evaluate(f"(() => {{ {axe} }})()")
        for theme in ("light", "dark"):
            await page.theme(theme)
            assert await page.evaluate(FINDINGS) == [], theme
        await page.press_button("Place a hold …")
        await page.until("document.querySelector('#op-why')?.open")
        assert await page.evaluate(FINDINGS) == []


async def focused(page: Page, words: str, *, tabs: int = 60) -> None:
    """Tab until the element that says so has the keyboard."""
    for _ in range(tabs):
        if (await page.evaluate("document.activeElement?.textContent.trim()")) == words:
            return
        await page.press("Tab")
    raise AssertionError(f"the keyboard does not get to {words}")


async def test_all_of_operations_is_reached_by_keyboard_alone(operated: tuple[RunningArchive, Operated]) -> None:
    archive, subject = operated
    async with opened(archive) as page:
        await page.until("!document.querySelector('gantry-rail a[href=\"/operations\"]').hidden")
        await focused(page, "Operations")
        await page.press("Enter")
        await says(page, "Processes, as they report themselves")
        await focused(page, "Dead letters1")
        await page.press("Enter")
        await says(page, "1 open dead letter")
        await page.press("ArrowDown", "Enter")
        await says(page, "Where is its study?")
        await page.press("Escape")
        await says(page, "1 open dead letter")
        await focused(page, "Holds")
        await page.press("Enter")
        await says(page, subject.study)
        await focused(page, "Release")
        await page.press("Enter")
        await page.until("document.querySelector('#op-why')?.open && document.activeElement.id === 'op-reason'")
        await page.press("Escape")
        await page.until("!document.querySelector('#op-why').open")
        await page.press("Escape")
        await page.until("document.querySelectorAll('study-table .body .row[data-study]').length > 0")
        # Back and forth in the browser's own history.
        await page.evaluate("history.back()")
        await says(page, subject.study)
