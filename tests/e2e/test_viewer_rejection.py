"""Studies are rejected on the page, as IHE IOCM has it, and brought back, in a real Chromium."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.crash.test_upkeep import gantry
from tests.e2e.test_viewer_deletion import job, shown
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.dcmtk import tool
from tests.support.objects import data_set
from tests.support.page import opened, put, url

NOTE = "1.2.840.10008.5.1.4.1.1.88.59"
SETTINGS = {
    "GANTRY_HTTP__MAY_DELETE": "loopback",
    "GANTRY_LIFECYCLE__REJECTIONS": "[113001=hide, 113037=note, 113038=show, 113039=delete]",
}


def fill(archive: RunningArchive) -> None:
    for number, name in enumerate(("Adams^Ada", "Brown^Ben", "Müller^Jörg")):
        study = f"1.2.3.{number}"
        series = [f"{study}.{n // 2 + 1}" for n in range(4)]
        put(
            archive,
            [
                data_set(
                    study=study,
                    series=series_uid,
                    instance=f"{series_uid}.{n}",
                    name=name,
                    patient=f"P{number}",
                    size=16,
                )
                for n, series_uid in enumerate(series)
            ],
        )


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path, environment=SETTINGS).start()
    fill(running)
    yield running
    running.stop()


PATIENTS = {"ADAMS, Ada", "BROWN, Ben", "MÜLLER, Jörg"}


def found(archive: RunningArchive, query: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url(archive)}/dicom-web/{query}", timeout=30) as answer:
        return list(json.loads(answer.read() or b"[]"))


async def select(page: Page, name: str) -> None:
    await page.until(f"[...document.querySelectorAll('study-table .row')].some(e => e.textContent.includes('{name}'))")
    await page.evaluate(
        f"[...document.querySelectorAll('study-table .row')].find(e => e.textContent.includes('{name}'))"
        ".querySelector('input[type=checkbox]').click()"
    )
    await page.until("document.querySelector('action-bar').textContent.includes('selected')")


async def ask(page: Page) -> None:
    """The dialog, once the page knows that this caller may."""
    button = "[...document.querySelectorAll('action-bar button')].find(e => e.textContent.includes('Reject …'))"
    await page.until(f"!{button}.hidden")
    await page.press_button("Reject …")
    await page.until("document.querySelector('#reject')?.open")


async def reject(page: Page, code: str, words: str) -> None:
    await ask(page)
    await page.evaluate(f"document.querySelector('#reject input[value=\"{code}\"]').click()")
    await page.type("#reject-words", words)
    await page.press("Enter")


async def test_a_study_is_rejected_and_undone(archive: RunningArchive) -> None:
    async with opened(archive) as page, opened(archive) as other:
        await shown(page, PATIENTS)
        await select(page, "BROWN")
        await ask(page)
        assert "BROWN, Ben" in await page.evaluate("document.querySelector('#reject .named').textContent")
        # What is an object as any other here is not offered.
        offered = "[...document.querySelectorAll('#reject input[type=radio]')].map(e => e.value)"
        assert await page.evaluate(offered) == ["113001", "113037", "113039"]
        await page.press("Escape")
        await page.until("!document.querySelector('#reject')")
        await shown(page, PATIENTS)
        await reject(page, "113001", "")
        await job(page, "1 study rejected")
        await shown(page, PATIENTS - {"BROWN, Ben"})
        await shown(other, PATIENTS - {"BROWN, Ben"})
        await page.press_button("Undo")
        await job(page, "1 study restored")
        await shown(page, PATIENTS)
        classes = [match["00080016"]["Value"][0] for match in found(archive, "studies/1.2.3.1/instances")]
        assert (len(classes), classes.count(NOTE)) == (4, 0), "four images, and no note any more that is about them"


async def test_the_note_is_a_key_object_selection_that_others_read(archive: RunningArchive, tmp_path: Path) -> None:
    async with opened(archive) as page:
        await select(page, "MÜLLER")
        await reject(page, "113037", "gedreht, für später")
        await job(page, "1 study rejected")
    (item,) = found(archive, "studies/1.2.3.2/instances")
    assert item["00080016"]["Value"] == [NOTE]
    path = f"studies/1.2.3.2/series/{item['0020000E']['Value'][0]}/instances/{item['00080018']['Value'][0]}"
    request = urllib.request.Request(f"{url(archive)}/dicom-web/{path}", headers={"Accept": "application/dicom"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        (tmp_path / "note.dcm").write_bytes(answer.read())
    note = pydicom.dcmread(tmp_path / "note.dcm")
    assert (str(note.PatientName), note.PatientID, note.ConceptNameCodeSequence[0].CodeValue) == (
        "Müller^Jörg",
        "P2",
        "113037",
    )
    (evidence,) = note.CurrentRequestedProcedureEvidenceSequence
    series = evidence.ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for reference in series for item in reference.ReferencedSOPSequence}
    assert named == {f"1.2.3.2.{n // 2 + 1}.{n}" for n in range(4)}
    dumped = subprocess.run(
        [tool("dsrdump"), "-v", str(tmp_path / "note.dcm")], check=True, capture_output=True, text=True, timeout=60
    )
    assert "Key Object Selection Document" in dumped.stdout
    assert "gedreht, für später" in dumped.stdout
    # What DCMTK says of itself, not of the note.
    own = ("W: The VR checker does not support", "W: Check for template constraints not yet supported")
    assert not [line for line in dumped.stderr.splitlines() if not line.startswith(own)], dumped.stderr


async def test_what_cannot_be_rejected_says_why(archive: RunningArchive) -> None:
    assert gantry(archive, "hold", "place", "1.2.3.0", "--reason", "trial").returncode == 0
    async with opened(archive) as page:
        await select(page, "ADAMS")
        await reject(page, "113039", "")
        await job(page, "0 studies rejected, 1 not")
        (line,) = await page.evaluate(
            "[...document.querySelectorAll('.job li[data-state=failed]')].map(e => e.textContent)"
        )
        assert "a hold or a retention rule keeps it" in line
        await shown(page, PATIENTS)
        page.errors[:] = [error for error in page.errors if "409" not in error]


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[RunningArchive]:
    """Nobody may reject in it."""
    chromium()
    running = RunningArchive(tmp_path).start()
    fill(running)
    yield running
    running.stop()


async def test_who_may_not_reject_is_not_offered_it(closed: RunningArchive) -> None:
    async with opened(closed) as page:
        await select(page, "ADAMS")
        bar = "[...document.querySelectorAll('action-bar button')].filter(e => !e.hidden).map(e => e.textContent)"
        assert "Download ZIP" in await page.evaluate(bar)
        assert "Reject …" not in await page.evaluate(bar)


# ---- series and single images


async def parts(page: Page) -> None:
    """The dialog for series and images of the study on its page."""
    button = "document.querySelector('study-view [aria-label^=\"Reject series\"]')"
    await page.until(f"!{button}.hidden && ({button}.click(), true)")
    await page.until("document.querySelector('#reject')?.open")


def counted(archive: RunningArchive, study: str) -> tuple[str, int, int]:
    """Series and instances of a study, as QIDO-RS says and as it lists them."""
    (match,) = found(archive, f"studies?StudyInstanceUID={study}&includefield=all")
    counts = "/".join(str(match[tag]["Value"][0]) for tag in ("00201206", "00201208"))
    return counts, len(found(archive, f"studies/{study}/series")), len(found(archive, f"studies/{study}/instances"))


SERIES = "document.querySelectorAll('study-view .series').length"


async def test_single_images_are_rejected_and_undone_and_counts_are_right(archive: RunningArchive) -> None:
    study = "1.2.3.7"
    fields = {"study": study, "name": "Parts^Pia", "patient": "P7", "size": 16}
    at = [(f"{study}.{series}", number) for series in (1, 2) for number in (1, 2, 3, 4)]
    made = [data_set(series=series, instance=f"{series}.{number}", number=number, **fields) for series, number in at]
    await asyncio.to_thread(put, archive, made)
    before = counted(archive, study)
    assert before == ("2/8", 2, 8)
    async with opened(archive, f"/?study={study}", ready=f"{SERIES} === 2") as page:
        await page.until("document.querySelector('image-stack').frames.length === 4")
        await parts(page)
        # The series that is looked at is chosen, and its image is one click.
        boxes = "[...document.querySelectorAll('#reject .parts input[type=checkbox]')].map(e => e.checked)"
        assert await page.evaluate(boxes) == [True, False]
        await page.press_button("Only image 2")
        assert await page.evaluate("document.querySelector('#reject .parts input[type=text]').value") == "2"
        await page.evaluate("document.querySelector('#reject .parts input[type=text]').value = '2, 4-4'")
        await page.evaluate("document.querySelector('#reject-words').focus()")
        await page.press("Enter")
        await job(page, "2 images rejected")
        assert counted(archive, study) == ("2/6", 2, 6)
        await page.until("document.querySelector('image-stack').frames.length === 2")
        left = {
            match["00080018"]["Value"][0] for match in found(archive, f"studies/{study}/series/{study}.1/instances")
        }
        assert left == {f"{study}.1.1", f"{study}.1.3"}
        # A whole series, which is another note: its undo does not bring back what the first one rejected.
        await parts(page)
        await page.evaluate("document.querySelectorAll('#reject .parts input[type=checkbox]').forEach(e => e.click())")
        await page.press("Enter")
        await job(page, "4 images rejected")
        assert counted(archive, study) == ("1/2", 1, 2)
        await page.until(f"{SERIES} === 1")
        undo = "[...document.querySelectorAll('.job')].filter(e => !e.querySelector('.undo').hidden)"
        await page.evaluate(f"{undo}.find(e => e.innerText.includes('4 images')).querySelector('.undo').click()")
        await page.until(f"{SERIES} === 2")
        assert counted(archive, study) == ("2/6", 2, 6)
        await page.evaluate(f"{undo}.find(e => e.innerText.includes('2 images')).querySelector('.undo').click()")
        await page.until("document.querySelector('image-stack').frames.length === 4")
        assert counted(archive, study) == before
        # The last of it: the study leaves its page, too.
        await parts(page)
        await page.evaluate("document.querySelectorAll('#reject .parts input[type=checkbox]')[1].click()")
        await page.press("Enter")
        await job(page, "8 images rejected")
        await page.until("!location.search.includes('study=')")
        await shown(page, PATIENTS)
        # An image that was on its way when it was rejected is 404, and the browser notes that.
        page.errors[:] = [error for error in page.errors if not error.endswith("/rendered")]


async def test_what_is_no_image_is_said_and_nothing_is_rejected(archive: RunningArchive) -> None:
    before = counted(archive, "1.2.3.0")
    async with opened(archive, "/?study=1.2.3.0", ready=f"{SERIES} === 2") as page:
        await page.until("document.querySelector('image-stack').frames.length === 2")
        await parts(page)
        await page.type("#reject .parts input[type=text]", "99")
        await page.press("Enter")
        await page.until(
            "document.querySelector('.job li[data-state=failed]')?.innerText.includes('there is no image 99')"
        )
        await parts(page)
        await page.evaluate("document.querySelector('#reject .parts input[type=checkbox]').click()")
        await page.press("Enter")
        await page.until("document.querySelector('#reject .problem').innerText === 'Nothing is chosen.'")
        assert await page.evaluate("document.querySelector('#reject').open")
    assert counted(archive, "1.2.3.0") == before
