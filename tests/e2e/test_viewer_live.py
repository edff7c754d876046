"""Studies that arrive while the page is open, and studies that are sent on: with the archive's own services where it
has them, and with stand-ins that answer as docs/page.md says."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support.archive import RunningArchive
from tests.support.browser import Page, chromium
from tests.support.objects import data_set, write
from tests.support.page import NAMES, ROWS, opened, put, search
from tests.support.ports import free_port

DEST = free_port()
SENDS = "[...document.querySelectorAll('action-bar button')].some(b => b.textContent === 'Send to …' && !b.hidden)"
PILL = "document.querySelector('.pill')"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    peer = f"{{ae_title: DEST, host: 127.0.0.1, port: {DEST}, may: [store], move_destination: true}}"
    running = RunningArchive(tmp_path_factory.mktemp("live"), peers=[peer]).start()
    put(running, [data_set(name="Here^Already", patient="LIVE0")])
    put(running, [data_set(name="Second^Study", patient="LIVE00")])
    yield running
    running.stop()


async def test_a_study_sent_by_storescu_appears_within_two_seconds(archive: RunningArchive, tmp_path: Path) -> None:
    if shutil.which("storescu") is None:
        pytest.skip("storescu is not installed (deploy/peers.sh does it as root on Debian)")
    async with opened(archive) as page:
        await page.until("document.body.isConnected && performance.now() > 1000")
        if any("/changes/studies" in error for error in page.errors):
            pytest.skip("this archive has no feed of changes yet")
        await search(page, "id:LIVE")
        name = f"Arrival^{generate_uid()[-4:]}"
        file = write(tmp_path, data_set(name=name, patient=f"LIVE{generate_uid()[-6:]}", StudyDate="20991231"))
        await asyncio.to_thread(
            subprocess.run, ["storescu", "-aec", "GANTRY", "127.0.0.1", str(archive.port), str(file.path)], check=True
        )
        sent = time.monotonic()
        await page.until(f"!{PILL}.hidden && {PILL}.textContent === '1 new'", 10)
        assert time.monotonic() - sent < 2.0
        await page.click(".pill")
        await page.until(f"{NAMES}.some(name => name.startsWith('ARRIVAL'))")


async def test_a_study_that_does_not_match_is_not_announced_and_one_that_does_is(archive: RunningArchive) -> None:
    new = data_set(name="New^Nina", patient="LIVE1")
    other = data_set(name="Not^Asked", patient="ELSE1")
    events = "".join(
        f"id: {at}\nevent: study\ndata: {json.dumps({'StudyInstanceUID': uid, 'what': 'stored'})}\n\n"
        for at, uid in enumerate((new.StudyInstanceUID, other.StudyInstanceUID))
    )
    stored = asyncio.Event()

    def feed(*_: str) -> tuple[int, str, str]:
        return (200, "text/event-stream", f"retry: 100\n{events}") if stored.is_set() else (503, "text/plain", "later")

    async with opened(archive, ready="Boolean(document.querySelector('#search'))") as page:
        await page.stand_in("*/changes/studies*", feed)
        await page.reload()
        await page.until(f"{ROWS}.length > 0")
        await search(page, "id:LIVE")
        await page.until("location.search === '?q=id%3ALIVE'")
        for dataset in (new, other):
            await asyncio.to_thread(put, archive, [dataset])
        before = await page.evaluate(NAMES)
        stored.set()
        await page.until(f"!{PILL}.hidden && {PILL}.textContent === '1 new'")
        # Nothing jumps: the rows are what they were until somebody asks.
        assert await page.evaluate(NAMES) == before
        await page.click(".pill")
        await page.until(f"{NAMES}.includes('NEW, Nina') && {PILL}.hidden")
        page.errors[:] = [error for error in page.errors if "503" not in error]


class Moves:
    """Stands in for the archive's transfers: each is done after three questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.questions = 0
        self.endless = False

    def __call__(self, method: str, url: str, body: str) -> tuple[int, str, str]:
        if url.endswith("/destinations"):
            destinations = [{"aeTitle": "DEST", "description": "Reading room"}, {"aeTitle": "OTHER", "description": ""}]
            return 200, "application/json", json.dumps(destinations)
        if method == "POST":
            self.asked.append(json.loads(body)["destination"])
            return 202, "application/json", '{"id": "t1"}'
        if method == "DELETE":
            self.cancelled.append(url)
            return 204, "application/json", ""
        self.questions += 1
        done = not self.endless and self.questions % 3 == 0
        at = {"remaining": 0 if done else 2, "completed": 3 if done else 1, "failed": 0, "warning": 0}
        return 200, "application/json", json.dumps({**at, "state": "done" if done else "running", "error": ""})


async def _choose_two(page: Page, moves: Moves) -> None:
    for pattern in ("*/destinations", "*/send", "*/transfers/*"):
        await page.stand_in(pattern, moves)
    await page.reload()
    await page.until(f"{ROWS}.length > 1 && document.body.dataset.ready && !document.querySelector('.waiting')")
    await page.until(SENDS)
    await page.press("ArrowDown", "Shift+ArrowDown")
    await page.press_button("Send to …")
    await page.until("document.querySelector('#send').open")


async def test_studies_are_sent_with_progress(archive: RunningArchive) -> None:
    moves = Moves()
    async with opened(archive) as page:
        await _choose_two(page, moves)
        assert "Send 2 studies to" in await page.evaluate("document.querySelector('#send').innerText")
        assert "Reading room" in await page.evaluate("document.querySelector('#send').innerText")
        await page.press_button("Send")
        await page.until("document.querySelector('.job p').textContent === '1 of 3 images'")
        await page.until("document.querySelector('.job[data-state=done] p')?.textContent === '2 studies sent'")
        assert moves.asked == ["DEST", "DEST"]


async def test_a_study_reaches_a_real_destination(archive: RunningArchive, tmp_path: Path) -> None:
    if archive.http("/dicom-web/destinations")[0] != 200:
        pytest.skip("this archive sends nothing by itself yet")
    if shutil.which("storescp") is None:
        pytest.skip("storescp is not installed (deploy/peers.sh does it as root on Debian)")
    receiver = subprocess.Popen(["storescp", "-aet", "DEST", "-od", str(tmp_path), str(DEST)])
    try:
        async with opened(archive) as page:
            await page.until(SENDS)
            await page.press("ArrowDown", "s")
            await page.until("document.querySelector('#send').open")
            await page.press_button("Send")
            await page.until("document.querySelector('.job[data-state=done] p')?.textContent === '1 study sent'")
            assert len(list(tmp_path.iterdir())) == 1
    finally:
        receiver.terminate()
        receiver.wait(10)


async def test_a_transfer_is_cancelled(archive: RunningArchive) -> None:
    moves = Moves()
    moves.endless = True
    async with opened(archive) as page:
        await _choose_two(page, moves)
        await page.press_button("Send")
        await page.until("document.querySelector('.job p').textContent === '1 of 3 images'")
        await page.press_button("Cancel", of=".job > button")
        await page.until("Boolean(document.querySelector('.job[data-state=cancelled]'))")
        for _ in range(100):
            if moves.cancelled:
                break
            await asyncio.sleep(0.05)
        assert moves.cancelled[0].endswith("/transfers/t1")
        assert moves.asked == ["DEST"]


async def test_several_studies_are_downloaded_one_after_another(archive: RunningArchive, tmp_path: Path) -> None:
    async with opened(archive) as page:
        await page.downloads(tmp_path)
        await page.press("ArrowDown", "Shift+ArrowDown", "d")
        await page.until("document.querySelector('.job[data-state=done] p')?.textContent === '2 downloaded'")
        for _ in range(100):
            if len(list(tmp_path.glob("*.zip"))) == 2:
                break
            await asyncio.sleep(0.05)
        assert len(list(tmp_path.glob("*.zip"))) == 2
