"""A commitment request that was answered is reported on at least once, whenever the archive is killed.

A kill between a report's delivery and its event leads to the same report again: the transaction UID tells that.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from gantry.cli.commit import action_information

ROOT = Path(__file__).parents[2]


class Modality:
    """A pynetdicom AE: asks on its own association, and takes reports on the archive's."""

    def __init__(self) -> None:
        self.reports: queue.Queue[str] = queue.Queue()
        ae = AE("MODALITY")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put(event.event_information.TransactionUID)
        return 0x0000, None

    def ask(self, archive_port: int, transaction: str) -> int | None:
        """The status of the answer; None where none came."""
        ae = AE("MODALITY")
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate("127.0.0.1", archive_port, ae_title="GANTRY")
        information = action_information(transaction, [("1.2", "1.3")])
        status, _ = association.send_n_action(
            information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
        return int(status.Status) if "Status" in status else None

    def wait_for(self, transaction: str) -> None:
        """Return when a report on this transaction has come; fails after 60 seconds without any."""
        while self.reports.get(timeout=60) != transaction:
            pass

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture
def modality() -> Iterator[Modality]:
    modality = Modality()
    yield modality
    modality.stop()


@contextmanager
def archive(data: Path, report_to: int, failpoints: str = "", keep_after: int = 1000) -> Iterator[int]:
    """A running archive's port; it is killed at the end, if it lives."""
    command = [sys.executable, "-m", "tests.crash.commitment_child", str(data), str(report_to), str(keep_after)]
    environment = {**os.environ, "GANTRY_FAILPOINTS": failpoints}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
    assert child.stdout is not None
    try:
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


def test_answered_request_is_reported_after_a_kill(tmp_path: Path, modality: Modality) -> None:
    with archive(tmp_path, report_to=0) as port:
        assert modality.ask(port, "1.9.1") == 0x0000
    with archive(tmp_path, modality.port) as port:
        modality.wait_for("1.9.1")
        assert modality.ask(port, "1.9.2") == 0x0000
        modality.wait_for("1.9.2")
    with archive(tmp_path, modality.port) as port:
        assert modality.ask(port, "1.9.1") == 0x0131
        assert modality.ask(port, "1.9.3") == 0x0000
        modality.wait_for("1.9.3")


def test_request_that_died_before_its_event_may_be_sent_again(tmp_path: Path, modality: Modality) -> None:
    with archive(tmp_path, modality.port, "before-publish=kill") as port:
        assert modality.ask(port, "1.9.1") is None
    with archive(tmp_path, modality.port) as port:
        assert modality.ask(port, "1.9.1") == 0x0000
        modality.wait_for("1.9.1")


def test_request_that_died_before_its_answer_is_reported_all_the_same(tmp_path: Path, modality: Modality) -> None:
    with archive(tmp_path, modality.port, "before-answer=kill") as port:
        assert modality.ask(port, "1.9.1") is None
    with archive(tmp_path, modality.port):
        modality.wait_for("1.9.1")


def test_request_that_is_carried_forward_is_reported_whenever_it_dies(tmp_path: Path, modality: Modality) -> None:
    """It is on the log twice then, or the older one is committed and the newer one not yet heard of."""
    answered: list[str] = []
    for time in (1, 2, 3):
        with archive(tmp_path, 0, f"before-commit=kill@{time}", keep_after=2) as port:
            for number in range(40):
                uid = f"1.9.{time}.{number}"
                try:
                    status = modality.ask(port, uid)
                except (RuntimeError, ValueError):  # what pynetdicom says where there is nobody any more
                    status = None
                if status is None:
                    break
                assert status == 0x0000
                answered.append(uid)
            else:
                pytest.fail("it did not die")
    with archive(tmp_path, modality.port, keep_after=2) as port:
        assert modality.ask(port, answered[0]) == 0x0131
        left = set(answered)
        while left:
            left.discard(modality.reports.get(timeout=60))
