"""Limits of rates: a fast peer is read more slowly and loses nothing, a fast HTTP caller gets 429. Others notice
neither."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.net import Peer, scu
from gantry.common.net.client import connect
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, wait_for
from tests.support.objects import study
from tests.support.topology import TOPOLOGIES, environment, remove_stores

PEERS = [
    "{ae_title: SLOW, host: 127.0.0.1, may: [store, find, retrieve, echo], max_operations_per_second: 4}",
    "{ae_title: THIN, host: 127.0.0.1, may: [store, find, retrieve, echo], max_bytes_per_second: 400000}",
    "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, retrieve, echo]}",
]
WAITED = "gantry_peer_waits_seconds_total"


@pytest.fixture(params=TOPOLOGIES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningArchive]:
    stores = environment(request.param, tmp_path)
    running = RunningArchive(tmp_path, environment=stores, lab=False)
    (tmp_path / "tokens").write_text("viewer:the-token-of-a-viewer\nrobot:the-token-of-a-robot\n")
    running.write_policy(
        PEERS,
        f"http: {{tokens_file: {tmp_path / 'tokens'}, max_requests_per_second: 2, token_rates: ['viewer=0']}}\n",
    )
    try:
        yield running.start()
    finally:
        running.kill()
        remove_stores(stores)


def asked(archive: RunningArchive, token: str, path: str = "/dicom-web/studies?limit=1") -> tuple[int, str, str]:
    """Status, Retry-After and text."""
    headers = {"Authorization": f"Bearer the-token-of-a-{token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{archive.http_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, "", response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Retry-After", ""), error.read().decode()


@pytest.mark.parametrize("title", ["SLOW", "THIN"])
async def test_a_peer_that_is_too_fast_waits_and_loses_nothing(
    archive: RunningArchive, tmp_path: Path, title: str
) -> None:
    slow = Peer("127.0.0.1", archive.port, "GANTRY", title)
    sender = Modality(slow, study(tmp_path / "files", 30, size=64 if title == "SLOW" else 320))
    await sender.send()
    assert sender.left == []
    await wait_for(archive, 30)
    waited = archive.metric(WAITED)
    assert waited > 1
    other = Peer("127.0.0.1", archive.port, "GANTRY", "TEST_SCU")
    async with connect(other, [(VERIFICATION, BOTH)]) as association:
        for _ in range(100):
            assert await scu.echo(association, timeout=30.0) == 0x0000
    assert archive.metric(WAITED) == waited
    await expect_exactly(archive, sender.files, tmp_path / "got")
    assert archive.stop() == 0


def test_a_caller_with_too_many_requests_is_told_when_to_ask_again(archive: RunningArchive) -> None:
    answers = [asked(archive, "robot") for _ in range(60)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert {answer[0] for answer in answers} <= {200, 204, 429}
    assert len(answers) - len(refused) >= 20
    assert refused
    assert refused[0] == (429, "1", "too many requests: this caller may send 2 a second; ask again in 1 s\n")
    # Neither another caller, nor probes, nor the page.
    assert {asked(archive, "viewer")[0] for _ in range(60)} <= {200, 204}
    assert {archive.http(path)[0] for path in ["/readyz", "/"] * 20} == {200}
    assert archive.stop() == 0
