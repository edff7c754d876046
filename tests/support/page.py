"""The page of an archive in a browser: opens it, reads its table, and checks that it contacts no other server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from tests.support.archive import RunningArchive
from tests.support.browser import Page, browser
from tests.support.objects import file_bytes
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable
from tests.support.ward import ward

ROWS = (
    "[...document.querySelectorAll('study-table .body .row[data-study]')]"
    ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
)
NAMES = f"{ROWS}.map(row => row.querySelector('.name').textContent)"
TOTAL = "document.querySelector('.total').textContent"
OPTIONAL = ("/changes/studies", "/destinations", "/permissions")
"""Optional resources of an archive: the page works without them, and the browser records a 404."""


def url(archive: RunningArchive) -> str:
    return f"http://127.0.0.1:{archive.http_port}"


def put(archive: RunningArchive, data_sets: Iterable[Dataset]) -> str:
    """Store the instances of one study; returns its UID when all of them are searchable."""
    made = list(data_sets)
    assert post(archive, files(file_bytes(instance) for instance in made)).status == 200
    uid = str(made[0].StudyInstanceUID)
    wait_searchable(archive.peer, uid, len(made))
    return uid


def fill(archive: RunningArchive, count: int, **sizes: int) -> list[Dataset]:
    """Store a ward of `count` studies, and wait until they are searchable; returns the first instance of each, newest
    first."""
    studies = list(ward(date.today(), count, **sizes))
    for made in studies:
        assert post(archive, files(file_bytes(instance) for instance in made)).status == 200
    for made in studies:
        wait_searchable(archive.peer, made[0].StudyInstanceUID, len(made))
    return [made[0] for made in studies]


@asynccontextmanager
async def opened(archive: RunningArchive, address: str = "/", *, ready: str = "") -> AsyncIterator[Page]:
    """The opened page. At the end it must have contacted no other server, and its console must be clean."""
    async with browser() as page:
        await page.size(1440, 900)
        await page.open(url(archive) + address)
        try:
            await _loaded(page, ready)
        except AssertionError:
            # A container that another test starts is a new network interface, for which Chromium drops what it loads.
            if not any("ERR_NETWORK_CHANGED" in error for error in page.errors):
                raise
            await page.reload()
            page.errors.clear()
            await _loaded(page, ready)
        yield page
        strangers = [request for request in page.asked if not request.startswith((url(archive), "data:", "blob:"))]
        assert strangers == []
        errors = [error for error in page.errors if "ERR_NETWORK_CHANGED" not in error]
        assert [error for error in errors if not error.endswith(OPTIONAL)] == [], errors


async def _loaded(page: Page, ready: str) -> None:
    await page.until(ready or f"{ROWS}.length > 0")
    if "#token" not in ready:
        await page.until("document.body.dataset.ready")


async def search(page: Page, text: str) -> None:
    """Replace the text in the search box."""
    await page.evaluate("document.querySelector('#search').select()")
    await page.type("#search", text) if text else await page.evaluate(
        "(box => { box.value = ''; box.dispatchEvent(new Event('input')) })(document.querySelector('#search'))"
    )


async def names(page: Page, expected: list[str]) -> None:
    """Wait until the table has these patients, in this order."""
    shown: Any = None
    for _ in range(200):
        shown = await page.evaluate(NAMES)
        if shown == expected:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the table has {shown}, not {expected}")
