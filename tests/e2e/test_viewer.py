"""The study list in a real Chromium: search, sort, scroll, select, its address, its states, and upload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.e2e.conftest import Site
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, file_bytes, study, write
from tests.support.page import NAMES, ROWS, TOTAL, names, opened, search, url
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable

LAUNCHED = "1.2.826.0.1.3680043.10.1571.77"
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def filled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """150 studies, one of them with a description that is markup, and one of two series."""
    chromium()
    made = [
        data_set(
            name=f"Many^Patient{n:03}", patient=f"MANY{n:03}", size=16, StudyDate=f"2023{n % 12 + 1:02}{n % 28 + 1:02}"
        )
        for n in range(148)
    ]
    made.append(data_set(name="Rossi^Anna", patient="WEB1", StudyDescription=HOSTILE, size=64, Modality="MR"))
    assert post(site.archive, files([file_bytes(dataset) for dataset in made])).status == 200
    two = study(tmp_path_factory.mktemp("two"), 6, series=2, name="Berg^Lena", patient="WEB2", size=64)
    assert post(site.archive, files([file.path.read_bytes() for file in two])).status == 200
    for dataset in made:
        wait_searchable(site.modality, dataset.StudyInstanceUID, 1)
    wait_searchable(site.modality, pydicom.dcmread(two[0].path).StudyInstanceUID, 6)
    return site


@pytest.fixture
async def page(filled: Site) -> AsyncIterator[Page]:
    async with opened(filled.archive) as tab:
        yield tab


# ---- from another system (IHE RAD-106)


@pytest.fixture(scope="module")
def launched(filled: Site) -> Site:
    """With a study that is asked for, and one of a patient whose ID begins so."""
    for number, patient, name in ((7, "INVOKED", "Launch^Lea"), (71, "INVOKED1", "Longer^Lou")):
        made = data_set(study=f"{LAUNCHED}.{number}", name=name, patient=patient, size=16)
        made.AccessionNumber = f"INVOKED{number}"
        assert post(filled.archive, files([file_bytes(made)])).status == 200
        wait_searchable(filled.modality, f"{LAUNCHED}.{number}", 1)
    return filled


@pytest.mark.parametrize(
    ("query", "opened_as"),
    [
        ("requestType=STUDY&accessionNumber=INVOKED7", "study"),
        ("requestType=PATIENT&patientID=INVOKED&mostRecentResults=1", "study"),
        ("requestType=PATIENT&patientID=INVOKED", "list"),
        ("requestType=PATIENT&patientID=INVOKE", "nothing"),  # the beginning of an ID is another patient's
    ],
)
async def test_another_system_opens_a_study_or_a_patient(launched: Site, query: str, opened_as: str) -> None:
    async with opened(launched.archive, f"/IHEInvokeImageDisplay?{query}", ready="document.body.dataset.ready") as page:
        if opened_as == "study":
            await page.until(f"location.search.includes('study={LAUNCHED}.7')")
            assert "open=" not in await page.evaluate("location.search")
            await page.until("document.querySelector('study-page:not([hidden])')?.innerText.includes('LAUNCH')")
        elif opened_as == "list":
            await names(page, ["LAUNCH, Lea"])
        else:
            await page.until(f"{TOTAL} === '0 studies'")


# ---- search


async def test_it_finds_while_one_types(page: Page) -> None:
    await search(page, "rossi")
    await names(page, ["ROSSI, Anna"])
    assert await page.evaluate("location.search") == "?q=rossi"
    assert await page.until(f"{TOTAL} === '1 study'")


async def test_the_files_of_the_page_are_fetched_once(page: Page) -> None:
    await page.reload()
    await page.until("document.body.dataset.ready")
    fetched = await page.evaluate(
        "performance.getEntriesByType('resource').filter(e => e.name.includes('/viewer/page/'))"
        ".map(e => [e.name, e.transferSize])"
    )
    assert len(fetched) > 20
    assert [name for name, size in fetched if size] == []


async def test_letters_that_come_all_at_once_are_one_question(page: Page) -> None:
    count = len(page.asked)
    await page.evaluate(
        "(box => { for (const text of ['b', 'be', 'ber', 'berg']) {"
        " box.value = text; box.dispatchEvent(new Event('input')); } })(document.querySelector('#search'))"
    )
    await names(page, ["BERG, Lena"])
    questions = [address for address in page.asked[count:] if "/studies?" in address]
    assert [question.partition("PatientName=")[2].partition("&")[0] for question in questions] == ["b*", "berg*"]


async def test_names_are_found_in_any_order_of_their_words(page: Page) -> None:
    await search(page, "anna ros")
    await names(page, ["ROSSI, Anna"])


async def test_what_was_understood_stands_as_chips_that_can_be_removed(page: Page) -> None:
    await search(page, "rossi mr 2024 id:WEB1")
    await names(page, ["ROSSI, Anna"])
    words = "[...e.querySelectorAll('span')].map(s => s.textContent).join(' ')"
    script = f"[...document.querySelectorAll('.term')].map(e => {words})"
    assert await page.evaluate(script) == ["Name rossi", "Modality MR", "Date 2024-01-01 to 2024-12-31", "ID WEB1"]
    await page.click("[aria-label='Remove Name rossi']")
    await page.until("document.querySelector('#search').value === 'mr 2024 id:WEB1'")
    # Presets take the place of a date, and the modality that was used last is one of them.
    await page.click(".preset:nth-child(1)")
    await page.until("document.querySelector('#search').value === 'mr id:WEB1 today'")
    assert "My modality: MR" in await page.evaluate("document.querySelector('.presets').textContent")


async def test_no_match_says_what_was_asked_and_how_to_widen_it(page: Page) -> None:
    await search(page, "rossi ct")
    await page.until("document.querySelector('.message')?.textContent.includes('Asked for: Name rossi, Modality CT.')")
    await page.press_button("Without ct")
    await names(page, ["ROSSI, Anna"])


async def test_names_that_sound_alike_are_found_where_no_other_is(page: Page) -> None:
    await search(page, "rosy")
    await names(page, ["ROSSI, Anna"])
    assert "sound alike" in await page.evaluate("document.querySelector('.chips').textContent")


async def test_what_was_sent_is_text_and_never_markup(page: Page) -> None:
    await search(page, "WEB1")
    await names(page, ["ROSSI, Anna"])
    assert HOSTILE in await page.evaluate(f"{ROWS}[0].textContent")
    assert await page.evaluate("document.querySelectorAll('study-table img').length") == 0
    assert await page.evaluate("document.title") == "Studies · Gantry"


async def test_an_error_is_said_in_words(page: Page) -> None:
    await page.stand_in("*/studies?*", lambda *_: (503, "text/plain", "the index is away"))
    await search(page, "doe")
    await page.until("document.querySelector('.message')?.textContent.includes('the index is away')")
    assert "Asked for: Name doe." in await page.evaluate("document.querySelector('.message').textContent")
    page.errors.clear()


# ---- the table


async def test_all_studies_are_reached_by_scrolling_and_few_rows_exist(page: Page) -> None:
    await search(page, "many")
    await page.until(f"{TOTAL} === '148 studies'")
    seen: set[str] = set()
    for top in range(0, 149 * 36, 500):
        await page.evaluate(f"document.querySelector('#scroller').scrollTop = {top}")
        await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        await page.until(f"!document.querySelector('.waiting') && {ROWS}.length")
        seen |= set(await page.evaluate(NAMES))
        assert await page.evaluate(f"{ROWS}.length") < 60
    assert len(seen) == 148


async def test_headers_sort_and_the_address_says_so(page: Page) -> None:
    await search(page, "id:WEB")
    await page.until(f"{TOTAL} === '2 studies'")
    await page.click("[role=columnheader]:nth-child(2) .sort")
    await names(page, ["BERG, Lena", "ROSSI, Anna"])
    await page.click("[role=columnheader]:nth-child(2) .sort")
    await names(page, ["ROSSI, Anna", "BERG, Lena"])
    assert await page.evaluate("location.search") == "?q=id%3AWEB&sort=-PatientName"
    assert await page.evaluate("document.querySelector('[role=columnheader]:nth-child(2)').ariaSort") == "descending"


async def test_an_address_that_was_sent_shows_the_same(filled: Site) -> None:
    async with opened(filled.archive, "/?q=id:WEB&sort=-PatientName") as page:
        await names(page, ["ROSSI, Anna", "BERG, Lena"])
        assert await page.evaluate("document.querySelector('#search').value") == "id:WEB"


async def test_rows_are_links_that_open_in_a_tab_of_their_own(page: Page, filled: Site) -> None:
    await search(page, "rossi")
    await names(page, ["ROSSI, Anna"])
    uid = await page.evaluate(f"{ROWS}[0].dataset.study")
    assert (
        await page.evaluate("document.querySelector('.body .link').href")
        == f"{url(filled.archive)}/?study={uid}&q=rossi"
    )
    # The whole row is the link.
    x, y = await page.middle(".body .row .description")
    assert await page.evaluate(f"document.elementFromPoint({x}, {y}).className") == "link"


async def test_a_click_looks_and_a_double_click_opens(page: Page) -> None:
    await search(page, "berg")
    await names(page, ["BERG, Lena"])
    await page.click(".body .row .description")
    await page.until("!document.querySelector('quick-look').hidden")
    await page.press("Escape")
    await page.until("document.querySelector('quick-look').hidden")
    await page.click(".body .row .description", count=1)
    await page.click(".body .row .description", count=2)
    await page.until("document.querySelector('study-page h2')?.textContent.includes('BERG')")
    # Back is the list, as it was.
    await page.evaluate("history.back()")
    await page.until("document.querySelector('study-page').hidden")
    await names(page, ["BERG, Lena"])


async def test_columns_and_rows_are_chosen_and_remembered(page: Page) -> None:
    await page.click(".holder > button")
    await page.press_button("Accession", of=".menu label")
    await page.press_button("Compact", of=".menu label")
    heads = "[...document.querySelectorAll('.sort')].map(b => b.textContent)"
    assert "Accession" not in await page.evaluate(heads)
    assert await page.evaluate("document.querySelector('.body .row').offsetHeight") == 28
    await page.reload()
    await page.until(f"{ROWS}.length > 0")
    assert "Accession" not in await page.evaluate(heads)
    assert await page.evaluate("document.querySelector('.body .row').offsetHeight") == 28
    await page.evaluate("localStorage.clear()")


async def test_a_selection_by_box_and_shift_brings_a_bar_of_actions(page: Page) -> None:
    await search(page, "many")
    await page.until(f"{TOTAL} === '148 studies'")
    await page.click(".body .row[aria-rowindex='3'] input")
    await page.until("document.querySelector('action-bar p').textContent === '1 selected'")
    x, y = await page.middle(".body .row[aria-rowindex='7'] .description")
    for kind in ("mousePressed", "mouseReleased"):
        await page.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1, modifiers=8)
    await page.until("document.querySelector('action-bar p').textContent === '5 selected'")
    await page.press("Escape")
    await page.until("document.querySelector('action-bar').hidden")


async def test_a_theme_is_chosen_and_stays(page: Page) -> None:
    back = "getComputedStyle(document.documentElement).backgroundColor"
    await page.theme("light")
    assert await page.evaluate(back) == "rgb(255, 255, 255)"
    await page.theme("dark")
    dark = await page.evaluate(back)
    assert dark != "rgb(255, 255, 255)"
    await page.click(".below .place:nth-child(2)")
    assert await page.evaluate(back) == "rgb(255, 255, 255)"
    await page.reload()
    await page.until(f"{ROWS}.length > 0")
    assert await page.evaluate(back) == "rgb(255, 255, 255)"
    await page.evaluate("localStorage.clear()")


# ---- upload


async def test_files_are_uploaded_and_what_became_of_each_is_named(page: Page, filled: Site, tmp_path: Path) -> None:
    study_uid = generate_uid()
    good = [write(tmp_path, data_set(name="Upload^Ulla", study=study_uid, number=n)).path for n in range(3)]
    text, broken = tmp_path / "notes.txt", tmp_path / "broken.dcm"
    text.write_text("no image")
    broken.write_bytes(good[0].read_bytes()[:-100])
    note = "document.querySelector('.job p').textContent"
    await page.choose_files("#files", [*good, text])
    assert await page.until(f"document.querySelector('.job[data-state=done]') && {note}") == "1 left out, 3 stored"
    await asyncio.to_thread(wait_searchable, filled.modality, study_uid, 3)
    # Sent again they are there already, and what cannot be stored is named with the reason.
    await page.click(".job > button")
    await page.choose_files("#files", [*good, broken])
    assert "3 there already" in await page.until(f"document.querySelector('.job[data-state=warning]') && {note}")
    lines = await page.evaluate("[...document.querySelectorAll('.job li[data-state=failed]')].map(l => l.textContent)")
    assert len(lines) == 1
    assert lines[0].startswith("broken.dcm")
    assert "not a DICOM object" in lines[0]
    page.errors[:] = [error for error in page.errors if "409" not in error]


async def test_a_file_with_other_content_of_a_known_uid_is_a_conflict_by_name(
    page: Page, filled: Site, tmp_path: Path
) -> None:
    uid = generate_uid()[:50].rstrip(".")
    first = data_set(name="Conflict^Carl", study=uid, series=f"{uid}.1", instance=f"{uid}.1.1")
    other = data_set(name="Conflict^Cora", study=uid, series=f"{uid}.1", instance=f"{uid}.1.1")
    paths = [tmp_path / "carl.dcm", tmp_path / "cora.dcm"]
    for path, made in zip(paths, (first, other), strict=True):
        path.write_bytes(file_bytes(made))
    note = "document.querySelector('.job p').textContent"
    # One upload, in which nothing of the first file is searchable yet.
    await page.choose_files("#files", paths)
    assert await page.until(f"document.querySelector('.job[data-state=warning]') && {note}") == "1 stored, 1 conflict"
    line = "document.querySelector('.job li[data-state=warning]')"
    assert "cora.dcmconflict: this UID is here with other content" in await page.evaluate(f"{line}.textContent")
    await asyncio.to_thread(wait_searchable, filled.modality, uid, 1)
    await page.click(".job > button")
    await page.choose_files("#files", paths)
    done = f"document.querySelector('.job[data-state=warning]') && {note}"
    assert await page.until(done) == "1 there already, 1 conflict"
    # This caller may not decide (who may is led there: test_viewer_operations.py).
    assert (await page.evaluate(f"{line}.textContent")).endswith("Who runs the archive decides")


# ---- an archive that is empty, or closed


async def test_a_token_is_asked_for_and_an_empty_archive_says_how_to_send_to_it(tmp_path: Path) -> None:
    chromium()
    tokens = tmp_path / "tokens"
    tokens.write_text("ward:0123456789abcdef\n")
    archive = RunningArchive(tmp_path, lab=False, environment={"GANTRY_HTTP__TOKENS_FILE": str(tokens)}).start()
    try:
        async with opened(archive, ready="document.querySelector('#token')?.open") as page:
            problem = "document.querySelector('#token .problem').textContent"
            assert await page.evaluate(problem) == ""
            await page.type("#token-value", "a wrong one, typed")
            await page.press("Enter")
            await page.until(f"document.querySelector('#token').open && {problem}.includes('does not take the token')")
            await page.type("#token-value", "0123456789abcdef")
            await page.press("Enter")
            await page.until("document.body.dataset.ready && document.querySelector('#empty')?.isConnected")
            text = await page.evaluate("document.querySelector('#empty').textContent")
            assert f"gantry store GANTRY@127.0.0.1:{archive.port} FOLDER" in text
            assert f"storescu -aec GANTRY +sd +r 127.0.0.1 {archive.port} FOLDER" in text
            assert "Sign out" in await page.evaluate("document.querySelector('.who').innerText")
            await search(page, "x")
            await page.until("document.querySelector('.message')?.textContent.includes('No study matches')")
            page.errors[:] = [error for error in page.errors if "401" not in error]
    finally:
        archive.stop()


async def test_the_first_study_shows_itself_in_an_empty_archive_after_an_upload(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        async with opened(archive, ready="Boolean(document.querySelector('#empty'))") as page:
            await page.choose_files("#files", [write(tmp_path / "f", data_set(name="First^One")).path])
            await names(page, ["FIRST, One"])
            assert json.loads(await page.evaluate("JSON.stringify(location.search)")) == ""
    finally:
        archive.stop()
