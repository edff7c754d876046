"""STOW-RS and the page through the front door, to ingest and query as processes of their own."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.e2e.conftest import Site
from tests.e2e.test_door import opened
from tests.e2e.test_stow import contents, got_back
from tests.support.browser import chromium
from tests.support.objects import bytes_of, data_set, study, write
from tests.support.page import names, search
from tests.support.page import opened as opened_page
from tests.support.ports import free_port
from tests.support.stow import files, post
from tests.support.waiting import wait_searchable


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = {"MODALITY": free_port()}
    door = opened(tmp_path_factory.mktemp("door"), ports)
    try:
        yield Site(door, ports)
    finally:
        door.stop()


def test_what_goes_in_by_stow_through_the_door_comes_out_byte_for_byte(site: Site, tmp_path: Path) -> None:
    made = study(tmp_path / "sent", 4, series=2)
    answer = post(site.archive, files(contents(made)))
    assert (answer.status, answer.stored()) == (200, [file.sop_instance_uid for file in made])
    urls = [item["00081190"]["Value"][0] for item in answer.json["00081199"]["Value"]]
    assert all(url.startswith(f"http://127.0.0.1:{site.archive.http_port}/dicom-web/studies/") for url in urls)
    for number, file in enumerate(made):
        assert got_back(site, tmp_path / f"got{number}", file) == bytes_of(file)


def test_a_large_chunked_body_streams_through_the_door(site: Site, tmp_path: Path) -> None:
    large = write(tmp_path, data_set(size=5600))
    body = files([large.path.read_bytes()])
    before = site.archive.rss()
    assert post(site.archive, (body[at : at + 65536] for at in range(0, len(body), 65536))).status == 200
    assert site.archive.rss() - before < 32 << 20
    assert got_back(site, tmp_path / "got", large) == bytes_of(large)


def test_a_refused_body_is_refused_through_the_door_as_without_it(site: Site) -> None:
    assert post(site.archive, b"whatever", "text/plain").status == 415
    assert post(site.archive, files([b"junk"])).others() == [0xC000]


def test_the_page_comes_through_the_door(site: Site) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.archive.http_port}/", timeout=20) as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert b"Gantry</title>" in response.read()


async def test_the_study_list_works_through_the_door(site: Site, tmp_path: Path) -> None:
    made = data_set(name="Door^Dora", patient="DOOR1")
    chromium()
    # Earlier tests stored studies; the live pill, the upload and the pictures each come from another process.
    async with opened_page(site.archive, ready="document.body.dataset.ready") as page:
        await page.choose_files("#files", [write(tmp_path, made).path])
        await page.until("Boolean(document.querySelector('.job[data-state=done]'))")
        await asyncio.to_thread(wait_searchable, site.modality, made.StudyInstanceUID, 1)
        await search(page, "dora")
        await names(page, ["DOOR, Dora"])
        await page.press("Escape", "ArrowDown", "Space")
        await page.until("[...document.images].some(i => i.complete && i.naturalWidth > 0)")


def test_what_was_stored_is_committed_over_http_through_the_door(site: Site, tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    assert post(site.archive, files(contents(made))).status == 200
    items = [
        {
            "00081150": {"vr": "UI", "Value": [file.sop_class_uid]},
            "00081155": {"vr": "UI", "Value": [file.sop_instance_uid]},
        }
        for file in made
    ]
    url = f"http://127.0.0.1:{site.archive.http_port}/dicom-web/commitment-requests/{generate_uid()}"
    body = json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/dicom+json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    committed = [item["00081155"]["Value"][0] for item in answer["00081199"]["Value"]]
    assert (committed, "00081198" in answer) == ([file.sop_instance_uid for file in made], False)
    with urllib.request.urlopen(url, timeout=30) as response:
        assert json.load(response) == answer
