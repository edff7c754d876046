"""Links for people outside, made, listed and revoked at the page, in a real Chromium over a real archive."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from zipfile import ZipFile

import pydicom
import pytest

from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_operations import SECTION, SETTLED, says
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.page import fill, opened

LINK = "document.querySelector('#share code')?.textContent"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    folder = tmp_path_factory.mktemp("shares")
    running = RunningArchive(folder)
    (folder / "key").write_bytes(base64.b64encode(os.urandom(32)))
    (folder / "key").chmod(0o600)
    url = f"http://127.0.0.1:{running.http_port}"
    (folder / "pseudonyms").write_text("p" * 32)
    profile = f"{{name: teaching, key_file: {folder / 'pseudonyms'}, pixels_checked: true}}"
    running.write_policy(
        [],
        f"sharing: {{key_file: {folder / 'key'}}}\nhttp: {{url: '{url}', may_share: [loopback]}}\n"
        f"deidentification: {{profiles: [{profile}]}}\n",
    )
    running.start()
    fill(running, 3, size=32, first_size=32)
    yield running
    running.stop()


async def dialog(page: Page) -> None:
    """The dialog for the first study of the list."""
    await page.press("ArrowDown", "x")
    await page.until("document.querySelector('action-bar').innerText.includes('Share …')")
    await page.press_button("Share …")
    await page.until("document.querySelector('#share')?.open")


def status_of(link: str) -> int:
    try:
        with urllib.request.urlopen(link, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_a_study_is_shared_from_the_list_and_the_link_is_revoked_from_its_place(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await dialog(page)
        assert await page.evaluate("document.querySelector('#share .named').innerText.includes(',')"), "whose it is"
        await page.press_button(
            "Make the link", of="#share button"
        )  # without whom it is for, the browser says what is missing
        assert await page.evaluate(f"{LINK} === undefined")
        await page.type("#share label input", "second opinion, clinic on the lake")
        await page.press_button("Make the link", of="#share button")
        link = await page.until(LINK)
        assert link.startswith(f"http://127.0.0.1:{archive.http_port}/s/")
        assert status_of(link) == 200
        await page.press_button("Close", of="#share button")
        await page.until("document.querySelector('#share') === null")
        assert link.rpartition("/")[2] not in await page.evaluate("document.documentElement.outerHTML")
        await page.press("Escape")
        await page.click('gantry-rail a[href="/shares"]')
        await says(page, "second opinion, clinic on the lake")
        await says(page, "0 of any")
        assert await page.evaluate("document.title") == "Links · Shares · Gantry"
        await page.press_button("Revoke …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.type("#op-reason", "sent to the wrong address")
        await page.press_button("Revoke")
        await says(page, "revoked")
    assert status_of(link) == 410


async def test_copies_that_name_nobody_are_chosen_in_the_dialog_and_told_of_in_the_list(
    archive: RunningArchive,
) -> None:
    async with opened(archive) as page:
        await dialog(page)
        await page.type("#share label input", "teaching, autumn course")
        await page.evaluate("document.querySelector('#share select').value = 'teaching'")
        await page.press_button("Make the link", of="#share button")
        link = await page.until(LINK)
        await page.press_button("Close", of="#share button")
        await page.press("Escape")
        await page.click('gantry-rail a[href="/shares"]')
        await says(page, "teaching, autumn course")
        for _ in range(60):
            text = await page.evaluate(f"{SECTION}.innerText")
            if "cop" in text.partition("teaching: ")[2]:
                break
            await asyncio.sleep(0.5)
            await page.reload()
            await page.until(SETTLED)
        assert "teaching: " in text
        assert "being prepared" not in text
    assert await asyncio.to_thread(status_of, link) == 200


async def test_copies_that_name_nobody_are_downloaded(archive: RunningArchive, tmp_path: Path) -> None:
    async with opened(archive) as page:
        await page.do("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        await page.press("ArrowDown", "x", "ArrowDown", "x")
        await page.until("document.querySelector('action-bar').innerText.includes('De-identify …')")
        await page.press_button("De-identify …")
        await page.until("document.querySelector('#op-why')?.open")
        assert await page.evaluate("document.querySelector('#op-why-title').textContent") == "De-identify 2 studies"
        assert await page.evaluate("document.querySelector('#op-why input[type=radio]:checked').value") == "teaching"
        await page.press("Enter")  # not without a reason
        assert await page.evaluate("document.querySelector('#op-why').open")
        await page.type("#op-reason", "autumn course")
        await page.press("Enter")
        await page.until("document.querySelector('.job[data-state=done]')?.innerText.includes('2 downloaded')")
    names = [tmp_path / f"deidentified-teaching-{number}.zip" for number in (1, 2)]
    for name in names:
        with ZipFile(name) as made:
            assert made.namelist()[-1] == "README.TXT"
            first = pydicom.dcmread(io.BytesIO(made.read(made.namelist()[0])))
        assert first.PatientIdentityRemoved == "YES"


async def test_where_nothing_can_be_de_identified_or_nobody_may_it_is_not_offered(tmp_path: Path) -> None:
    running = RunningArchive(tmp_path, environment={"GANTRY_HTTP__MAY_SHARE": "loopback"}).start()
    try:
        await asyncio.to_thread(fill, running, 1, size=32, first_size=32)
        async with opened(running) as page:
            await page.press("ArrowDown", "x")
            await page.until("document.querySelector('action-bar').innerText.includes('Download ZIP')")
            await page.until("document.body.dataset.ready")
            assert "De-identify" not in await page.evaluate("document.querySelector('action-bar').innerText")
            request = urllib.request.Request(
                f"http://127.0.0.1:{running.http_port}/dicom-web/studies/1.2.3/deidentified?profile=x&reason=y"
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            assert refused.value.code == 501
            assert b"deidentification.profiles is not set" in refused.value.read()
    finally:
        running.stop()


async def test_what_the_archive_refuses_is_said_and_what_was_written_stays(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await dialog(page)
        await page.type("#share label input", "clinic on the lake")
        late = (date.today() + timedelta(days=400)).isoformat()
        await page.evaluate(f"document.querySelector('#share input[type=date]').value = '{late}'")
        await page.press_button("Make the link", of="#share button")
        assert "days" in await page.until("document.querySelector('#share .problem').textContent")
        assert await page.evaluate("document.querySelector('#share label input').value") == "clinic on the lake"
        page.errors.clear()


async def test_axe_finds_nothing_where_links_are(archive: RunningArchive, axe: str) -> None:  # noqa: F811
    async with opened(archive, "/shares", ready=SETTLED) as page:
        assert await page.evaluate(f"{SECTION}.innerText.length > 0")
        await expect_accessible(page, axe)
    async with opened(archive) as page:
        await dialog(page)
        await expect_accessible(page, axe)


async def test_where_nothing_can_be_shared_nothing_is_offered(tmp_path_factory: pytest.TempPathFactory) -> None:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("none"))
    running.write_policy([], "http: {may_share: [loopback]}\n")
    running.start()
    try:
        await asyncio.to_thread(fill, running, 1, size=16, first_size=16)
        async with opened(running) as page:
            await page.press("ArrowDown", "x")
            await page.until("!document.querySelector('action-bar').hidden")
            assert "Share …" not in await page.evaluate("document.querySelector('action-bar').innerText")
            assert await page.evaluate("document.querySelector('gantry-rail a[href=\"/shares\"]').hidden")
    finally:
        running.stop()
