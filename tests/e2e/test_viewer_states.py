"""The states of studies in the list: what came just now, conflicts, rejections and holds, as the archive has them."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator

import pytest
from pydicom.uid import generate_uid

from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.support.archive import RunningArchive
from tests.support.asking import Modality
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, file_bytes, write
from tests.support.page import TOTAL, opened, put, url
from tests.support.rejection_notes import rejection_note
from tests.support.stow import files, post

QUIET = 3.0
SETTINGS = f"completion: {{quiet: {QUIET:g}}}\nhttp: {{may_delete: [loopback], may_hold: [loopback]}}\n"
CELL = (
    "[...document.querySelectorAll('study-table .body .row')]"
    ".find(row => row.querySelector('.name')?.textContent === {})"
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    """One study in conflict, one rejected in part, one held, one of which nothing stands out."""
    chromium()
    folder = tmp_path_factory.mktemp("states")
    running = RunningArchive(folder)
    running.write_policy([], SETTINGS)
    running.start()
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    for number, name in ((1, "Con^Flict"), (2, "Con^Flict again")):
        made = [write(folder / f"{number}.dcm", data_set(number=number, size=16, name=name, patient="S1", **uids))]
        asyncio.run(Modality(running.peer, made).send_all())
    several = {"study": generate_uid(), "series": generate_uid(), "name": "Re^Jected", "patient": "S2"}
    instances = [data_set(number=number, size=16, **several) for number in (1, 2, 3)]
    put(running, instances)
    note = rejection_note(instances[:1])
    assert post(running, files([file_bytes(note)])).status == 200
    held = put(running, [data_set(size=16, name="He^Ld", patient="S3")])
    target = f"{url(running)}/dicom-web/studies/{held}/holds?reason=A+trial"
    urllib.request.urlopen(urllib.request.Request(target, method="POST"), timeout=30).close()
    put(running, [data_set(size=16, name="Plain^One", patient="S4")])
    yield running
    running.stop()


def state(name: str) -> str:
    return f"({CELL.format(json.dumps(name))}?.querySelector('.standing')?.innerText.trim())"


async def shown(page: Page, **expected: str) -> None:
    for name, words in expected.items():
        await page.until(f"{state(name.replace('_', ', '))} === {json.dumps(words)}", 15)


async def test_conflicts_rejections_and_holds_stand_in_the_list(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await shown(page, CON_Flict="Conflict", RE_Jected="Rejected", HE_Ld="Held", PLAIN_One="")
        label = f"{CELL.format(json.dumps('HE, Ld'))}.querySelector('.link').ariaLabel"
        assert (await page.evaluate(label)).endswith("Held")
        assert await page.evaluate("!document.querySelector('[role=columnheader].unsorted button')")
        # A hold that is released goes from the list by itself.
        await page.evaluate(f"{CELL.format(json.dumps('HE, Ld'))}.querySelector('.link').focus()")
        await page.press("Enter")
        await page.click("#for-history")
        await page.until("document.querySelector('study-holds').innerText.includes('A trial')")
        await page.press_button("Release", of="study-holds button")
        await page.type("#op-reason", "The trial is over")
        await page.press("Enter")
        await page.until("!document.querySelector('study-page .held')")
        await page.press("Escape")
        await shown(page, HE_Ld="", RE_Jected="Rejected")


async def test_a_study_is_arriving_until_nothing_of_it_came_for_the_quiet_time(archive: RunningArchive) -> None:
    uids = {"study": generate_uid(), "series": generate_uid(), "name": "Slow^Scan", "patient": "S5"}
    first, second = (data_set(number=number, size=16, **uids) for number in (1, 2))
    await asyncio.to_thread(put, archive, [first])
    async with opened(archive) as page:
        await shown(page, SLOW_Scan="")
        assert (await asyncio.to_thread(post, archive, files([file_bytes(second)]))).status == 200
        await shown(page, SLOW_Scan="Arriving")
        assert (await page.evaluate("document.querySelector('.pill').hidden")) is True
        await shown(page, SLOW_Scan="")


async def test_a_study_that_came_anew_is_arriving_when_it_is_shown(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        total = await page.evaluate(TOTAL)
        await asyncio.to_thread(put, archive, [data_set(size=16, name="New^One", patient="S6")])
        await page.until("!document.querySelector('.pill').hidden")
        await page.click(".pill")
        await page.until(f"{TOTAL} !== {json.dumps(total)}")
        await shown(page, NEW_One="Arriving")


async def test_axe_finds_nothing_where_states_stand(archive: RunningArchive, axe: str) -> None:  # noqa: F811
    async with opened(archive) as page:
        await shown(page, CON_Flict="Conflict", RE_Jected="Rejected")
        await expect_accessible(page, axe)


async def test_on_a_phone_states_are_words_beneath_the_name(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await page.size(390, 844, phone=True)
        second = f"{CELL.format(json.dumps('CON, Flict'))}?.querySelector('.second')?.innerText"
        await page.until(f"({second} || '').startsWith('Conflict')")
