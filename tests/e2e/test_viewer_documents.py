"""What is no picture, at the page: a report is read in the place of images, a document opens, a video has a player."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import MPEG4HP41, generate_uid

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.integration.services.retrieve.pixels.test_frame_finder import in_fragments
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.bulk import mp4
from tests.support.objects import data_set
from tests.support.page import opened, put

VIDEO = generate_uid()
PDF = b"%PDF-1.4\n%%EOF"
THUMBNAILS = "[...document.querySelectorAll('.thumbnail')].map(t => t.querySelector('span:not(.count)')?.textContent)"
READ = "document.querySelector('.papers pre')?.textContent.length > 100"
TYPE = "fetch(document.querySelector('.papers a').href).then(r => r.headers.get('content-type'))"
OF_PIXELS = ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


def made(study: str, number: int, modality: str, keyword: str, *, pixels: bool = False) -> Dataset:
    ds = data_set(study=study, SeriesNumber=number, Modality=modality, SeriesDescription=modality, size=8)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = STORAGE_SOP_CLASSES[keyword]
    for name in () if pixels else OF_PIXELS:
        if name in ds:
            delattr(ds, name)
    return ds


def report(study: str) -> Dataset:
    file = get_testdata_file("test-SR.dcm", download=False)
    assert isinstance(file, str)
    ds = pydicom.dcmread(file)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, generate_uid(), generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID, ds.SeriesNumber = ds.SOPInstanceUID, 1
    return ds


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("documents")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def study(archive: RunningArchive) -> str:
    """A report, a PDF file, a video, and an image, as one study."""
    uid = generate_uid()
    pdf = made(uid, 2, "DOC", "EncapsulatedPDFStorage")
    pdf.EncapsulatedDocument = PDF
    video = made(uid, 3, "XC", "VideoPhotographicImageStorage", pixels=True)
    video.SeriesInstanceUID = VIDEO
    video.file_meta.TransferSyntaxUID, video.NumberOfFrames = MPEG4HP41, 50
    content = mp4()
    video.PixelData = in_fragments([content + b"\0" * (len(content) & 1)], b"", [1])
    return put(archive, [report(uid), pdf, video, made(uid, 4, "CT", "CTImageStorage", pixels=True)])


@pytest.fixture
async def page(archive: RunningArchive, study: str) -> AsyncIterator[Page]:
    async with opened(archive, f"/?study={study}", ready="Boolean(document.querySelector('.papers'))") as found:
        yield found
        # A video has no small picture, and the browser notes that; what cannot have one by its modality is not asked.
        found.errors[:] = [one for one in found.errors if not one.endswith(f"/{VIDEO}/thumbnail")]


async def test_a_report_is_read_where_pictures_are(page: Page) -> None:
    await page.until(READ)
    text = await page.evaluate("document.querySelector('.papers pre').textContent")
    assert text.startswith("Diagnosis\n=========\n")
    assert "  Diameter: 3 cm\n" in text
    # What an object says is text.
    assert '&%$§"!()<>{}/;' in text
    assert await page.evaluate("document.querySelector('.papers').scrollHeight > 200")
    await page.until(f"{THUMBNAILS}.filter(Boolean).join() === 'SR,DOC,XC'")


async def test_a_document_opens_in_a_tab_of_its_own(page: Page) -> None:
    await page.press("]")
    link = await page.until("document.querySelector('.papers a')?.href")
    assert link.endswith("/rendered")
    assert await page.evaluate("document.querySelector('.papers a').target") == "_blank"
    assert await page.evaluate(TYPE) == "application/pdf"


async def test_a_video_has_a_player_and_an_image_takes_its_place_again(page: Page) -> None:
    await page.press("]", "]")
    assert (await page.until("document.querySelector('video.papers')?.src")).startswith("blob:")
    await page.press("]")
    await page.until("!document.querySelector('.papers') && document.querySelector('.stage canvas').width === 8")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_beside_a_report(page: Page, axe: str, theme: str) -> None:  # noqa: F811
    await page.theme(theme)
    await page.until(READ)
    await expect_accessible(page, axe)
