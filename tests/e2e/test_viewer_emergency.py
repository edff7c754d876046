"""Emergency access at the page, in a real Chromium: asked for where something is not found, shown while it lasts."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, file_bytes
from tests.support.page import NAMES, OPTIONAL, opened, search
from tests.support.stow import files, post

STUDIES = {"1.2.8.1": "P1", "1.2.8.2": "P1", "1.2.8.3": "P3"}
JANE, MACHINE = "0123456789abcdef-jane", "0123456789abcdef-machine"
SETTINGS = """access:
  roles: ['referrer=read,history,override']
  override_key_file: {folder}/overrides
http:
  tokens_file: {folder}/tokens
  may_operate: [machine]
"""
BANNER = "document.querySelector('emergency-banner')"
SAID = f"{BANNER}.hidden ? '' : {BANNER}.innerText"
OPEN = "document.querySelector('#emergency')?.open"
STATE = "(document.querySelector('study-table .message')?.innerText || '')"
NOBODY = "!document.querySelector('study-table .message')?.closest('[hidden]') && " + STATE + ".includes('yours')"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    folder = tmp_path_factory.mktemp("emergency")
    running = RunningArchive(folder, lab=False)
    fill_in(folder)
    running.write_policy([], SETTINGS.format(folder=folder))
    running.start()
    for study, patient in STUDIES.items():
        image = data_set(study=study, series=f"{study}.1", instance=f"{study}.1.1", patient=patient)
        assert post(running, files([file_bytes(image)]), Authorization=f"Bearer {MACHINE}").status == 200
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


def fill_in(folder: Path) -> None:
    (folder / "tokens").write_text(f"machine:{MACHINE}\njane:{JANE} roles=referrer\n")
    (folder / "overrides").write_text("1" * 44)


@asynccontextmanager
async def jane(archive: RunningArchive, address: str = "/", ready: str = NOBODY) -> AsyncIterator[Page]:
    """The page, signed in as somebody who sees no study by herself."""
    async with opened(archive, address, ready="document.querySelector('#token')?.open") as page:
        page.errors.clear()
        await page.type("#token-value", JANE)
        await page.press("Enter")
        await page.until(ready)
        await page.until("document.body.dataset.ready")
        yield page
        # Of what is not hers the page asks nevertheless, and the console notes the answers.
        page.errors[:] = [error for error in page.errors if not error.endswith(("/studies/count", *OPTIONAL))]


async def give(page: Page, reason: str = "found unconscious, no consent", **values: str) -> None:
    for name, value in values.items():
        await page.evaluate(f"document.querySelector('#emergency-{name}').value = ''")
        await page.type(f"#emergency-{name}", value)
    await page.type("#emergency-reason", reason)
    await page.press_button("Open", of="#emergency button")


async def test_patient_is_opened_from_where_nothing_was_found_and_closed_again(archive: RunningArchive) -> None:
    async with jane(archive) as page:
        await search(page, "id:P1")
        await page.until(f"{STATE}.includes('No study matches')")
        await page.press_button("Emergency access …", of="study-table button")
        await page.until(OPEN)
        assert await page.evaluate("document.querySelector('#emergency-patient').value") == "P1"
        assert "for 60 minutes" in await page.evaluate("document.querySelector('#emergency').innerText")
        await give(page)
        await page.until(f"({SAID}).includes('patient P1')")
        await page.until(f"{NAMES}.length === 2")
        assert not await page.evaluate(OPEN)
        assert "Emergency access until" in await page.evaluate(SAID)

        # It is there after the page was loaded anew, also for what asks by itself.
        await page.reload()
        await page.until(f"({SAID}).includes('patient P1')")
        await page.until(f"{NAMES}.length === 2")
        status = "fetch('/dicom-web/studies/1.2.8.1/thumbnail').then(it => it.status)"
        assert await page.evaluate(status) == 401, "a cookie alone names nobody"
        page.errors.clear()

        await page.press_button("End it now")
        await page.until(f"{BANNER}.hidden")
        await page.until(f"{STATE}.includes('No study matches')")
        assert await page.evaluate("document.activeElement.id") == "search"
    await asyncio.to_thread(until, lambda: "found unconscious" in archived(archive))


async def test_study_is_opened_from_its_own_page(archive: RunningArchive) -> None:
    failed = "document.querySelector('study-page')?.innerText.includes('cannot be shown')"
    async with jane(archive, "/?study=1.2.8.3", failed) as page:
        await page.until("document.querySelector('study-page .study-head').innerText.includes('Emergency access')")
        await page.press_button("Emergency access …", of=".study-head button")
        await page.until(OPEN)
        assert await page.evaluate("document.querySelector('#emergency-study').value") == "1.2.8.3"
        await give(page)
        await page.until(f"({SAID}).includes('study …1.2.8.3')")
        await page.until("document.querySelector('study-page .study-head').innerText.includes('P3')")
        page.errors.clear()  # what was not hers yet


async def test_what_the_archive_refuses_is_said_and_what_was_written_stays(archive: RunningArchive) -> None:
    async with jane(archive) as page:
        await page.press_button("Emergency", of="gantry-rail button")
        await page.until(OPEN)
        await page.click("#emergency input[value=study]")
        await give(page, study="no uid")
        assert "not a UID" in await page.until("document.querySelector('#emergency .problem').textContent")
        assert await page.evaluate("document.querySelector('#emergency-study').value") == "no uid"
        assert await page.evaluate(f"{BANNER}.hidden")
        page.errors.clear()


async def test_short_reason_is_asked_for_again_before_anything_is_sent(archive: RunningArchive) -> None:
    async with jane(archive) as page:
        await page.press_button("Emergency", of="gantry-rail button")
        await page.until(OPEN)
        before = archive.metric("gantry_overrides_total")
        await give(page, reason="urgent", patient="P1")
        assert await page.evaluate(OPEN)
        assert archive.metric("gantry_overrides_total") == before


async def test_who_sees_everything_is_offered_none(archive: RunningArchive) -> None:
    async with opened(archive, ready="document.querySelector('#token')?.open") as page:
        page.errors.clear()
        await page.type("#token-value", MACHINE)
        await page.press("Enter")
        await page.until(f"{NAMES}.length === 3")
        await page.until("document.body.dataset.ready")
        assert await page.evaluate("document.querySelector('[aria-label^=Emergency]').hidden")
        assert not [address for address in page.asked if "dicom-web/overrides" in address]


async def test_axe_finds_nothing_in_the_form_and_the_banner(archive: RunningArchive, axe: str) -> None:  # noqa: F811
    async with jane(archive) as page:
        await page.press_button("Emergency", of="gantry-rail button")
        await page.until(OPEN)
        await expect_accessible(page, axe)
        await give(page, patient="P1")
        await page.until(f"({SAID}).includes('patient P1')")
        await expect_accessible(page, axe)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def archived(archive: RunningArchive) -> str:
    """What is on record of overrides."""
    address = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/audit?kind=override"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {MACHINE}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.dumps(json.load(answer))
