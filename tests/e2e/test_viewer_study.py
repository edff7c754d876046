"""Quick look and the page of a study in a real Chromium; the main tasks by keyboard alone, and on a phone."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set
from tests.support.page import NAMES, ROWS, names, opened, put, search

SHOWN = "document.querySelector('.place-in-stack').textContent"
DRAWN = """(() => {
  const canvas = document.querySelector('.stage canvas');
  if (!canvas || canvas.width < 8) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const greys = new Set();
  for (let at = 0; at < data.length; at += 28) greys.add(data[at]);
  return greys.size;
})()"""
"""How many greys the picture has: what is not drawn has one."""
HEAD = "document.querySelector('.study-head').innerText"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    """A patient with two studies: one of three series, out of order, the other an older one."""
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("study")).start()
    uid, patient = (
        generate_uid(),
        {"name": "Berg^Lena=山田^太郎", "patient": "P77", "SpecificCharacterSet": "ISO_IR 192"},
    )
    series = {number: generate_uid() for number in (10, 2, 1)}
    counts = {10: 1, 2: 9, 1: 3}
    put(
        running,
        [
            data_set(
                study=uid,
                series=series[s],
                number=n,
                SeriesNumber=s,
                SeriesDescription=f"Series {s}",
                StudyDescription="CT knee",
                PatientBirthDate="19800131",
                PatientSex="F",
                **patient,
            )
            for s, count in counts.items()
            for n in range(count, 0, -1)
        ],
    )
    put(running, [data_set(StudyDate="20190102", StudyDescription="Before", **patient)])
    put(running, [data_set(name="Other^Otto", patient="P78")])
    yield running
    running.stop()


@pytest.fixture
async def page(archive: RunningArchive) -> AsyncIterator[Page]:
    async with opened(archive) as tab:
        yield tab


async def look(page: Page) -> None:
    """Quick look at the newest study of the patient with two."""
    await search(page, "P77 desc:knee")
    await names(page, ["BERG, Lena"])
    await page.press("ArrowDown", "Space")
    await page.until(f"{DRAWN} > 16")


async def test_quick_look_shows_series_by_number_and_begins_in_the_middle(page: Page) -> None:
    await look(page)
    assert "BERG, Lena" in await page.evaluate(HEAD)
    assert "P77 · 1980-01-31 · 44 y · F" in await page.evaluate(HEAD)
    shown = "[...document.querySelectorAll('.series-name')].map(e => e.textContent)"
    assert await page.evaluate(shown) == ["1 · Series 1", "2 · Series 2", "10 · Series 10"]
    await page.until("[...document.querySelectorAll('.thumbnail img')].filter(i => i.naturalWidth).length === 3")
    assert await page.evaluate(SHOWN) == "2 / 3"
    await page.press("]")
    await page.until(f"{SHOWN} === '5 / 9'")
    assert "look=" in await page.evaluate("location.search")


async def test_a_stack_scrolls_with_wheel_keys_and_slider(page: Page) -> None:
    await look(page)
    await page.press("]")
    await page.until(f"{SHOWN} === '5 / 9'")
    await page.wheel(".stage", 120)
    await page.until(f"{SHOWN} === '7 / 9'")
    await page.press("ArrowLeft")
    await page.until(f"{SHOWN} === '6 / 9'")
    await page.evaluate("document.querySelector('.stack-controls input').focus()")
    await page.press("Home")
    await page.until(f"{SHOWN} === '1 / 9'")
    # All pictures of the series were fetched before they were asked for.
    await page.until("document.querySelector('image-stack').cache.size === 9")
    before = len(page.asked)
    await page.press("End")
    await page.until(f"{SHOWN} === '9 / 9' && {DRAWN} > 16")
    assert [address for address in page.asked[before:] if "/rendered" in address] == []


async def test_a_drag_changes_the_window_and_a_key_gives_it_back(page: Page) -> None:
    await look(page)
    await page.drag(".stage", (60, 20))
    shown = "document.querySelector('.windowing').textContent"
    assert await page.until(shown)
    await page.until(f"{DRAWN} > 8")
    assert any("rendered?window=" in address for address in page.asked)
    await page.press("0")
    await page.until(f"{shown} === ''")


async def test_cine_plays_and_stops(page: Page) -> None:
    await look(page)
    await page.press("]")
    await page.until(f"{SHOWN} === '5 / 9'")
    await page.press("p")
    await page.until(f"!['5 / 9', ''].includes({SHOWN})")
    await page.press("p")
    stopped = await page.evaluate(SHOWN)
    await asyncio.sleep(0.4)
    assert await page.evaluate(SHOWN) == stopped


async def test_tags_are_filtered_and_have_their_names(page: Page) -> None:
    await look(page)
    rows = "[...document.querySelectorAll('.tags tbody tr')].map(r => r.innerText.replaceAll('\\n', ' '))"
    await page.until(f"{rows}.length > 20")
    await page.type(".filter", "sop class")
    texts = await page.until(f"{rows}.length === 1 && {rows}")
    assert "1.2.840.10008.5.1.4.1.1.2" in texts[0]
    assert "CT Image Storage" in texts[0]


async def test_other_studies_of_the_patient_are_one_click_away(page: Page) -> None:
    await look(page)
    await page.until("document.querySelector('#for-priors').textContent === 'Other studies (1)'")
    await page.click("#for-priors")
    await page.click(".priors a")
    await page.until(f"{HEAD}.includes('Before')")
    await page.evaluate("history.back()")
    await page.until(f"{HEAD}.includes('CT knee')")


async def test_the_panel_follows_the_list(page: Page) -> None:
    await page.press("ArrowDown", "Space")
    first = await page.evaluate(NAMES)
    await page.until(f"{HEAD}.includes({first[0]!r})")
    await page.press("End")
    await page.until(f"{HEAD}.includes({first[-1]!r}) && {DRAWN} > 16")
    assert await page.evaluate(f"{ROWS}.at(-1).contains(document.activeElement)")


async def test_a_study_has_an_address_of_its_own(archive: RunningArchive, page: Page) -> None:
    await look(page)
    await page.press("Enter")
    await page.until(f"document.querySelector('study-page h2')?.innerText.includes('BERG') && {DRAWN} > 16")
    address = await page.evaluate("location.pathname + location.search")
    async with opened(archive, address, ready=f"{DRAWN} > 16") as other:
        assert "BERG, Lena" in await other.evaluate(HEAD)
        assert await other.evaluate("document.querySelector('quick-look').hidden")
        await other.press("Escape")
        await names(other, ["BERG, Lena"])


async def test_a_study_that_is_not_there_is_said_so(archive: RunningArchive) -> None:
    script = "document.querySelector('.stack-message')?.textContent"
    async with opened(archive, "/?study=1.2.3.4.5", ready=f"{script}?.includes('there is no such study')") as page:
        await page.press_button("Studies", of=".study-actions .button")
        await page.until(f"{ROWS}.length === 3")


async def test_by_keyboard_alone_find_look_open_download(archive: RunningArchive, page: Page, tmp_path: Path) -> None:
    """Every step by a key, with the focus where somebody expects it."""
    await page.downloads(tmp_path)
    await page.press("/")
    for letter in "lena":
        await page.press(letter)
    await page.until(f"{ROWS}.length === 2")
    await page.press("Enter")
    assert await page.until(f"{ROWS}[0].contains(document.activeElement)")
    await page.press("ArrowDown", "ArrowUp", "Space")
    await page.until(f"{DRAWN} > 16")
    assert await page.evaluate(f"{ROWS}[0].contains(document.activeElement)")
    await page.press("ArrowRight", "]", "Enter")
    await page.until("document.activeElement.matches('study-page h2')")
    await page.press("d")
    assert len((await downloaded(tmp_path)).namelist()) == 13
    await page.press("Escape")
    await page.until(f"{ROWS}[0].contains(document.activeElement)")
    # Select two, and give them up again.
    await page.press("Shift+ArrowDown")
    await page.until("document.querySelector('action-bar p').textContent === '2 selected'")
    await page.press("Escape", "Escape")
    await page.until(f"document.querySelector('#search').value === '' && {ROWS}.length === 3")
    await page.press("?")
    await page.until("document.querySelector('#help').open")
    await page.press("Escape")
    await page.until("!document.querySelector('#help').open")


async def test_all_controls_are_reached_by_tab_and_show_it(page: Page) -> None:
    await look(page)
    await page.evaluate("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(60):
        await page.press("Tab")
        seen.append(
            await page.evaluate("document.activeElement.closest('[id], [class], [role]')?.outerHTML.slice(0, 60)")
        )
        style = "(s => s.outlineStyle + s.outlineWidth)(getComputedStyle(document.activeElement))"
        ring = await page.evaluate(style)
        row = await page.evaluate("document.activeElement.matches('.link, body')")
        assert row or ring != "none0px", seen[-1]
    assert await page.evaluate("document.body") is not None
    assert len(set(seen)) > 20


async def test_on_a_phone_find_look_open_download(archive: RunningArchive, tmp_path: Path) -> None:
    async with opened(archive) as page:
        await page.downloads(tmp_path)
        await page.size(390, 844, phone=True)
        await page.reload()
        await page.until(f"{ROWS}.length === 3")
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        assert await page.evaluate("document.querySelector('.body .row').offsetHeight") == 48
        await page.tap("#search")
        await page.do("Input.insertText", text="P77 desc:knee")
        await names(page, ["BERG, Lena"])
        await page.tap(".body .link")
        await page.until(f"{SHOWN} === '2 / 3' && {DRAWN} > 16")
        box = await page.evaluate("JSON.stringify(document.querySelector('quick-look').getBoundingClientRect())")
        assert '"width":390' in box
        assert '"height":844' in box
        await page.tap(".series[title^='Series 2']")
        await page.until(f"{SHOWN} === '5 / 9'")
        await page.swipe(".stage", 60)
        await page.until(f"{SHOWN} !== '5 / 9'")
        await page.tap(".study-actions .primary")
        await page.until(f"document.querySelector('study-page .stage') && {DRAWN} > 16")
        await page.tap("study-page a[download]")
        assert len((await downloaded(tmp_path)).namelist()) == 13
        await page.tap("study-page .back")
        await names(page, ["BERG, Lena"])


async def downloaded(folder: Path) -> zipfile.ZipFile:
    """The ZIP file that came, when it is whole."""
    for _ in range(200):
        archives = list(folder.glob("*.zip"))
        if archives and not list(folder.glob("*.crdownload")):
            return zipfile.ZipFile(archives[0])
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing was downloaded: {list(folder.iterdir())}")
