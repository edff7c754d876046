"""`gantry canary`: an image passes all steps, and a failure is printed, counted, and sets the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.archive import IMPORTS, RunningArchive
from tests.support.dicomweb import ask
from tests.support.ports import free_port

MAY = "may: [store, find, retrieve, commit, echo]"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("archive"), lab=False)
    peer = f"{{ae_title: CANARY, host: 127.0.0.1, port: {port}, {MAY}, move_destination: true}}"
    running.write_policy(
        [peer], "http: {may_delete: [loopback]}\nretrieve: {suboperation_retries: 1, retry_delay: 0.1}\n"
    )
    try:
        yield running.start()
    finally:
        running.stop()


def command(archive: RunningArchive, *arguments: object) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "gantry", "canary", archive.address, *arguments]
    return [str(word) for word in words], {**os.environ, "PYTHONPATH": IMPORTS}


def run(archive: RunningArchive, *arguments: object) -> subprocess.CompletedProcess[str]:
    words, environment = command(archive, *arguments)
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_image_goes_the_whole_way_and_is_gone_afterwards(archive: RunningArchive, port: int) -> None:
    web = f"http://127.0.0.1:{archive.http_port}/dicom-web"
    done = run(archive, "--aet", "CANARY", "--move-port", port, "--move-host", "127.0.0.1", "--web", web, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert list(report["seconds"]) == ["store", "find", "get", "move", "commit", "delete"]
    assert report["failed"] == {}
    assert ask(archive, "/dicom-web/studies?PatientID=GANTRY-CANARY")[1] in (b"", b"[]")


def test_several_rounds_of_a_day_are_one_study(archive: RunningArchive) -> None:
    done = run(archive, "--aet", "CANARY", "--every", 1, "--rounds", 2, "--without", "commit", "--name", "ward")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2
    status, body, _ = ask(archive, "/dicom-web/studies?PatientID=GANTRY-CANARY")
    [study] = json.loads(body)
    assert (status, study["00201208"]["Value"]) == (200, [2])


def test_a_step_that_fails_is_named_and_ends_the_round(archive: RunningArchive) -> None:
    refused = run(archive, "--aet", "STRANGER", "--json")
    assert refused.returncode == 1
    report = json.loads(refused.stdout)
    assert (list(report["failed"]), report["seconds"]) == (["store"], {})
    assert "rejected" in report["failed"]["store"]
    # The archive sends where the policy says, and nobody is there.
    unheard = run(archive, "--aet", "CANARY", "--move-port", free_port(), "--move-host", "127.0.0.1", "--json")
    assert unheard.returncode == 1
    report = json.loads(unheard.stdout)
    assert (list(report["failed"]), list(report["seconds"])) == (["move"], ["store", "find", "get"])
    assert "Traceback" not in unheard.stderr + refused.stderr


def test_what_it_sees_is_shown_to_prometheus_while_it_goes_on(archive: RunningArchive) -> None:
    metrics = free_port()
    words, environment = command(
        archive, "--aet", "CANARY", "--every", 1, "--metrics-port", metrics, "--without", "commit"
    )
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while 'gantry_canary_rounds_total{outcome="ok"} 0.0' in (text := scraped(metrics)) or not text:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(20)
    assert 'gantry_canary_failures_total{step="find"} 0.0' in text
    assert 'gantry_canary_seconds_count{step="get"}' in text
    assert "gantry_canary_last_success_timestamp_seconds" in text


def scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            return str(response.read().decode())
    except OSError:
        return ""
