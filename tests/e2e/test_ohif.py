"""OHIF, served by the archive, in a real Chromium."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.support.archive import ROOT, RunningArchive
from tests.support.browser import browser, chromium
from tests.support.documents import encapsulated
from tests.support.objects import data_set, file_bytes, sample
from tests.support.page import opened, put, url
from tests.support.segmentation import segmentation, slices
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable

DRAWN = (
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPGExtended.dcm",
    "examples_ybr_color.dcm",
)
"""RLE, JPEG-LS, JPEG 2000, JPEG in colour and with 12 bits, and a multi-frame image."""


@pytest.fixture(scope="module")
def ohif() -> str:
    result = subprocess.run(["sh", str(ROOT / "deploy/ohif.sh"), "--there"], capture_output=True, text=True, check=True)
    if not result.stdout.strip():
        pytest.skip("OHIF is not installed (deploy/ohif.sh fetches it)")
    return result.stdout.strip()


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
        await page.open(f"{url(with_ohif)}/ohif/viewer?StudyInstanceUIDs={study_uid}")
        await page.until(f"{GREYS} > 16", 60)
        await page.until(
            "[...document.querySelectorAll('[data-cy=study-browser-thumbnail] img')].some(i => i.naturalWidth)"
        )
        assert any("/thumbnail?" in address for address in page.asked)
        assert [address for address in page.asked if not address.startswith((url(with_ohif), "data:", "blob:"))] == []
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
    assert post(with_ohif, files([file_bytes(dataset) for dataset in (*made, segmentation(made))])).status == 200
    await asyncio.to_thread(wait_searchable, with_ohif.peer, study_uid, 7)
    async with browser() as page:
        await page.open(f"{url(with_ohif)}/ohif/viewer?StudyInstanceUIDs={study_uid}")
        await page.until(f"{GREYS} > 16", 60)
        assert await page.evaluate(COLOURED) == 0
        thumbnail = "document.querySelector('[data-cy=study-browser-thumbnail-no-image]')"
        await page.until(f"Boolean({thumbnail})")
        await page.evaluate(f"{thumbnail}.dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
        await page.until(f"{COLOURED} > 500", 60)
        assert page.errors == []


async def test_ohif_shows_a_pdf_file(with_ohif: RunningArchive) -> None:
    made = encapsulated("EncapsulatedPDFStorage", patient="OHIF-PDF", Modality="DOC", StudyDate="20240131")
    study_uid = await asyncio.to_thread(put, with_ohif, [made])
    async with browser() as page:
        await page.open(f"{url(with_ohif)}/ohif/viewer?StudyInstanceUIDs={study_uid}")
        await page.until("document.querySelector('object[type=\"application/pdf\"]')?.data.startsWith('blob:')", 60)
        await asyncio.sleep(1)  # a policy that does not let it be shown is told then
        assert page.errors == []


async def test_the_way_back_from_ohif_leads_to_our_list_and_there_is_no_tour(with_ohif: RunningArchive) -> None:
    study_uid = await asyncio.to_thread(put, with_ohif, [data_set(name="Back^Bo", patient="BACK", size=64)])
    async with opened(with_ohif, f"/?q=back&look={study_uid}") as page:
        address = await page.until(
            "(a => a && !a.hidden && a.href)(document.querySelector('quick-look a[target=_blank]'))"
        )
        await page.open(address)
        await page.until(f"{GREYS} > 16", 60)
        assert await page.evaluate("document.querySelectorAll('.shepherd-element').length") == 0
        await page.click("[data-cy=gantry-list]")
        await page.until("document.querySelector('study-table .body .name')?.textContent === 'BACK, Bo'")
        assert await page.evaluate("location.pathname + location.search") == "/?q=back"
        await page.open(f"{url(with_ohif)}/ohif/")
        assert await page.until("location.pathname") == "/"
        page.errors.clear()


async def test_without_ohif_the_page_offers_no_viewer(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        study_uid = await asyncio.to_thread(put, archive, [data_set(size=64)])
        async with opened(archive, f"/?look={study_uid}") as page:
            assert "deploy/ohif.sh" in await page.until("document.querySelector('study-view').dataset.viewer")
            assert await page.evaluate("document.querySelector('quick-look a[target=_blank]').hidden")
    finally:
        archive.stop()
