"""Storage commitment of what was sent on, and what it guards, on the whole archive, in both topologies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import send
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.objects import study
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "completion: {quiet: 0.5}\n"
    "retrieve: {suboperation_retries: 0}\n"
    "lifecycle: {retention: [{name: deep first, keep: 1d, then: delete, committed_by: [DEEP]}]}\n"
    "routing: {rules: [{name: deep, to: [DEEP], commit: true}], retry_first: 1, retry_longest: 2, refused: 3,"
    " commit_wait: %g, commit_within: %g}\n"
)


@dataclass
class Deep:
    """A deeper archive, a foreign one: what it got, and what it was asked."""

    archive_port: int = 0
    stored: list[str] = field(default_factory=list)
    asked: list[Dataset] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    """Instances that it says it does not have, each until it came once more."""
    never: set[str] = field(default_factory=set)
    """Instances that it says it does not have, whatever comes."""
    answers: bool = True
    calling: str = "DEEP"
    proposes_role: bool = True
    statuses: list[int] = field(default_factory=list)

    def store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in self.stored:
            self.lost.discard(uid)
        self.stored.append(uid)
        return 0x0000

    def action(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.answers:
            threading.Thread(target=self.report, args=(event.action_information,), daemon=True).start()
        return 0x0000, None

    def report(self, request: Dataset, transaction: str = "") -> int:
        """Call the archive back; the status of its answer, -1 where it did not take the association."""
        missing = self.lost | self.never
        failed = [item for item in request.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in missing]
        good = [item for item in request.ReferencedSOPSequence if item.ReferencedSOPInstanceUID not in missing]
        result = Dataset()
        result.TransactionUID = transaction or request.TransactionUID
        if good:
            result.ReferencedSOPSequence = good
        if failed:
            for item in failed:
                item.FailureReason = 0x0112
            result.FailedSOPSequence = failed
        ae = AE(self.calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        roles = [build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)] if self.proposes_role else []
        association = ae.associate("127.0.0.1", self.archive_port, ae_title="GANTRY", ext_neg=roles)
        if not association.is_established:
            self.statuses.append(-1)
            return -1
        status, _ = association.send_n_event_report(
            result, 2 if failed else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
        self.statuses.append(int(status.Status) if "Status" in status else -2)
        return self.statuses[-1]


@contextmanager
def deep_archive(port: int = 0) -> Iterator[tuple[Deep, Scp]]:
    deep = Deep()
    handlers = [(evt.EVT_C_STORE, deep.store), (evt.EVT_N_ACTION, deep.action)]
    with Scp("DEEP", handlers=handlers, port=port) as scp:
        yield deep, scp


def committing(
    archive: RunningArchive, port: int, wait: float = 0.2, within: float = 2.0, *more: str
) -> RunningArchive:
    entry = f"{{ae_title: DEEP, host: 127.0.0.1, port: {port}, may: [commit], move_destination: true}}"
    archive.write_policy([entry, *more], SETTINGS % (wait, within))
    return archive


async def until_committed(archive: RunningArchive, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(90):
        while True:
            states = [state for state in await listed(archive, "--all") if state["kind"] == "commitment"]
            if [state["state"] for state in states] == ["delivered"] * count:
                return states
            await asyncio.sleep(0.3)


async def test_what_was_sent_on_may_go_when_the_deeper_archive_has_called_back_and_committed_all_of_it(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with deep_archive() as (deep, scp):
        deep.answers = False
        archive = committing(make_archive(), scp.port, within=3600).start()
        deep.archive_port = archive.port
        files = study(tmp_path / "files", 3, patient="P1")
        uid, _ = uids_of(files[0])
        await send(archive, files)
        async with asyncio.timeout(60):
            while not deep.asked or not any("has not reported" in state["why"] for state in await listed(archive)):
                await asyncio.sleep(0.2)
        refused = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "old")
        assert refused.returncode == 1
        assert "DEEP has not committed 3 of 3 objects" in refused.stderr, refused
        archive.kill()
        archive.start()
        missing = files[1].sop_instance_uid
        deep.lost = {missing}
        assert await asyncio.to_thread(deep.report, deep.asked[0]) == 0x0000
        deep.answers = True
        states = await until_committed(archive)
        assert (states[0]["completed"], states[0]["failed"]) == (1, 0)
        # What it did not have came once more, and nothing else.
        assert sorted(deep.stored) == sorted([*(file.sop_instance_uid for file in files), missing])
        assert [len(request.ReferencedSOPSequence) for request in deep.asked] == [3, 1]
        where = await asyncio.to_thread(gantry, archive, "where", uid)
        assert "1 instance by DEEP, which reported at" in where.stdout, where.stdout
        deleted = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "old")
        assert deleted.returncode == 0, deleted.stderr
        assert archive.stop() == 0


async def asked(deep: Deep, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(deep.asked) < count:
            await asyncio.sleep(0.1)


@embedded
async def test_reports_of_bad_archives_change_nothing_and_one_that_comes_twice_counts_once(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with deep_archive() as (deep, scp):
        deep.answers = False
        other = "{ae_title: OTHER, host: 127.0.0.1, port: 11113, may: [commit]}"
        elsewhere = "{ae_title: AWAY, host: 192.0.2.9, port: 11113, may: [commit]}"
        archive = committing(make_archive(), scp.port, 0.2, 3600.0, other, elsewhere).start()
        deep.archive_port = archive.port
        files = study(tmp_path / "files", 2, patient="P1")
        uid, _ = uids_of(files[0])
        await send(archive, files)
        await asked(deep)
        request = deep.asked[0]

        def report(calling: str = "DEEP", transaction: str = "") -> int:
            deep.calling = calling
            return deep.report(request, transaction)

        assert await asyncio.to_thread(report, transaction="2.25.12345") == 0x0115  # never asked
        assert await asyncio.to_thread(report, "OTHER") == 0x0115  # somebody else was asked
        assert await asyncio.to_thread(report, "AWAY") == -1  # known, but from another address
        refused = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "old")
        assert "DEEP has not committed 2 of 2 objects" in refused.stderr, refused
        deep.proposes_role = False  # some never do
        assert await asyncio.to_thread(report) == 0x0000
        assert await asyncio.to_thread(report) == 0x0000
        await until_committed(archive)
        assert archive.metric("gantry_instances_committed_elsewhere_total") == 2
        assert archive.stop() == 0


@embedded
async def test_an_archive_that_never_reports_is_asked_again_and_one_that_never_has_it_fails_in_words(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with deep_archive() as (deep, scp):
        deep.answers = False
        archive = committing(make_archive(), scp.port, 0.1, 1.0).start()
        deep.archive_port = archive.port
        files = study(tmp_path / "files", 2, patient="P1")
        await send(archive, files)
        await asked(deep, 2)
        assert len({str(request.TransactionUID) for request in deep.asked}) == len(deep.asked)
        assert len(deep.stored) == 2  # nothing was sent again: nobody said that it is not there
        deep.never = {files[0].sop_instance_uid}
        deep.answers = True
        async with asyncio.timeout(60):
            while not (failed := await listed(archive, "--failed")):
                await asyncio.sleep(0.3)
        assert (failed[0]["kind"], failed[0]["completed"], failed[0]["failed"]) == ("commitment", 0, 1)
        assert "did not commit 1 of 1 instances: 0112H no such object instance" in failed[0]["why"]
        assert deep.stored.count(files[0].sop_instance_uid) == 3  # first, and before each of two more tries
        deep.never = set()
        result = await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")
        assert result.returncode == 0, result.stderr
        async with asyncio.timeout(60):
            while [state["state"] for state in await listed(archive, "--all") if state["by"]] != ["delivered"]:
                await asyncio.sleep(0.3)
        assert archive.stop() == 0


@embedded
async def test_what_was_never_sent_is_asked_for_by_hand_and_sent_when_it_is_not_there(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with deep_archive() as (deep, scp):
        archive = make_archive()
        committing(archive, scp.port)
        text = archive.config.read_text()
        archive.config.write_text(text.replace("{name: deep, to:", "{name: deep, sources: [NOBODY], to:"))
        archive.start()
        deep.archive_port = archive.port
        files = study(tmp_path / "files", 2, patient="P1")
        uid, _ = uids_of(files[0])
        await send(archive, files)
        deep.lost = {file.sop_instance_uid for file in files}
        deep.stored = sorted(deep.lost)  # so that what comes is there
        unknown = await asyncio.to_thread(gantry, archive, "routes", "commit", "1.2.3", "--to", "DEEP")
        assert "no such study" in unknown.stderr, unknown
        result = await asyncio.to_thread(gantry, archive, "routes", "commit", "--where", "PatientID=P1", "--to", "DEEP")
        assert "requested: 1" in result.stdout, result
        (route,) = await until_committed(archive)
        assert (route["completed"], route["asked"], route["rule"]) == (2, 2, "by hand")
        assert len(deep.stored) == 4
        deleted = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "old")
        assert deleted.returncode == 0, deleted.stderr
        assert archive.stop() == 0


@embedded
@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param("before-publish=kill@1", id="sent"),
        pytest.param("before-publish=kill@2", id="about to ask"),
        pytest.param("before-publish=kill@3", id="reported, nothing said"),
        pytest.param("after-publish=kill@1", id="reported, not answered for"),
        pytest.param("before-answer=kill@1", id="reported, the peer does not know"),
    ],
)
async def test_whatever_is_killed_the_study_is_committed_in_the_end(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    port = free_port()
    archive = committing(make_archive(), port, 0.2, 2.0).start()
    files = study(tmp_path / "files", 2, patient="P1")
    uid, _ = uids_of(files[0])
    await send(archive, files)
    async with asyncio.timeout(60):
        while not await listed(archive):
            await asyncio.sleep(0.2)
    archive.kill()
    with deep_archive(port) as (deep, _):
        deep.archive_port = archive.port
        archive.start(failpoints=failpoint, ready=False)
        await asyncio.to_thread(archive.wait_dead, 40)
        archive.start()
        await until_committed(archive)
        deleted = await asyncio.to_thread(gantry, archive, "delete", uid, "--reason", "old")
        assert deleted.returncode == 0, deleted.stderr
        assert archive.stop() == 0
