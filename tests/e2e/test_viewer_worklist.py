"""The place Worklist of the page, in a real Chromium over a real archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.e2e.test_viewer_access import axe, expect_accessible  # noqa: F401
from tests.e2e.test_viewer_operations import SECTION, SETTLED, says
from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set
from tests.support.page import opened, put
from tests.support.worklist import OrdersClient, ordered, scheduled

TODAY, TOMORROW = ((date.today() + timedelta(days=days)).strftime("%Y%m%d") for days in (0, 1))
FIELD = "[...document.querySelectorAll('order-form label')].find(label => label.textContent === {!r}).htmlFor"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path_factory.mktemp("worklist"))
    running.write_policy([], "http: {may_order: [loopback], may_correct: [loopback]}\n")
    running.start()
    OrdersClient(running).place(
        ordered(1, scheduled("S1", ScheduledProcedureStepStartDate=TODAY), scheduled("S2", Modality="MR")),
        ordered(2, scheduled("S1", ScheduledProcedureStepStartDate=TODAY, Modality="US"), PatientName="Öz^Ayşe"),
        ordered(3, scheduled("S1", ScheduledProcedureStepStartDate=TOMORROW)),
    )
    yield running
    running.stop()


@asynccontextmanager
async def worklist(archive: RunningArchive, address: str = "") -> AsyncIterator[Page]:
    async with opened(archive, f"/worklist{address}", ready=SETTLED) as page:
        yield page


async def shown(page: Page) -> list[str]:
    """The text of each row."""
    rows: list[str] = await page.evaluate(f"[...{SECTION}.querySelectorAll('tbody tr')].map(row => row.innerText)")
    return rows


async def fill(page: Page, **values: str) -> None:
    """Write into the fields of the form, by their labels."""
    for name, value in values.items():
        field = FIELD.format(name.replace("_", " "))
        await page.evaluate(f"document.getElementById({field}).value = {value!r}")


async def test_the_day_is_a_list_and_filters_are_an_address_that_can_be_sent(archive: RunningArchive) -> None:
    async with opened(archive, ready="document.body.dataset.ready") as page:
        await page.until("!document.querySelector('gantry-rail a[href=\"/worklist\"]').hidden")
        await page.click('gantry-rail a[href="/worklist"]')
        await says(page, "2 steps of 2 orders")
        assert [("PATIENT, No1" in row, "ÖZ, Ayşe" in row) for row in await shown(page)] == [
            (True, False),
            (False, True),
        ]
        assert await page.evaluate("document.title") == "Orders · Worklist · Gantry"
        await page.click("[aria-label='The day after']")
        await says(page, "PATIENT, No3")
        assert f"date={(date.today() + timedelta(days=1)).isoformat()}" in await page.evaluate("location.search")
        await page.press("Escape")
        await page.until("location.pathname === '/'")
    async with worklist(archive, f"/orders?date={date.today().isoformat()}&modality=US&state=") as page:
        await says(page, "1 step of 1 order")
        await page.type("#orders-term", "A1")
        await page.press("Enter")
        await says(page, "on any day")
    async with worklist(archive, "/orders?term=P3") as page:
        await says(page, "PATIENT, No3")
    async with worklist(archive, "/orders?term=nobody") as page:
        await says(page, "No order matches")


async def test_an_order_is_placed_by_the_form_changed_and_cancelled(archive: RunningArchive) -> None:
    orders = OrdersClient(archive)
    async with worklist(archive, "/new") as page:
        await page.press_button("Place the order")  # what is missing is said by the browser, and nothing is sent
        assert await page.evaluate("document.querySelectorAll('order-form input:invalid').length") == 6
        await fill(page, Family_name="Doe", Given_name="Jane", Patient_ID="P77", Born="1980-02-03", Sex="F")
        await fill(
            page, Accession_number="A77", Procedure="CT of the chest", Modality="CT", Day="2026-03-04", Time="08:15"
        )
        await page.press_button("Place the order")
        await says(page, "DOE, Jane")
        assert await page.evaluate("location.pathname") == "/worklist/orders/A77"
        (order,) = orders.ask("GET", "/A77")[1]
        assert order["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
        (step,) = order["00400100"]["Value"]
        assert [step[tag]["Value"] for tag in ("00080060", "00400002", "00400003")] == [["CT"], ["20260304"], ["0815"]]
        await page.press_button("Change …")
        await page.until("Boolean(document.querySelector('order-form'))")
        await fill(page, Procedure="CT of the head", Time="09:45", Sex="")
        await page.press_button("Change the order")
        await says(page, "CT of the head")
        (order,) = orders.ask("GET", "/A77")[1]
        assert "Value" not in order.get("00100040", {})
        assert order["00400100"]["Value"][0]["00400003"]["Value"] == ["0945"]
        await page.press_button("Cancel …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.type("#op-reason", "Ordered twice")
        await page.press_button("Cancel the order")
        await says(page, "Cancelled")
        await says(page, "Ordered twice")
    assert orders.states("A77") == {"1": "CANCELLED"}


async def test_what_the_archive_refuses_is_said_and_the_form_stays(archive: RunningArchive) -> None:
    async with worklist(archive, "/new") as page:
        await fill(page, Family_name="Doe", Patient_ID="P78", Accession_number="A78", Procedure="CT", Modality="CT")
        await fill(page, Day="2026-03-04", Time="08:15")
        await fill(page, **{"Station_(AE title)": "A\\B"})
        await page.press_button("Place the order")
        await page.until("Boolean(document.querySelector('.job[data-state=failed]'))")
        assert await page.evaluate(f"document.getElementById({FIELD.format('Patient ID')}).value") == "P78"
        page.errors.clear()
    assert OrdersClient(archive).ask("GET", "/A78")[0] == 404


async def test_a_study_is_linked_to_an_order_and_unlinked(archive: RunningArchive) -> None:
    uid = await asyncio.to_thread(put, archive, [data_set(name="Unknown^Anna", patient="EMERGENCY", size=16)])
    async with worklist(archive, "/orders/A2") as page:
        await page.press_button("Link a study …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.type("#op-why label input", uid)
        await page.type("#op-reason", "Scanned before its order")
        await page.press_button("Link")
        await says(page, uid)
        await says(page, "Study linked")
        await page.press_button("Unlink …")
        await page.until("document.querySelector('#op-why')?.open")
        await page.type("#op-reason", "It was another")
        await page.press_button("Unlink")
        await says(page, "Study unlinked")


async def test_who_may_not_place_orders_only_looks(tmp_path: Path) -> None:
    chromium()
    running = RunningArchive(tmp_path)
    running.write_policy([], "http: {may_order: [dispatcher]}\n")
    running.start()
    try:
        async with worklist(running) as page:
            await says(page, "No open order")
            assert await page.evaluate("document.querySelector('.sections').innerText.trim()") == "Orders\nWorkitems"
        async with worklist(running, "/new") as page:
            await says(page, "Orders are not yours to place")
    finally:
        running.stop()


@pytest.mark.parametrize("address", ["/orders", "/orders?term=nobody", "/orders/A1", "/new"])
async def test_axe_finds_nothing_in_the_worklist(
    archive: RunningArchive,
    address: str,
    axe: str,  # noqa: F811
) -> None:
    async with worklist(archive, address) as page:
        await expect_accessible(page, axe)
