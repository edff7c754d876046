"""Peers that are added to a running archive: by `gantry ae … --url` and over HTTP, without a restart, for good."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gantry.cli.ae import ae
from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, connect, scu
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly
from tests.support.objects import study
from tests.support.topology import TOPOLOGIES, environment, remove_stores

TOKENS = "ops:the-token-of-operators\nother:the-token-of-another\n"
IN_FILE = "{ae_title: FILED, host: 192.0.2.7, may: [echo]}"
READER = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [find, retrieve, echo]}"


@pytest.fixture(params=TOPOLOGIES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningArchive]:
    stores = environment(request.param, tmp_path)
    running = RunningArchive(tmp_path, environment=stores, lab=False)
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "ops").write_text("the-token-of-operators\n")
    (tmp_path / "other").write_text("the-token-of-another\n")
    running.write_policy([IN_FILE, READER], f"http: {{tokens_file: {tmp_path / 'tokens'}, may_operate: [ops]}}\n")
    try:
        yield running.start()
    finally:
        running.kill()
        remove_stores(stores)


async def gantry_ae(archive: RunningArchive, *arguments: str, token: str = "ops") -> Result:
    where = ("--url", f"http://127.0.0.1:{archive.http_port}", "--token-file", str(archive.folder / token))
    command = ["--config", str(archive.folder / "nothing.yaml"), *arguments, *where]
    return await asyncio.to_thread(CliRunner().invoke, ae, command, catch_exceptions=False)


def asked(
    archive: RunningArchive,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    token: str = "operators",
) -> tuple[int, Any, str]:
    """Status, the answer (JSON or text) and its ETag."""
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/{path}"
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Authorization": f"Bearer the-token-of-{token}", "Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, fields, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read()), response.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), ""


def calling(archive: RunningArchive, title: str) -> Peer:
    return Peer("127.0.0.1", archive.port, "GANTRY", title)


async def is_admitted(archive: RunningArchive, title: str) -> bool:
    try:
        async with connect(calling(archive, title), [(VERIFICATION, BOTH)]) as association:
            return await scu.echo(association) == 0
    except AssociationRejected:
        return False


async def answer_to(archive: RunningArchive, title: str) -> tuple[int, int, int] | None:
    """The rejection of an association; None where it is accepted."""
    try:
        async with connect(calling(archive, title), [(VERIFICATION, BOTH)]):
            return None
    except AssociationRejected as error:
        return error.result, error.source, error.reason


async def becomes(archive: RunningArchive, title: str, admitted: bool) -> None:
    """Within seconds."""
    async with asyncio.timeout(5):
        while await is_admitted(archive, title) != admitted:
            await asyncio.sleep(0.1)


async def test_who_was_rejected_gets_in_after_gantry_ae_add_and_not_after_remove(
    archive: RunningArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "study", 2)
    assert not await is_admitted(archive, "CT9")
    added = await gantry_ae(
        archive, "add", "CT9", "127.0.0.1:11119", "--may", "store", "--may", "echo", "--reason", "room 9"
    )
    assert added.exit_code == 0, added.output
    await becomes(archive, "CT9", True)
    await Modality(calling(archive, "CT9"), files).send_all()
    await expect_exactly(archive, files, tmp_path / "fetched")
    shown = json.loads((await gantry_ae(archive, "show", "CT9", "--json")).output)
    assert (shown["may"], shown["source"], shown["by"], shown["reason"]) == (["echo", "store"], "api", "ops", "room 9")

    archive.stop()
    archive.start()
    assert await is_admitted(archive, "CT9")
    archive.kill()
    archive.start()
    assert await is_admitted(archive, "CT9")
    assert archive.metric("gantry_peers_added") == 1

    removed = await gantry_ae(archive, "remove", "CT9")
    assert removed.exit_code == 0, removed.output
    await becomes(archive, "CT9", False)
    assert (await gantry_ae(archive, "remove", "CT9")).exit_code == 1
    assert archive.metric("gantry_peers_added") == 0


async def test_the_api_adds_changes_and_removes_with_conditions_that_keep_administrators_apart(
    archive: RunningArchive,
) -> None:
    body = {"host": "127.0.0.1", "may": ["echo"]}
    new = {"If-None-Match": "*"}
    status, words, _ = asked(archive, "PUT", "peers/CT9", body)
    assert status == 428
    assert "If-Match" in words
    status, made, etag = asked(archive, "PUT", "peers/CT9?reason=a+scanner", body, new)
    assert (status, made["source"], made["by"], made["reason"]) == (201, "api", "ops", "a scanner")
    assert etag == f'"{made["version"]}"'
    assert asked(archive, "PUT", "peers/CT9", body, new)[0] == 412
    assert asked(archive, "GET", "peers/CT9")[1:] == (made, etag)

    # Two administrators have seen the same; the second learns that he is late, and nothing of his is taken.
    first = asked(archive, "PUT", "peers/CT9", {**body, "may": ["echo", "store"]}, {"If-Match": etag})
    other = asked(archive, "PUT", "peers/CT9", {**body, "may": ["find"]}, {"If-Match": etag})
    assert (first[0], other[0]) == (200, 412)
    assert asked(archive, "GET", "peers/CT9")[1]["entry"]["may"] == ["echo", "store"]
    assert asked(archive, "DELETE", "peers/CT9", None, {"If-Match": etag})[0] == 412
    assert asked(archive, "DELETE", "peers/CT9")[0] == 428

    # What says nothing new is no change.
    again = asked(archive, "PUT", "peers/CT9", {**body, "may": ["store", "echo"]}, {"If-Match": first[2]})
    assert (again[0], again[2]) == (200, first[2])

    status, gone, _ = asked(archive, "DELETE", "peers/CT9", None, {"If-Match": first[2]})
    assert (status, gone) == (200, {"ae_title": "CT9", "removed": True, "in_file": False})
    assert asked(archive, "GET", "peers/CT9")[0] == 404
    assert asked(archive, "DELETE", "peers/CT9", None, {"If-Match": "*"})[0] == 404
    assert asked(archive, "PUT", "peers/CT9", body, {"If-Match": first[2]})[0] == 412
    assert asked(archive, "PUT", "peers/CT9", body, new)[0] == 201

    operations: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while not {"add peer CT9", "change peer CT9", "remove peer CT9"} <= set(operations):
            records = asked(archive, "GET", "audit?kind=policy")[1]["records"]
            operations = {record["operation"]: record for record in records if record["requestor"] == "ops"}
            await asyncio.sleep(0.5)
    assert operations["add peer CT9"]["outcome"] == 0
    assert json.loads(operations["change peer CT9"]["query"]) == {"may": [None, ["echo", "store"]]}
    log = archive.log.read_text()
    assert "peer set by the api" in log
    assert "the-token-of" not in log


async def test_the_file_prevails_and_the_api_says_so(archive: RunningArchive) -> None:
    body = {"host": "192.0.2.9", "may": ["store"]}
    for condition in ({"If-None-Match": "*"}, {"If-Match": "*"}):
        status, words, _ = asked(archive, "PUT", "peers/FILED", body, condition)
        assert status == 409
        assert "policy file" in words
    assert asked(archive, "DELETE", "peers/FILED", None, {"If-Match": "*"})[0] == 409
    status, filed, etag = asked(archive, "GET", "peers/FILED")
    assert (status, filed["source"], filed["entry"]["host"], etag) == (200, "file", "192.0.2.7", "")
    for command in (("add", "FILED", "192.0.2.9:104"), ("change", "FILED", "--may", "find"), ("remove", "FILED")):
        refused = await gantry_ae(archive, *command)
        assert (refused.exit_code, "policy file" in refused.output) == (1, True), refused.output

    # The API was first, and then the file names the same title.
    assert (await gantry_ae(archive, "add", "CT9", "127.0.0.1", "--may", "echo")).exit_code == 0
    await becomes(archive, "CT9", True)
    extra = archive.config.read_text().partition("peers:")[0]
    archive.write_policy([IN_FILE, READER, "{ae_title: CT9, host: 192.0.2.1, may: [echo]}"], extra)
    await becomes(archive, "CT9", False)
    status, both, etag = asked(archive, "GET", "peers/CT9")
    assert (both["source"], both["entry"]["host"], both["hidden"]["entry"]["host"]) == (
        "file",
        "192.0.2.1",
        "127.0.0.1",
    )
    assert asked(archive, "PUT", "peers/CT9", body, {"If-Match": etag})[0] == 409
    removed = await gantry_ae(archive, "remove", "CT9")
    assert (removed.exit_code, "still has this peer" in removed.output) == (0, True)
    assert asked(archive, "GET", "peers/CT9")[1]["hidden"] is None


async def test_who_may_not_operate_changes_nothing_and_is_told_what_to_ask_for(archive: RunningArchive) -> None:
    assert (await gantry_ae(archive, "add", "CT9", "127.0.0.1", "--may", "echo")).exit_code == 0
    before = asked(archive, "GET", "policy")[1]
    etag = asked(archive, "GET", "peers/CT9")[2]
    body = {"host": "192.0.2.9"}
    for method, condition in (("PUT", {"If-Match": etag}), ("DELETE", {"If-Match": etag}), ("GET", {})):
        assert asked(archive, method, "peers/CT9", body, condition, token="another")[0] == 403
        assert asked(archive, method, "peers/CT9", body, condition, token="nobody-knows")[0] == 401
    assert asked(archive, "GET", "policy", token="another")[0] == 403
    for command in (("list",), ("add", "CT8", "192.0.2.8"), ("change", "CT9", "--may", "find"), ("remove", "CT9")):
        refused = await gantry_ae(archive, *command, token="other")
        assert (refused.exit_code, "http.may_operate" in refused.output) == (1, True), refused.output
    assert asked(archive, "GET", "policy")[1] == before


BAD: list[tuple[str, str, object, str, int, str]] = [
    ("no json", "peers/CT9", b"{", "application/json", 400, "json"),
    ("another media type", "peers/CT9", {"host": "192.0.2.9"}, "text/plain", 415, "application/json"),
    ("a list", "peers/CT9", [], "application/json", 400, "an object"),
    ("an unknown key", "peers/CT9", {"host": "192.0.2.9", "colour": 1}, "application/json", 400, "colour: unknown key"),
    ("an unknown permission", "peers/CT9", {"host": "192.0.2.9", "may": ["fly"]}, "application/json", 400, "may.0"),
    ("no address", "peers/CT9", {}, "application/json", 400, "`host` or `from`"),
    ("another title", "peers/CT9", {"ae_title": "X", "host": "192.0.2.9"}, "application/json", 400, "ae_title"),
    ("a title that is none", "peers/ABCDEFGHIJKLMNOPQ", {"host": "192.0.2.9"}, "application/json", 400, "AE title"),
    ("a backslash", "peers/CT%5C9", {"host": "192.0.2.9"}, "application/json", 400, "AE title"),
    ("spaces around it", "peers/%20CT9", {"host": "192.0.2.9"}, "application/json", 400, "AE title"),
    ("a view that is not there", "peers/CT9", {"host": "192.0.2.9", "view": "no"}, "application/json", 400, "view"),
    ("a long body", "peers/CT9", {"host": "x" * 300_000}, "application/json", 413, ""),
    ("no such method", "policy", {}, "application/json", 405, ""),
]


async def test_what_is_wrong_with_a_request_is_said_and_nothing_changes(archive: RunningArchive) -> None:
    before = asked(archive, "GET", "policy")[1]
    for name, path, body, media, status, words in BAD:
        answer = asked(archive, "PUT", path, body, {"If-None-Match": "*", "Content-Type": media})
        assert (answer[0], words in answer[1]) == (status, True), (name, answer)
    long_reason = asked(archive, "PUT", f"peers/CT9?reason={'x' * 201}", {"host": "192.0.2.9"}, {"If-None-Match": "*"})
    assert long_reason[0] == 400
    assert asked(archive, "GET", "policy")[1] == before
    slash = asked(archive, "PUT", "peers/CT%2F9", {"host": "192.0.2.9"}, {"If-None-Match": "*"})
    assert (slash[0], slash[1]["ae_title"]) == (201, "CT/9")


async def test_gantry_ae_lists_changes_and_tests_what_a_running_archive_has(archive: RunningArchive) -> None:
    itself = ("add", "GANTRY", f"127.0.0.1:{archive.port}", "--may", "echo", "--set", "max_associations=9")
    assert (await gantry_ae(archive, *itself)).exit_code == 0
    again = await gantry_ae(archive, *itself)
    assert (again.exit_code, "already" in again.output) == (1, True), again.output
    listed = [json.loads(line) for line in (await gantry_ae(archive, "list", "--json")).output.splitlines()]
    assert [(peer["ae_title"], peer["source"]) for peer in listed] == [
        ("FILED", "file"),
        ("TEST_SCU", "file"),
        ("GANTRY", "api"),
    ]
    assert listed[2]["max_associations"] == 9
    rows = (await gantry_ae(archive, "list", "--csv")).output.splitlines()
    assert rows[3] == f"GANTRY,127.0.0.1,{archive.port},127.0.0.1,echo,no,no,api"
    tried = await gantry_ae(archive, "test", "GANTRY")
    assert (tried.exit_code, "ok" in tried.output) == (0, True), tried.output
    assert (await gantry_ae(archive, "test", "NOBODY")).exit_code == 1

    changed = await gantry_ae(archive, "change", "GANTRY", "--move-destination", "--set", "max_associations=")
    assert changed.exit_code == 0, changed.output
    shown = json.loads((await gantry_ae(archive, "show", "GANTRY", "--json")).output)
    assert (shown["move_destination"], shown["max_associations"], shown["may"]) == (True, 50, ["echo"])
    stale = await gantry_ae(archive, "change", "GANTRY", "--may", "find", "--version", listed[2]["version"])
    assert (stale.exit_code, "412" in stale.output) == (1, True), stale.output
    assert "move_destination: True" in (await gantry_ae(archive, "show", "GANTRY")).output


@pytest.mark.parametrize("archive", ["embedded"], indirect=True)
async def test_without_its_log_an_archive_that_begins_rejects_for_now_and_says_that_peers_are_not_read(
    archive: RunningArchive, tmp_path: Path
) -> None:
    assert (await gantry_ae(archive, "add", "CT9", "127.0.0.1", "--may", "echo")).exit_code == 0
    archive.stop()
    log, elsewhere = tmp_path / "data" / "log.db", tmp_path / "elsewhere"
    assert log.is_file()
    elsewhere.mkdir()
    for file in tmp_path.joinpath("data").glob("log.db*"):
        file.rename(elsewhere / file.name)
    log.mkdir()
    archive.start(ready=False)
    async with asyncio.timeout(40):
        while "peers: event log unavailable" not in archive.http("/readyz")[1]:
            await asyncio.sleep(0.1)
    assert await answer_to(archive, "CT9") == (2, 3, 1)
    assert await answer_to(archive, "TEST_SCU") is None
    assert asked(archive, "PUT", "peers/CT8", {"host": "192.0.2.8"}, {"If-None-Match": "*"})[0] == 503
    for file in elsewhere.iterdir():
        if file.name != log.name:
            file.rename(log.parent / file.name)
    # One after the other: where there is nothing, the archive begins a new log.
    log.rmdir()
    (elsewhere / log.name).rename(log)
    await asyncio.to_thread(archive.wait_ready, 60.0)
    assert await answer_to(archive, "CT9") is None
    assert await answer_to(archive, "NOBODY") == (1, 1, 3)
    assert asked(archive, "GET", "peers/CT8")[0] == 404
