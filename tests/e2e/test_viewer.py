"""The study list's page in a real Chromium: search, paging, series, headers, upload, keyboard, phone, and OHIF."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.e2e.conftest import Site
from tests.support.archive import ROOT, RunningArchive
from tests.support.browser import Page, browser, chromium
from tests.support.objects import data_set, file_bytes, sample, study, write
from tests.support.segmentation import segmentation, slices
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable

HOSTILE = '<img src=x onerror="document.title=1">'
DRAWN = (
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPGExtended.dcm",
    "examples_ybr_color.dcm",
)
"""RLE, JPEG-LS, JPEG 2000, JPEG in colour and with 12 bits, and a multi-frame image."""
ROWS = "document.querySelectorAll('#studies tr').length"


@pytest.fixture(scope="module")
def filled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Sixty studies, one of them with a name that is markup, and one of two series."""
    chromium()
    made = [data_set(name=f"Many^Patient{n:02}", patient=f"MANY{n:02}", size=16) for n in range(58)]
    made.append(data_set(name="Rossi^Anna", patient="WEB1", StudyDescription=HOSTILE, size=64))
    assert post(site.archive, files([file_bytes(one) for one in made])).status == 200
    two = study(tmp_path_factory.mktemp("two"), 6, series=2, name="Berg^Lena", patient="WEB2", size=64)
    assert post(site.archive, files([file.path.read_bytes() for file in two])).status == 200
    for one in made:
        wait_searchable(site.modality, one.StudyInstanceUID, 1)
    wait_searchable(site.modality, pydicom.dcmread(two[0].path).StudyInstanceUID, 6)
    return site


@pytest.fixture
async def page(filled: Site) -> AsyncIterator[Page]:
    """The page, open. Afterwards nothing was asked of anybody else, and the console is clean."""
    async with browser() as opened:
        await opened.open(url(filled.archive))
        await opened.until(f"{ROWS} > 0")
        yield opened
        strangers = [one for one in opened.asked if not one.startswith((url(filled.archive), "data:", "blob:"))]
        assert strangers == []
        assert opened.errors == []


def url(archive: RunningArchive) -> str:
    return f"http://127.0.0.1:{archive.http_port}/"


def typed(page: Page, field: str, text: str) -> Any:
    return page.type(f"#search [name={field}]", text)


async def test_it_finds_while_one_types(page: Page) -> None:
    await typed(page, "PatientName", "rossi")
    assert await page.until(f"{ROWS} === 1 && document.querySelector('#studies td').textContent") == "Rossi Anna"
    await typed(page, "PatientName", "xyz")
    await page.until(f"{ROWS} === 0 && document.querySelector('#state').textContent === 'No study matches'")


async def test_what_was_sent_is_text_and_never_markup(page: Page) -> None:
    await typed(page, "PatientID", "WEB1")
    await page.until(f"{ROWS} === 1")
    assert HOSTILE in await page.evaluate("document.querySelector('#studies tr').textContent")
    assert await page.evaluate("document.querySelectorAll('#studies img').length") == 0
    assert await page.evaluate("document.title") == "Gantry"


async def test_it_pages_through_all_studies(page: Page) -> None:
    await typed(page, "PatientName", "Many")
    await page.until(f"document.querySelector('#more').scrollIntoView() || {ROWS} === 58")
    await page.until("document.querySelector('#state').textContent === '58 studies'")
    names = await page.evaluate("[...document.querySelectorAll('#studies tr')].map(r => r.children[1].textContent)")
    assert sorted(names) == [f"MANY{n:02}" for n in range(58)]


async def test_a_study_is_opened_by_keyboard_with_its_series_and_headers(page: Page) -> None:
    await page.press("/")
    await page.do("Input.insertText", text="Berg")
    await page.until(f"{ROWS} === 1")
    await page.press("ArrowDown")
    await page.until("document.activeElement.dataset.study")
    await page.press("Enter")
    await page.until("document.querySelectorAll('#series button').length === 2")
    assert "Berg Lena · WEB2 · 2024-01-31" in await page.evaluate("document.querySelector('#study-title').textContent")
    await page.until("[...document.images].filter(i => i.complete && i.naturalWidth > 0).length === 2")
    await page.evaluate("document.querySelector('#series button').click()")
    await page.until("document.querySelectorAll('#instances button').length === 3")
    await page.evaluate("document.querySelector('#instances button').click()")
    await page.until("document.querySelector('#header').textContent.includes(\"Patient's Name\")")
    await page.press("Escape")
    await page.until("document.querySelector('#study').hidden")
    # One is where one was.
    assert await page.evaluate("document.activeElement.children[0].textContent") == "Berg Lena"


async def test_series_and_all_instances_are_in_their_order(page: Page, filled: Site) -> None:
    """By number as a number, whatever came first; and more of them than one answer holds."""
    uid = generate_uid()
    series = {number: generate_uid() for number in (10, 2, 1)}
    made = [
        data_set(
            study=uid, series=series[s], number=n, name="Order^Olga", size=4, SeriesNumber=s, SeriesDescription=f"S{s}"
        )
        for s, count in ((10, 1), (2, 1), (1, 620))
        for n in range(count, 0, -1)
    ]
    assert post(filled.archive, files([file_bytes(one) for one in made])).status == 200
    await asyncio.to_thread(wait_searchable, filled.modality, uid, len(made))
    await page.evaluate(f"location.hash = '{uid}'")
    await page.until("document.querySelectorAll('#series button').length === 3")
    names = await page.evaluate("[...document.querySelectorAll('#series strong')].map(e => e.textContent)")
    assert names == ["CT S1", "CT S2", "CT S10"]
    await page.evaluate("document.querySelector('#series button').click()")
    await page.until("document.querySelectorAll('#instances button').length === 620")
    numbers = await page.evaluate("[...document.querySelectorAll('#instances button')].map(e => e.textContent)")
    assert numbers == [str(n) for n in range(1, 621)]


async def test_files_are_uploaded_with_progress_and_what_is_none_is_named(page: Page, tmp_path: Path) -> None:
    name = f"Upload^{generate_uid()[-6:]}"
    good = [write(tmp_path, data_set(name=name, study="1.2.3.4", number=n)).path for n in range(3)]
    text, broken = tmp_path / "notes.txt", tmp_path / "broken.dcm"
    text.write_text("no image")
    broken.write_bytes(good[0].read_bytes()[:-100])
    await page.choose_files("#files", [*good, text, broken])
    done = "document.querySelector('#upload-state').textContent"
    said = await page.until(f"{done}.startsWith('Done') && {done}")
    assert said == "Done: 3 stored, 1 refused, 1 not DICOM, left out"
    assert await page.evaluate("document.querySelector('#progress').value") == 1
    assert "not a DICOM object" in await page.evaluate("document.querySelector('#upload-problems').textContent")


async def test_it_fits_a_phone(page: Page) -> None:
    await page.size(390, 844, phone=True)
    await page.until("document.documentElement.scrollWidth <= 390")
    assert await page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "none"


async def test_without_ohif_the_page_says_what_is_missing(page: Page) -> None:
    await page.evaluate("document.querySelector('#studies tr').click()")
    await page.until("!document.querySelector('#no-viewer').hidden")
    assert "deploy/ohif.sh" in await page.evaluate("document.querySelector('#no-viewer').textContent")


async def test_a_token_is_asked_for_where_one_is_needed(tmp_path: Path) -> None:
    chromium()
    tokens = tmp_path / "tokens"
    tokens.write_text("ward:0123456789abcdef\n")
    archive = RunningArchive(tmp_path, lab=False, environment={"GANTRY_HTTP__TOKENS_FILE": str(tokens)}).start()
    try:
        async with browser() as page:
            await page.open(url(archive))
            await page.until("document.querySelector('#token').open")
            problem = "document.querySelector('#token-problem').textContent"
            assert await page.evaluate(problem) == ""
            await page.type("#token-value", "a wrong one, typed")
            await page.evaluate("document.querySelector('#token button').click()")
            await page.until(f"document.querySelector('#token').open && {problem}.includes('does not take the token')")
            await page.type("#token-value", "0123456789abcdef")
            await page.evaluate("document.querySelector('#token button').click()")
            await page.until("document.querySelector('#state').textContent === 'No study matches'")
            # Nothing was sent here yet: the page says how to.
            await page.until("!document.querySelector('#empty').hidden")
            said = await page.evaluate("document.querySelector('#empty').textContent")
            assert f"gantry store GANTRY@127.0.0.1:{archive.port} FOLDER" in said
            await page.type("#search [name=PatientID]", "x")
            await page.until("document.querySelector('#empty').hidden")
    finally:
        archive.stop()


# ---- OHIF


@pytest.fixture(scope="module")
def ohif() -> str:
    found = subprocess.run(["sh", str(ROOT / "deploy/ohif.sh"), "--there"], capture_output=True, text=True, check=True)
    if not found.stdout.strip():
        pytest.skip("OHIF is not installed (deploy/ohif.sh fetches it)")
    return found.stdout.strip()


@pytest.fixture(scope="module")
def with_ohif(ohif: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    archive = RunningArchive(tmp_path_factory.mktemp("ohif"), environment={"GANTRY_HTTP__OHIF": ohif}).start()
    yield archive
    archive.stop()


# How many greys a picture has: what is not drawn has one.
GREYS = """(() => {
  const canvas = document.querySelector('.cornerstone-canvas');
  if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const greys = new Set();
  for (let at = 0; at < data.length; at += 4 * 7) greys.add(data[at]);
  return greys.size;
})()"""


@pytest.mark.parametrize("name", ["CT_small.dcm", *DRAWN])
async def test_ohif_draws_it_without_an_error(name: str, with_ohif: RunningArchive, tmp_path: Path) -> None:
    file = sample(tmp_path, name, StudyDate="20240131", PatientID="OHIF")
    study_uid = pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID
    assert post(with_ohif, files([file.path.read_bytes()])).status == 200
    await asyncio.to_thread(wait_searchable, with_ohif.peer, study_uid, 1)
    async with browser() as page:
        await page.open(f"{url(with_ohif)}ohif/viewer?StudyInstanceUIDs={study_uid}")
        await page.until(f"{GREYS} > 16", 60)
        await page.until(
            "[...document.querySelectorAll('[data-cy=study-browser-thumbnail] img')].some(i => i.naturalWidth)"
        )
        assert any("/thumbnail?" in one for one in page.asked)
        assert [one for one in page.asked if not one.startswith((url(with_ohif), "data:", "blob:"))] == []
        assert page.errors == []


# How many dots have a colour: a slice has none.
COLOURED = """(() => {
  const canvas = document.querySelector('.cornerstone-canvas');
  if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let at = 0; at < data.length; at += 4 * 7) found += Math.abs(data[at] - data[at + 1]) > 40;
  return found;
})()"""


async def test_ohif_draws_a_segmentation_over_its_slices(with_ohif: RunningArchive) -> None:
    made = slices(6, 128, patient="OHIF-SEG")
    study_uid = made[0].StudyInstanceUID
    assert post(with_ohif, files([file_bytes(one) for one in (*made, segmentation(made))])).status == 200
    await asyncio.to_thread(wait_searchable, with_ohif.peer, study_uid, 7)
    async with browser() as page:
        await page.open(f"{url(with_ohif)}ohif/viewer?StudyInstanceUIDs={study_uid}")
        await page.until(f"{GREYS} > 16", 60)
        assert await page.evaluate(COLOURED) == 0
        thumbnail = "document.querySelector('[data-cy=study-browser-thumbnail-no-image]')"
        await page.until(f"Boolean({thumbnail})")
        await page.evaluate(f"{thumbnail}.dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
        await page.until(f"{COLOURED} > 500", 60)
        assert page.errors == []
