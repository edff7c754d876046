"""`gantry serve` as newcomers start it and as those who run it for a hospital do."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner, Result
from pynetdicom import AE

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_GET, VERIFICATION
from gantry.services.__main__ import main
from gantry.services.roles import EVERY, Role, dimse_port, http_port
from tests.support import waiting as asking
from tests.support.archive import ROOT, RunningArchive
from tests.support.dcmtk import content
from tests.support.objects import CT, study
from tests.support.pynetdicom_peers import Kept, associated

EXPLICIT = "1.2.840.10008.1.2.1"
BOTH = (EXPLICIT, "1.2.840.10008.1.2")


def study_of(file: DicomFile) -> str:
    return str(pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID)


def serve(*arguments: object) -> Result:
    """`gantry serve` in this process, for what ends before it starts anything."""
    return CliRunner().invoke(main, ["serve", *map(str, arguments)])


def is_admitted(archive: RunningArchive, ae_title: str) -> bool:
    ae = AE(ae_title=ae_title)
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", archive.port, ae_title="GANTRY")
    if not association.is_established:
        return False
    association.release()
    return True


def wait(condition: object, outcome: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, f"not {outcome} after {seconds:g} s"
        time.sleep(0.1)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[RunningArchive]:
    """Not started yet."""
    archive = RunningArchive(tmp_path)
    yield archive
    archive.stop()


# ---- what a newcomer sees


def test_a_newcomer_is_told_where_it_listens_and_that_lab_mode_is_on(archive: RunningArchive) -> None:
    archive.start()
    welcome = archive.log.read_text()
    assert f"AE title GANTRY, port {archive.port}" in welcome
    assert f"http://127.0.0.1:{archive.http_port}/readyz" in welcome
    assert "LAB MODE" in welcome
    assert f"gantry echo  GANTRY@127.0.0.1:{archive.port}" in welcome
    assert is_admitted(archive, "ANYBODY")


def test_health_readiness_and_metrics_are_served(archive: RunningArchive, tmp_path: Path) -> None:
    archive.start()
    asking.store(archive.peer, study(tmp_path / "sent", 3, size=16))
    assert archive.http("/healthz") == (200, "ok\n")
    assert archive.http("/readyz") == (200, "ready\n")
    status, metrics = archive.http("/metrics")
    assert status == 200
    assert "# HELP" in metrics
    assert "# TYPE" in metrics
    assert archive.http("/nothing")[0] == 404


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_exit_code_is_0(
    archive: RunningArchive, tmp_path: Path, number: signal.Signals
) -> None:
    archive.start()
    files = study(tmp_path / "sent", 2, size=16)
    asking.store(archive.peer, files)
    assert archive.process is not None
    archive.process.send_signal(number)
    assert archive.wait_dead() == 0
    log = archive.log.read_text()
    assert "draining" in log
    assert "Traceback" not in log


def test_what_was_stored_is_there_after_a_restart(archive: RunningArchive, tmp_path: Path) -> None:
    archive.start()
    files = study(tmp_path / "sent", 5, size=16)
    asking.store(archive.peer, files)
    assert archive.stop() == 0
    archive.start()
    asking.wait_searchable(archive.peer, study_of(files[0]), 5)


def test_the_demo_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gantry", "demo"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every data set came back byte for byte" in done.stdout


# ---- configuration


def test_list_roles_names_every_role_with_its_ports() -> None:
    done = serve("--list-roles")
    assert done.exit_code == 0
    for role in Role:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(role.value)]
        assert role.purpose in line
        assert str(http_port(frozenset({role}), 8080)) in line


def test_check_config_says_that_all_is_well(archive: RunningArchive) -> None:
    archive.write_policy(["{ae_title: CT1, host: 127.0.0.1, may: [store]}"])
    done = serve("--config", archive.config, "--data", archive.folder / "data", "--check-config")
    assert (done.exit_code, done.stdout.strip()) == (0, "settings and policy are in order")
    assert not (archive.folder / "data").exists()


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("dimse:\n  prot: 104\n", 2, "prot"),
        ("dimse:\n  port: many\n", 2, "port"),
        ("peers:\n  - {ae_title: CT1, host: 127.0.0.1}\n  - {ae_title: CT1, host: 127.0.0.1}\n", 3, "CT1"),
        ("peers:\n  - ae_title: CT1\n    host: 127.0.0.1\n    may: [everything]\n", 4, "may"),
        ("peers: [\n", None, "yaml"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_line(
    archive: RunningArchive, text: str, line: int | None, word: str
) -> None:
    archive.config.write_text(text)
    for arguments in (("--check-config",), ()):
        done = serve("--config", archive.config, "--data", archive.folder / "data", *arguments)
        assert done.exit_code == 1
        assert f"{archive.config}:{line or ''}" in done.stderr
        assert word.lower() in done.stderr.lower()
        assert "Traceback" not in done.stderr


def test_print_config_prints_what_serve_takes_again(archive: RunningArchive) -> None:
    first = serve("--dimse-port", 4242, "--print-config")
    assert first.exit_code == 0
    archive.config.write_text(first.stdout)
    second = serve("--config", archive.config, "--print-config")
    assert second.stdout == first.stdout
    assert "port: 4242" in second.stdout


@pytest.mark.parametrize("taken", ["dimse", "http"])
def test_a_port_that_is_taken_is_said_in_words(archive: RunningArchive, taken: str) -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        sock.listen()
        port = sock.getsockname()[1]
        if taken == "dimse":
            archive.port = port
        else:
            archive.http_port = port
        archive.start(ready=False)
        assert archive.wait_dead() == 1
    log = archive.log.read_text()
    assert f"{taken}: cannot listen on port {port}: address already in use" in log


# ---- who gets in


def test_strangers_are_rejected_without_lab(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path, lab=False)
    archive.write_policy(["{ae_title: KNOWN, host: 127.0.0.1}", "{ae_title: ELSEWHERE, host: 192.0.2.1}"])
    archive.start()
    try:
        assert is_admitted(archive, "KNOWN")
        assert not is_admitted(archive, "STRANGER")
        assert not is_admitted(archive, "ELSEWHERE")
        assert "LAB MODE" not in archive.log.read_text()
    finally:
        archive.stop()


def test_a_changed_policy_is_read_and_a_bad_one_refused_while_running(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path, lab=False)
    archive.write_policy(["{ae_title: FIRST, host: 127.0.0.1}"])
    archive.start()
    try:
        assert not is_admitted(archive, "SECOND")
        archive.write_policy(["{ae_title: FIRST, host: 127.0.0.1}", "{ae_title: SECOND, host: 127.0.0.1}"])
        wait(lambda: is_admitted(archive, "SECOND"), "admitted")
        archive.write_policy(["{ae_title: FIRST, host: 127.0.0.1, may: [rule]}"])
        wait(lambda: "the old one stays" in archive.log.read_text(), "refused")
        (refusal,) = [json.loads(x) for x in archive.log.read_text().splitlines() if "the old one stays" in x]
        assert (refusal["file"], refusal["line"]) == (str(archive.config), 2)
        assert "may" in refusal["reason"]
        assert is_admitted(archive, "SECOND")
        archive.write_policy(["{ae_title: SECOND, host: 127.0.0.1}"])
        wait(lambda: not is_admitted(archive, "FIRST"), "locked out")
    finally:
        archive.stop()


# ---- several processes


def base_port() -> int:
    """A port below those that the system hands out, with five free ones above it."""
    for base in random.sample(range(20_000, 30_000, 10), 100):
        with ExitStack() as stack:
            try:
                for port in range(base, base + 6):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


def test_every_role_works_as_a_process_of_its_own(tmp_path: Path) -> None:
    dimse, http = base_port(), base_port()
    with ExitStack() as stack:
        peers = {}
        for role in EVERY:
            process = RunningArchive(tmp_path, "--role", role.value)
            process.port, process.http_port = dimse, http
            process.log = tmp_path / f"{role}.txt"
            stack.callback(process.stop)
            process.start(ready=False)
            process.http_port = http_port(frozenset({role}), http)
            peers[role] = replace(process.peer, port=dimse_port(frozenset({role}), dimse))
            process.wait_ready()
        files = study(tmp_path / "sent", 4, size=16)
        asking.store(peers[Role.INGEST], files)
        asking.wait_searchable(peers[Role.QUERY], study_of(files[0]), 4)
        receiver = Kept()
        contexts = [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)]
        with associated(peers[Role.RETRIEVE], contexts, kept=receiver, as_scp=[CT]) as association:
            query = identifier("STUDY", [f"StudyInstanceUID={study_of(files[0])}"])
            list(association.send_c_get(query, STUDY_ROOT_GET))
        assert receiver.data == {f.sop_instance_uid: content(f.path) for f in files}
        assert asking.commit(peers[Role.COMMITMENT], files) == (4, 0)
        with pytest.raises(AssertionError, match="no association"):
            with associated(peers[Role.QUERY], [(CT, [EXPLICIT])]):
                pass


def test_two_workers_share_a_port_and_lose_nothing(tmp_path: Path) -> None:
    archive = RunningArchive(tmp_path, "--workers", "2").start()
    try:
        studies = [study(tmp_path / f"sent{n}", 5, size=16, patient=f"W{n}") for n in range(8)]
        for files in studies:
            asking.store(archive.peer, files)
        for files in studies:
            asking.wait_searchable(archive.peer, study_of(files[0]), 5)
        assert asking.commit(archive.peer, [f for files in studies for f in files]) == (40, 0)
        assert archive.process is not None
        archive.process.send_signal(signal.SIGINT)
        assert archive.wait_dead() == 0
        assert "Traceback" not in archive.log.read_text()
    finally:
        archive.stop()


# ---- the indexer beside the rest


def indexer_of(archive: RunningArchive) -> int:
    """The process id of the companion."""
    (pid,) = [pid for pid in archive.workers() if b"--indexer-of" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return pid


needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core there is one process")


@needs_two_cores
def test_the_indexer_has_a_process_of_its_own_and_one_place_tells_of_both(
    archive: RunningArchive, tmp_path: Path
) -> None:
    archive.start()
    files = study(tmp_path / "sent", 5, size=16)
    asking.store(archive.peer, files)
    asking.wait_searchable(archive.peer, study_of(files[0]), 5)
    assert indexer_of(archive)
    assert archive.metric("gantry_objects_received_total") == 5
    assert archive.metric('gantry_instances_indexed_total{outcome="added"}') == 5
    assert archive.metric("gantry_searchable_seconds_count") == 5


@needs_two_cores
def test_readyz_says_that_the_indexer_is_away_until_it_is_back(archive: RunningArchive, tmp_path: Path) -> None:
    archive.start()
    before = indexer_of(archive)
    files = study(tmp_path / "sent", 3, size=16)
    os.kill(before, signal.SIGKILL)
    status, why = archive.http("/readyz")
    assert (status, why.partition(":")[0]) == (503, "indexer process")
    assert archive.http("/metrics")[0] == 200
    asking.store(archive.peer, files)  # acknowledged all the same: the log keeps it for the indexer
    archive.wait_ready()
    asking.wait_searchable(archive.peer, study_of(files[0]), 3)
    assert indexer_of(archive) != before
    assert archive.stop() == 0


@needs_two_cores
def test_the_indexer_ends_with_the_archive_however_that_ends(archive: RunningArchive) -> None:
    for end in (lambda: archive.stop(), lambda: os.kill(archive.process.pid, signal.SIGKILL)):  # type: ignore[union-attr]
        archive.start()
        indexer = Path(f"/proc/{indexer_of(archive)}")
        end()
        wait(lambda indexer=indexer: not indexer.exists(), "ended")  # type: ignore[misc]
