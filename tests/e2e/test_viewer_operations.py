"""The place Operations of the page, in a real Chromium over a real archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import connect
from tests.crash.test_dead_letters import open_letters, publish_without_object, put_back
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, find_matches, wait_for
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, study, write
from tests.support.operations import OPERATOR
from tests.support.page import names, opened, put, search
from tests.support.ports import free_port
from tests.support.waiting import wait_searchable

SECTION = "document.querySelector('other-place .section')"
SETTLED = f"Boolean({SECTION}?.querySelector(':scope > :not([aria-busy]) .op-body > *'))"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path, environment=OPERATOR).start()
    yield running
    running.stop()


@asynccontextmanager
async def section(archive: RunningArchive, address: str) -> AsyncIterator[Page]:
    """A section of Operations, when it has its answer."""
    async with opened(archive, f"/operations/{address}", ready=SETTLED) as page:
        yield page


async def says(page: Page, words: str) -> None:
    await page.until(f"{SECTION}?.innerText.includes({words!r})")


async def test_a_study_is_found_by_its_accession_number_and_the_address_can_be_sent(archive: RunningArchive) -> None:
    uid = await asyncio.to_thread(
        put, archive, [data_set(name="Secret^Jane", patient="P7", AccessionNumber="A200", size=16)]
    )
    async with opened(archive) as page:
        await page.until("!document.querySelector('gantry-rail a[href=\"/operations\"]').hidden")
        await page.click('gantry-rail a[href="/operations"]')
        await page.press_button("Where is my study?", of="other-place a")
        await page.until("document.activeElement?.id === 'where-term'")
        await page.type("#where-term", "A200")
        await page.press("Enter")
        await says(page, uid)
        await says(page, "1 instance can be found and retrieved")
        assert await page.evaluate("location.pathname + location.search") == "/operations/where?term=A200"
        assert "Secret" not in await page.evaluate("document.querySelector('other-place').innerText")
        assert await page.evaluate("document.title") == "Where is my study? · Operations · Gantry"
        await page.press_button("Open the study", of="other-place a")
        await page.until("document.querySelector('study-page h2')?.textContent.includes('SECRET')")
        assert await page.evaluate("document.querySelector('other-place').offsetHeight") == 0
    async with section(archive, "where?term=A200") as page:
        await says(page, uid)
        await page.press("Escape")
        await page.until("document.querySelectorAll('study-table .body .row[data-study]').length === 1")
        assert await page.evaluate("location.pathname") == "/"


async def test_what_nobody_knows_is_said_with_what_to_look_at(archive: RunningArchive) -> None:
    async with section(archive, "where?term=NOTHING") as page:
        await says(page, "Nothing is known of it")
        await says(page, "NOTHING")


async def test_who_may_not_operate_has_no_such_place(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        await asyncio.to_thread(put, archive, [data_set(size=16)])
        async with opened(archive) as page:
            assert await page.evaluate("document.querySelector('gantry-rail a[href=\"/operations\"]').hidden")
        async with section(archive, "where?term=X") as page:
            await says(page, "This is not open to you")
            await says(page, "http.may_operate")
            page.errors[:] = [error for error in page.errors if "403" not in error]
    finally:
        archive.stop()


async def send(archive: RunningArchive, folder: Path, number: int, **attributes: Any) -> None:
    """One instance by C-STORE: what is in conflict is taken with a warning."""
    file = write(folder / f"{number}.dcm", data_set(number=number, size=16, **attributes))
    await Modality(archive.peer, [file]).send_all()


async def test_a_conflict_is_compared_decided_and_taken_back(archive: RunningArchive, tmp_path: Path) -> None:
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    await send(archive, tmp_path, 1, **uids, name="First^Come")
    await wait_for(archive, 1)
    await send(archive, tmp_path, 2, **uids, name="Second^Come")
    async with section(archive, "conflicts") as page:
        for _ in range(100):  # until the index has the second one, too
            if "1 UID means more than one object" in await page.evaluate(f"{SECTION}.innerText"):
                break
            await page.evaluate("document.querySelector('other-place').refresh()")
            await asyncio.sleep(0.1)
        await says(page, "FIRST, Come")
        await says(page, "other bytes")
        assert (
            await page.evaluate("document.querySelector('a[href=\"/operations/conflicts\"] .badge').textContent") == "1"
        )
        # By keyboard alone: to the row, into it, to the side that is not current.
        await page.press("ArrowDown", "Enter")
        await says(page, "2 attributes differ")
        await says(page, "Pixels: ")
        differing = await page.evaluate(
            f"[...{SECTION}.querySelectorAll('.op-comparison tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
        )
        assert differing == [["PatientName", "First^Come", "Second^Come"], ["InstanceNumber", "1", "2"]]
        aside = ".op-side[aria-label^='aside'] .op-actions button"
        await page.evaluate(f"document.querySelector({aside!r}).focus()")
        await page.press("Enter")
        await page.until("document.querySelector('#op-why')?.open")
        await page.press("Enter")  # not without a reason
        assert await page.evaluate("document.querySelector('#op-why').open")
        await page.type("#op-reason", "the second is right")
        await page.press("Enter")
        await says(page, "It is not in conflict")
        page.errors[:] = [error for error in page.errors if "404" not in error]
        assert str((await find_matches(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "Second^Come"
        await page.press_button("Undo")
        await says(page, "2 attributes differ")
        assert str((await find_matches(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "First^Come"


async def test_who_uploads_a_conflict_and_may_decide_is_led_to_it(archive: RunningArchive, tmp_path: Path) -> None:
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    paths = [
        write(tmp_path / name, data_set(**uids, name=name, number=n)).path for n, name in enumerate(("A^Ada", "B^Ben"))
    ]
    async with opened(archive, ready="document.body.dataset.ready") as page:
        await page.until("Boolean(document.querySelector('gantry-rail a[href=\"/operations\"]:not([hidden])'))")
        await page.choose_files("#files", paths)
        await page.until("Boolean(document.querySelector('.job[data-state=warning] li a'))")
        await asyncio.to_thread(wait_searchable, archive.peer, uids["study"], 1)
        await page.evaluate("document.querySelector('.job[data-state=warning] li a').click()")
        await page.until(f"document.querySelector('op-conflicts') && location.pathname.endsWith('/{uids['instance']}')")
        await says(page, "A, Ada")
        await says(page, "aside")


async def test_without_conflicts_the_worklist_says_so(archive: RunningArchive) -> None:
    async with section(archive, "conflicts") as page:
        await says(page, "No conflicts")


async def test_a_study_is_held_from_the_list_shown_as_held_and_released_from_operations(
    archive: RunningArchive,
) -> None:
    uid = await asyncio.to_thread(put, archive, [data_set(name="Held^Hanna", patient="P9", size=16)])
    async with opened(archive) as page:
        await page.press("ArrowDown", "x")
        await page.until(
            "[...document.querySelectorAll('action-bar button')].some(e => !e.hidden && e.textContent === 'Hold …')"
        )
        await page.press_button("Hold …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.type("#op-reason", "A trial")
        await page.press("Enter")
        await page.until("document.querySelector('job-tray').innerText.includes('The study is held')")
        await page.press("Enter")
        await page.until("document.querySelector('study-page .held')?.textContent === 'Held'")
        await page.click(".held")
        await page.until("document.querySelector('study-holds').innerText.includes('Held by loopback: A trial')")
    async with section(archive, "holds") as page:
        await says(page, "A trial")
        await says(page, uid)
        await page.press_button("Release", of="other-place button")
        await page.type("#op-reason", "The trial is over")
        await page.press("Enter")
        await says(page, "Nothing is held")


async def test_a_patient_is_held_from_a_study_and_the_hold_is_undone(archive: RunningArchive) -> None:
    uid = await asyncio.to_thread(put, archive, [data_set(name="Held^Hanna", patient="P9", size=16)])
    async with opened(archive, f"/?study={uid}", ready="Boolean(document.querySelector('#for-history'))") as page:
        await page.click("#for-history")
        await page.press_button("Place a hold …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.evaluate("document.querySelector('#op-why input[value=patient]').click()")
        await page.type("#op-reason", "A court's order")
        await page.press("Enter")
        await page.until("document.querySelector('study-holds').innerText.includes('The patient is held by loopback')")
        await page.press_button("Undo")
        await page.until("!document.querySelector('.held')")


RETENTION = """lifecycle:
  retention:
    - {name: old, where: ['StudyDate=-20101231'], keep: 1y, then: delete}
"""


async def test_the_times_of_a_study_say_what_became_of_it_in_this_archive(
    archive: RunningArchive, tmp_path: Path
) -> None:
    uid = generate_uid()
    await send(archive, tmp_path, 1, name="Times^Tina", patient="P10", study=uid)
    async with opened(archive) as page:
        await search(page, "id:P10")
        await names(page, ["TIMES, Tina"])
        await page.press("ArrowDown", " ")
        # Series that come move the tabs down: a click before that may miss.
        await page.until("document.querySelectorAll('quick-look .series').length > 0")
        times = "document.querySelector('quick-look #tab-times').innerText"
        assert not any("/operations/where" in address for address in page.asked)
        await page.click("quick-look #for-times")
        await page.until(f"{times}.includes('In this archive')")
        text = await page.evaluate(times)
        assert "1 object received from " in text
        assert "1 instance indexed" in text
        assert "In the images" in text
        assert "Study began" in text
        await page.press_button("Who looked at it", of="quick-look #tab-times a")
        await page.until("document.body.innerText.includes('Stored: C-STORE')")
        assert await page.evaluate("location.pathname + location.search") == f"/audit/records?about={uid}&days=90"


async def test_what_would_go_is_a_list_by_day(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path, environment=OPERATOR)
    archive.write_policy([], RETENTION)
    archive.start()
    try:
        uid = await asyncio.to_thread(put, archive, [data_set(StudyDate="20050101", size=16)])
        async with section(archive, "retention") as page:
            await says(page, uid)
            await says(page, "StudyDate=-20101231: kept for 1 year from the Study Date, then deleted")
            await says(page, "2006-01-01")
        async with section(archive, "retention?by=2005-06-30") as page:
            await says(page, "Nothing of these goes by then")
            assert await page.evaluate("document.querySelector('#retention-by').value") == "2005-06-30"
    finally:
        archive.stop()


async def test_without_rules_nothing_goes_by_itself(archive: RunningArchive) -> None:
    async with section(archive, "retention") as page:
        await says(page, "Nothing goes by itself")


async def test_a_dead_letter_is_looked_at_discarded_and_another_one_replayed(
    archive: RunningArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "files", 2, name="Secret^Jane")
    events = [await publish_without_object(archive, file) for file in files]
    await open_letters(archive, 2)
    async with section(archive, "letters") as page:
        await says(page, "2 open dead letters")
        await says(page, "Replay all 2")
        await page.press("ArrowDown", "Enter")
        await says(page, "Where is its study?")
        assert "Secret" not in await page.evaluate(f"{SECTION}.innerText")
        shown = await page.evaluate(f"{SECTION}.innerText")
        await page.press_button("Discard …", of="other-place button")
        await page.type("#op-reason", "It was sent again")
        await page.press("Enter")
        await says(page, "discarded")
        await says(page, "Why")
        await page.press("Escape")
        await says(page, "1 open dead letter")
        (left,) = [event for event, file in zip(events, files, strict=True) if file.sop_instance_uid not in shown]
        await put_back(archive, left, next(f for f in files if f.sop_instance_uid == left.sop_instance_uid))
        await page.press_button("Replay", of="other-place button")
        await page.until("document.querySelector('job-tray').innerText.includes('Handled by indexer')")
        await says(page, "No open dead letters")
    await wait_for(archive, 1)


async def test_a_route_that_waits_is_given_up_and_that_is_undone(tmp_path: Path) -> None:
    chromium()
    reading = f"{{ae_title: READING, host: 127.0.0.1, port: {free_port()}, may: [], move_destination: true}}"
    archive = RunningArchive(tmp_path, environment=OPERATOR)
    archive.write_policy([reading], "completion: {quiet: 0.3}\nrouting: {rules: [{name: all, to: [READING]}]}\n")
    archive.start()
    try:
        async with section(archive, "routes") as page:
            await says(page, "Nothing was sent on in the last 30 days")
            await asyncio.to_thread(put, archive, [data_set(name="Secret^Jane", size=16)])
            # It is asked for again each time somebody comes back to it.
            async with asyncio.timeout(30):
                while "1 route waits" not in await page.evaluate(f"{SECTION}.innerText"):
                    await page.press_button("Peers", of="other-place a")
                    await page.press_button("Routes", of="other-place a")
                    await asyncio.sleep(0.5)
            await says(page, "READING")
            shown = await page.evaluate(f"{SECTION}.innerText")
            assert "Secret" not in shown
            await page.press_button("Give up", of="other-place button")
            await says(page, "Nothing waits")
            await page.press_button("What failed or was given up", of="other-place a")
            await says(page, "given up by loopback")
            await page.press_button("Undo", of="job-tray button")
            await says(page, "Nothing failed")
            await page.press_button("What waits", of="other-place a")
            await says(page, "1 route waits")
    finally:
        archive.stop()


async def test_health_is_live_and_says_what_each_process_reports(archive: RunningArchive) -> None:
    async with section(archive, "health") as page:
        await says(page, "All is well")
        await says(page, "ready")
        await page.until("document.querySelector('op-health [role=status]').textContent.startsWith('Live')")
        tile = "[...document.querySelectorAll('.op-tiles li')].map(e => e.innerText.replace('\\n', ' '))"
        assert "Studies 0" in await page.evaluate(tile)
        await asyncio.to_thread(put, archive, [data_set(name="Secret^Jane", size=16)])
        await page.until(f"{tile}.includes('Studies 1')")
        assert "Secret" not in await page.evaluate(f"{SECTION}.innerText")


async def test_a_peer_is_tested_and_a_refused_caller_is_listed(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path, environment=OPERATOR, lab=False)
    archive.write_policy(
        [
            f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [echo]}}",
            "{ae_title: DOWN, host: 127.0.0.1, port: 1}",
        ]
    )
    archive.start()
    try:
        with pytest.raises(AssociationRejected):
            async with connect(archive.peer, [(VERIFICATION, BOTH)]):
                pass
        async with section(archive, "peers") as page:
            for _ in range(50):  # the record is on the log within a second
                if "TEST_SCU" in await page.evaluate(f"{SECTION}.innerText"):
                    break
                await asyncio.sleep(0.2)
                await page.evaluate("document.querySelector('other-place').refresh()")
            await says(page, "calling AE title is not known")
            await says(page, "Copy a rule")
            await page.evaluate("document.querySelector('button[aria-label=\"Test GANTRY\"]').click()")
            await says(page, "answers (")
            await page.evaluate("document.querySelector('button[aria-label=\"Test DOWN\"]').click()")
            await page.until("Boolean(document.querySelector('output .op-state[data-state=error]'))")
    finally:
        archive.stop()


async def admitted(archive: RunningArchive) -> bool:
    try:
        async with connect(archive.peer, [(VERIFICATION, BOTH)]):
            return True
    except AssociationRejected:
        return False


async def test_a_refused_caller_is_let_in_from_the_page_and_that_is_undone_and_a_peer_removed(tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path, environment=OPERATOR, lab=False)
    archive.write_policy(["{ae_title: DOWN, host: 127.0.0.1, port: 1}"])
    archive.start()

    async def becomes(expected: bool) -> None:
        async with asyncio.timeout(10):
            while await admitted(archive) != expected:
                await asyncio.sleep(0.1)

    try:
        assert not await admitted(archive)
        async with section(archive, "peers") as page:
            for _ in range(50):  # the record is on the log within a second
                if "TEST_SCU" in await page.evaluate(f"{SECTION}.innerText"):
                    break
                await asyncio.sleep(0.2)
                await page.evaluate("document.querySelector('other-place').refresh()")
            await says(page, "Allow …")
            await page.press_button("Allow …", of="other-place button")
            await page.type("#op-reason", "The new scanner")
            await page.press("Enter")
            await says(page, "added")
            await becomes(True)
            await page.press_button("Undo", of="job-tray button")
            await page.until("document.querySelector('job-tray').innerText.includes('Taken back')")
            await becomes(False)

            await page.press_button("Allow …", of="other-place button")
            await page.type("#op-reason", "After all")
            await page.press("Enter")
            await becomes(True)
            await page.until("Boolean(document.querySelector('button[aria-label=\"Remove TEST_SCU\"]'))")
            assert not await page.evaluate("Boolean(document.querySelector('button[aria-label=\"Remove DOWN\"]'))")
            await page.press_button("Remove", of="other-place button")
            await page.type("#op-reason", "It was sold")
            await page.press("Enter")
            await becomes(False)
            await page.until("!document.querySelector('button[aria-label=\"Remove TEST_SCU\"]')")
    finally:
        archive.stop()
