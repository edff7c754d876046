"""Samples are loaded into an empty archive that runs for a look, in a real Chromium."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.browser import chromium
from tests.support.page import opened, url

SAMPLES = ["SAMPLE, Ada", "SAMPLE, Bruno"]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    chromium()
    running = RunningArchive(tmp_path).start()
    yield running
    running.stop()


def rendered(archive: RunningArchive, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"{url(archive)}/dicom-web/{path}", timeout=30) as answer:
        return len(answer.read()), str(answer.headers["Content-Type"])


async def test_an_empty_archive_for_a_look_is_filled_by_a_button(archive: RunningArchive) -> None:
    async with opened(archive, ready="Boolean(document.querySelector('#empty'))") as page:
        await page.press_button("Load samples")
        await page.until("[...document.querySelectorAll('.job')].some(e => e.textContent.includes('44 images'))")
        await page.until("document.querySelectorAll('study-table .body .row[data-study]').length === 2")
        shown = "[...document.querySelectorAll('study-table .body .row[data-study] .name')].map(e => e.textContent)"
        assert sorted(await page.evaluate(shown)) == SAMPLES
        (uid,) = await page.evaluate(
            "[...document.querySelectorAll('study-table .body .row[data-study]')]"
            ".filter(e => e.textContent.includes('Ada')).map(e => e.dataset.study)"
        )
        await page.press("ArrowDown", " ")
        await page.until("[...document.querySelectorAll('.thumbnail img')].some(i => i.naturalWidth)")
        if folder := os.environ.get("GANTRY_PICTURES"):
            await page.screenshot(Path(folder) / "samples.png")
    with urllib.request.urlopen(f"{url(archive)}/dicom-web/studies/{uid}/instances", timeout=30) as answer:
        assert len(json.loads(answer.read())) == 20
    size, kind = rendered(archive, f"studies/{uid}/thumbnail")
    assert kind.startswith("image/")
    assert size > 1000, "a picture with something on it"


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[RunningArchive]:
    """It is not there for a look."""
    chromium()
    (tmp_path / "tokens").write_text("reader:a-token-of-a-reader-only-here roles=technologist\n")
    running = RunningArchive(tmp_path, lab=False, environment={"GANTRY_HTTP__TOKENS_FILE": str(tmp_path / "tokens")})
    running.write_policy([])
    yield running.start()
    running.stop()


def test_a_hospital_is_not_offered_samples(hospital: RunningArchive) -> None:
    with urllib.request.urlopen(f"{url(hospital)}/viewer/config.json", timeout=30) as answer:
        assert json.loads(answer.read())["lab"] is False
