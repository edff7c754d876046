"""What is no picture, at the page: a report is read in the place of images, a document opens, a video has a player."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MPEG4HP41, generate_uid

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_pictures import taken
from tests.integration.services.retrieve.pixels.test_frame_finder import in_fragments
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.bulk import mp4
from tests.support.documents import encapsulated, report
from tests.support.objects import data_set
from tests.support.page import opened, put

VIDEO = generate_uid()
SHOWN = "document.querySelector('.place-in-stack').textContent"
THUMBNAILS = "[...document.querySelectorAll('.thumbnail')].map(t => t.querySelector('span:not(.count)')?.textContent)"
READ = "document.querySelector('.papers pre')?.textContent.length > 100"
TYPE = "fetch(document.querySelector('.papers a').href).then(r => r.headers.get('content-type'))"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("documents")).start()
    yield running
    running.stop()


def video(study: str, number: int) -> Dataset:
    ds = data_set(study=study, series=VIDEO, number=number, SeriesNumber=3, Modality="XC", size=8)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = STORAGE_SOP_CLASSES["VideoPhotographicImageStorage"]
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = MPEG4HP41, 50
    content = mp4()
    ds.PixelData = in_fragments([content + b"\0" * (len(content) & 1)], b"", [1])
    return ds


@pytest.fixture(scope="module")
def study(archive: RunningArchive) -> str:
    """A report, a PDF file, a video, and an image, as one study."""
    uid = generate_uid()
    pdf = encapsulated("EncapsulatedPDFStorage", study=uid, SeriesNumber=2, Modality="DOC")
    moving = [video(uid, number) for number in (1, 2)]
    still = data_set(study=uid, series=VIDEO, number=3, SeriesNumber=3, Modality="XC", size=8)
    uids = {"StudyInstanceUID": uid, "SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
    text = report(**uids)
    text.SeriesNumber = 1
    return put(archive, [text, pdf, *moving, still, data_set(study=uid, SeriesNumber=4, size=8)])


@pytest.fixture
async def page(archive: RunningArchive, study: str) -> AsyncIterator[Page]:
    async with opened(archive, f"/?study={study}", ready="Boolean(document.querySelector('.papers'))") as tab:
        yield tab
        # A video has no small picture, and the browser notes that; what cannot have one by its modality is not asked.
        tab.errors[:] = [error for error in tab.errors if not error.endswith(f"/{VIDEO}/thumbnail")]


async def test_a_report_is_read_where_pictures_are(page: Page) -> None:
    await page.until(READ)
    text = await page.evaluate("document.querySelector('.papers pre').textContent")
    assert text.startswith("Diagnosis\n=========\n")
    assert "  Diameter: 3 Length Unit\n" in text
    # What an object says is text.
    assert '&%$§"!()<>{}/;' in text
    assert await page.evaluate("document.querySelector('.papers').scrollHeight > 200")
    await page.until(f"{THUMBNAILS}.filter(Boolean).join() === 'SR,DOC,XC'")


async def test_a_picture_of_it(page: Page, tmp_path: Path) -> None:
    await page.size(1440, 900)
    await page.until(READ)
    await taken(page, Path(os.environ.get("GANTRY_PICTURES", tmp_path)) / "report.png")


async def test_a_document_opens_in_a_tab_of_its_own(page: Page) -> None:
    await page.press("]")
    link = await page.until("document.querySelector('.papers a')?.href")
    assert link.endswith("/rendered")
    assert await page.evaluate("document.querySelector('.papers a').target") == "_blank"
    assert await page.evaluate(TYPE) == "application/pdf"


async def test_videos_have_a_player_each_and_an_image_takes_its_place_again(page: Page) -> None:
    await page.press("]", "]")
    players = "[...document.querySelectorAll('video.papers')].map(v => v.src)"
    (first,) = await page.until(f"{players}.length && {players}")
    assert first.startswith("blob:")
    # Each video is one picture, whatever its number of frames.
    seen = {first}
    for key in ("Home", "ArrowRight"):
        await page.press(key)
        await page.until(f"{players}.length === 1 && !{sorted(seen)}.includes({players}[0])")
        seen |= set(await page.evaluate(players))
    await page.press("ArrowRight")
    await page.until("!document.querySelector('.papers') && document.querySelector('.stage canvas').width === 8")
    await page.press("]")
    await page.until(f"{SHOWN} === '1 / 1'")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_beside_a_report(page: Page, axe: str, theme: str) -> None:  # noqa: F811
    await page.theme(theme)
    await page.until(READ)
    await expect_accessible(page, axe)
