"""Two organisations behind one door, to people in browsers: what opens one opens nothing of the other."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.asking import Modality, find_matches, uids_of
from tests.support.objects import study
from tests.support.partitions import Partition, SharedDoor
from tests.support.topology import environment

HOSTS = {"north": "north.example", "south": "south.example"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDoor]:
    """Both have links, and the patients of both have one ID."""
    folder = tmp_path_factory.mktemp("people")
    both = [Partition(folder, name, environment("embedded", folder)) for name in HOSTS]
    for archive in both:
        (archive.folder / "shares").write_text(f"{token_hex(32)}\n")
        archive.sections["http"]["url"] = f"https://{HOSTS[archive.name]}"
        archive.sections["sharing"] = {"key_file": str(archive.folder / "shares")}
        archive.write()
    shared = SharedDoor(folder, {archive: {"hosts": [HOSTS[archive.name]]} for archive in both})
    try:
        for running in (*both, shared):
            running.start()
        yield shared
    finally:
        for running in (shared, *both):
            running.stop()


async def stored(door: SharedDoor, name: str, folder: Path) -> str:
    """The UID of a study that is found in one of them."""
    files = study(folder / name, 1, patient="P1")
    peer, (uid, _) = door.peer_of(door.partitions[name]), uids_of(files[0])
    await Modality(peer, files).send_all()
    async with asyncio.timeout(60):
        while not [match for match in await find_matches(peer, "STUDY") if match.StudyInstanceUID == uid]:
            await asyncio.sleep(0.1)
    return uid


def send(door: SharedDoor, path: str, host: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of an answer; it is not followed to where it leads."""
    connection = http.client.HTTPConnection("127.0.0.1", door.http_port, timeout=30)
    try:
        sent = {"Host": host, "Accept": "*/*", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if data is None else "POST", path, data, sent)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


async def test_a_link_and_the_cookie_that_it_is_exchanged_for_open_nothing_of_the_other(
    door: SharedDoor, tmp_path: Path
) -> None:
    uids = {name: await stored(door, name, tmp_path) for name in HOSTS}
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    request = json.dumps({"studies": [uids["south"]], "expires": end, "reason": "second opinion"}).encode()
    bearer = f"Bearer {door.partitions['south'].token}"
    status, body, _ = send(door, "/dicom-web/shares", "south.example", request, Authorization=bearer)
    assert status == 201, body
    link = urlsplit(json.loads(body)["link"])
    assert link.netloc == "south.example"
    form = {"Content_Type": "application/x-www-form-urlencoded", "Sec_Fetch_Site": "same-origin"}
    entered = {host: send(door, link.path, host, b"password=", **form) for host in HOSTS.values()}
    assert (entered["south.example"][0], entered["south.example"][2]["Location"]) == (303, f"/?study={uids['south']}")
    assert entered["north.example"][0] != 303
    assert "Set-Cookie" not in entered["north.example"][2]
    cookie = entered["south.example"][2]["Set-Cookie"].partition(";")[0]
    for uid in uids.values():
        search = f"/dicom-web/studies?StudyInstanceUID={uid}"
        assert send(door, search, "north.example", Cookie=cookie)[0] == 401
    status, body, _ = send(door, "/dicom-web/studies", "south.example", Cookie=cookie)
    assert (status, [match["0020000D"]["Value"] for match in json.loads(body)]) == (200, [[uids["south"]]])


def test_the_token_of_one_makes_no_link_at_the_other(door: SharedDoor) -> None:
    request = json.dumps({"studies": ["1.2.3"], "expires": "2031-01-01", "reason": "second opinion"}).encode()
    bearer = f"Bearer {door.partitions['north'].token}"
    assert send(door, "/dicom-web/shares", "south.example", request, Authorization=bearer)[0] == 401
