"""The place Audit of the page, in a real Chromium over a real archive: who saw a patient, and what else is recorded."""

from __future__ import annotations

import csv
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gantry.common.audit import AuditKind
from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_operations import SECTION, SETTLED, says
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.dicomweb import ask_json
from tests.support.objects import data_set
from tests.support.page import opened, put

STUDY = "1.2.826.0.1.3680043.10.1571.44.1"
ROWS = f"[...{SECTION}.querySelectorAll('tbody tr')].map(row => row.innerText)"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("audit"))
    running.write_policy([], "http: {may_operate: [loopback]}\n")
    running.start()
    for number, patient in ((1, "4711"), (2, "4712")):
        put(running, [data_set(study=f"{STUDY}.{number}", patient=patient)])
        ask_json(running, f"/dicom-web/studies/{STUDY}.{number}/metadata")
    until_recorded(running, "stored,accessed", 4)
    yield running
    running.stop()


def until_recorded(archive: RunningArchive, kinds: str, count: int) -> None:
    """Reads of five seconds are one record: it comes late."""
    for _ in range(120):
        found = ask_json(archive, f"/dicom-web/operations/audit?kind={kinds}")["records"]
        if len(found) == count:
            return
        time.sleep(0.25)
    raise AssertionError(f"{[one['kind'] for one in found]} are on record")


@asynccontextmanager
async def audit(archive: RunningArchive, address: str = "") -> AsyncIterator[Page]:
    async with opened(archive, f"/audit{address}", ready=SETTLED) as page:
        yield page


async def test_who_saw_a_patient_is_a_list_with_all_of_each_record(archive: RunningArchive) -> None:
    async with opened(archive) as page:
        await page.until("!document.querySelector('gantry-rail a[href=\"/audit\"]').hidden")
        await page.click('gantry-rail a[href="/audit"]')
        await says(page, "Stored")
        await page.type("#audit-about", "4711")
        await page.press("Enter")
        await page.until(f"{ROWS}.length === 2")
        assert await page.evaluate("document.title") == "Records · Audit · Gantry"
        assert all("4711" in row for row in await page.evaluate(ROWS))
        saw = "[...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes('Saw'))"
        await page.evaluate(f"{saw}.querySelector('a').click()")
        await says(page, f"{STUDY}.1")
        await says(page, "127.0.0.1")
        assert "record=" in await page.evaluate("location.search")
        address = await page.evaluate("location.pathname + location.search")
        await page.press("Escape")
        await page.until("!location.search.includes('record=')")
    async with opened(archive, address, ready=SETTLED) as page:  # it can be sent
        await says(page, f"{STUDY}.1")
        await page.press_button("Everything of this patient", of="a")
        await says(page, "Stored")


async def test_kinds_are_asked_for_together_and_nothing_is_said_in_words(archive: RunningArchive) -> None:
    async with audit(archive, "/records?what=stored") as page:
        assert all("Stored" in row for row in await page.evaluate(ROWS))
        assert len(await page.evaluate(ROWS)) == 2
    async with audit(archive, "/records?what=logins&days=1") as page:
        await says(page, "record")
    async with audit(archive, "/records?about=nobody-has-this") as page:
        await says(page, "Nothing is on record")
    async with audit(archive, "/records?what=stored&record=gone") as page:
        await says(page, "not in the list any more")


async def test_every_kind_of_record_has_its_words_at_the_page(archive: RunningArchive) -> None:
    async with audit(archive) as page:
        words = await page.evaluate(
            "import('/viewer/page/records.js').then(({ whatWasDone }) => "
            f"{[kind.word for kind in AuditKind]!r}"
            ".map(kind => [kind, whatWasDone({ kind, operation: '', times: 1 })]))"
        )
        assert [kind for kind, said in words if said == kind] == []
        groups = await page.evaluate(
            "import('/viewer/page/records.js').then(({ GROUPS }) => GROUPS.flatMap(({ kinds }) => kinds))"
        )
        assert {kind.word for kind in AuditKind} == set(groups)


async def test_the_list_is_saved_as_a_file_for_somebody_who_asks_who_saw_him(archive: RunningArchive) -> None:
    async with audit(archive, "/records?about=4711&what=stored") as page:
        await page.evaluate(
            "window.saved = '', (make => { URL.createObjectURL = blob => {"
            " blob.text().then(text => { window.saved = text; }); return make(blob); }; })(URL.createObjectURL)"
        )
        await page.press_button("Save as CSV")
        (line,) = csv.DictReader((await page.until("window.saved")).splitlines())
        assert (line["kind"], line["patient IDs"], line["studies"]) == ("stored", "4711", f"{STUDY}.1")


async def test_who_may_not_operate_has_no_such_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("closed")).start()
    try:
        async with opened(running, "/audit", ready=SETTLED) as page:
            await says(page, "This is not open to you")
            page.errors.clear()
        async with opened(running, ready="document.body.dataset.ready") as page:
            assert await page.evaluate("document.querySelector('gantry-rail a[href=\"/audit\"]').hidden")
    finally:
        running.stop()


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desk", "phone"])
async def test_axe_finds_nothing(archive: RunningArchive, axe: str, size: tuple[int, int]) -> None:  # noqa: F811
    async with audit(archive, "/records?about=4711") as page:
        await page.size(*size)
        await expect_accessible(page, axe)
        await page.evaluate(f"{SECTION}.querySelector('tbody a').click()")
        await says(page, "All records")
        await expect_accessible(page, axe)
