"""C-MOVEs that finish, on the whole archive, in both topologies: whatever dies amid one, the rest arrives later; what
the destination took does not come twice; and a move that was cancelled is over."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE
from gantry.common.dimse import Command, Element
from gantry.common.errors import PeerError
from gantry.common.events import RouteRequested
from gantry.common.net import connect, scu
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import done, send
from tests.crash.test_routing import listed, until_delivered
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import events, uids_of, until
from tests.support.objects import study
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Kept, Scp

pytestmark = pytest.mark.timeout(240)
SETTINGS = (
    "http: {may_delete: [loopback]}\n"
    "retrieve: {suboperation_retries: 0, window: 1}\n"
    "routing: {finish_moves: [READING], silent: 2, retry_first: 1, retry_longest: 2, refused: 2}\n"
)


@dataclass
class Reading:
    """A destination of pynetdicom. `answer` is asked for each object that comes, with how many there were."""

    port: int = field(default_factory=free_port)
    answer: Callable[[int, str], int] = lambda _count, _uid: 0x0000
    taken: list[str] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        self.kept.answer = self._answer

    def _answer(self, uid: str) -> int:
        status = self.answer(self.kept.asked, uid)
        if status in (0x0000, 0xB000):
            self.taken.append(uid)
        return status

    def scp(self) -> Scp:
        return Scp("READING", self.port, kept=self.kept)


def finishing(archive: RunningArchive, port: int, *more: str, settings: str = SETTINGS) -> RunningArchive:
    reading = f"{{ae_title: READING, host: 127.0.0.1, port: {port}, may: [], move_destination: true}}"
    archive.write_policy([reading, *more], settings)
    return archive


async def move(
    archive: RunningArchive, level: str, *keys: str, cancel_after: int = 0, break_after: int = 0, root: str = ""
) -> Command:
    """A C-MOVE to READING: its final response."""
    root = root or STUDY_ROOT_MOVE
    async with connect(archive.peer, [(root, BOTH)]) as association:
        context = scu.need_context(association, root)
        final, pending = None, 0
        async for response, _ in scu.move(
            association, root, encode(identifier(level, keys), context), "READING", timeout=60.0
        ):
            final = response
            pending += 1
            if pending == cancel_after:
                await association.cancel(context.id, response.responds_to)
            if pending == break_after:
                association.abort("the requestor dies")
    assert final is not None
    return final


def uids(files: Sequence[DicomFile]) -> list[str]:
    return sorted(file.sop_instance_uid for file in files)


async def state_of(archive: RunningArchive, state: str) -> dict[str, Any]:
    """The one route, when it is in a state."""
    async with asyncio.timeout(60):
        while True:
            states = await listed(archive, "--all")
            if states and states[0]["state"] == state:
                (entry,) = states
                return entry
            await asyncio.sleep(0.3)


async def test_a_move_goes_on_where_it_was_when_its_process_was_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()

    def slowly(count: int, _uid: str) -> int:
        time.sleep(0.4)
        if count == 6:
            archive.kill()
        return 0x0000

    reading = Reading(answer=slowly)
    finishing(archive, reading.port).start()
    files = study(tmp_path / "files", 9, series=3, patient="P1")
    (uid, _), others = uids_of(files[0]), study(tmp_path / "others", 1, patient="P1")
    await send(archive, files, others)
    with reading.scp():
        with pytest.raises(PeerError):
            await move(archive, "STUDY", f"StudyInstanceUID={uid}")
        first = list(reading.taken)
        reading.answer = lambda _count, _uid: 0x0000
        state = await state_of(archive, "under way")
        assert (state["requestor"], state["asked"], state["destination"]) == ("TEST_SCU", 9, "READING")
        assert 3 <= state["left"] <= 8
        archive.start()
        (state,) = await until_delivered(archive, 1)
        assert (state["completed"], state["left"], state["why"]) == (9, 0, "")
        assert sorted(set(reading.taken)) == uids(files)
        # What had been said to be taken came once: said every fifth of `silent`, each took longer.
        assert all(reading.taken.count(uid) == 1 for uid in first[:3])
        assert len(reading.taken) <= 9 + 3
        assert {title for title, _ in reading.kept.originators} == {"TEST_SCU"}
        assert archive.metric("gantry_moves_left_total") == 1
        async with asyncio.timeout(60):  # who got what is told beside the work
            while (
                "over finished C-MOVE for TEST_SCU"
                not in (await asyncio.to_thread(gantry, archive, "where", uid)).stdout
            ):
                await asyncio.sleep(0.2)
        assert archive.stop() == 0


@pytest.mark.parametrize("failpoint", ["after-publish=kill@1", "before-publish=kill@1"])
async def test_a_move_that_dies_before_it_begins_or_before_it_says_that_it_ended_is_whole(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    reading = Reading()
    archive = finishing(make_archive(), reading.port).start()
    files = study(tmp_path / "files", 3, patient="P1")
    await send(archive, files)
    uid, series = uids_of(files[0])
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    assert archive.stop() == 0
    archive.start(failpoints=failpoint)
    with reading.scp():
        with pytest.raises(PeerError):
            await move(archive, "SERIES", f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}")
        assert len(reading.taken) == (0 if failpoint.startswith("after") else 3)
        archive.kill()
        archive.start()
        await until_delivered(archive, 1)
        assert sorted(set(reading.taken)) == uids(files)
        # It has ended: the next process has nothing to do.
        archive.kill()
        archive.start()
        before = len(reading.taken)
        await asyncio.sleep(4)
        assert len(reading.taken) == before
        assert await listed(archive) == []
        assert archive.stop() == 0


async def test_a_destination_that_dies_amid_a_move_gets_the_rest_when_it_is_back(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    reading = Reading()
    archive = finishing(make_archive(), reading.port).start()
    files = study(tmp_path / "files", 8, series=2, patient="P1")
    await send(archive, files)
    with reading.scp() as scp:

        def dies(count: int, _uid: str) -> int:
            if count == 4:
                for association in scp.ae.active_associations:
                    association.abort()
            return 0x0000 if count < 4 else 0xA900

        reading.answer = dies
        final = await move(archive, "STUDY", f"StudyInstanceUID={uids_of(files[0])[0]}")
        # PS3.4 C.4.2.1.5: the move itself is answered as any.
        assert (final.status, final.number(Element.COMPLETED_SUB_OPERATIONS)) == (0xB000, 3)
        assert final.number(Element.FAILED_SUB_OPERATIONS) == 5
    waits = await state_of(archive, "waits")
    assert (waits["left"], waits["asked"], "READING" in waits["why"]) == (5, 8, True)
    archive.kill()
    archive.start()
    reading.answer = lambda _count, _uid: 0x0000
    with reading.scp():
        (state,) = await until_delivered(archive, 1)
        assert (state["completed"], state["left"]) == (8, 0)
    assert sorted(reading.taken) == uids(files)
    assert archive.stop() == 0


async def test_what_a_destination_refuses_alone_is_sent_again_and_by_a_person_too(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    files = study(tmp_path / "files", 4, patient="P1")
    refused = {files[1].sop_instance_uid, files[2].sop_instance_uid}
    reading = Reading(answer=lambda _count, uid: 0xC000 if uid in refused else 0x0000)
    archive = finishing(make_archive(), reading.port).start()
    await send(archive, files)
    with reading.scp():
        final = await move(archive, "PATIENT", "PatientID=P1", root=PATIENT_ROOT_MOVE)
        assert (final.status, final.number(Element.FAILED_SUB_OPERATIONS)) == (0xB000, 2)
        refused.pop()
        state = await state_of(archive, "failed")
        assert (state["completed"], state["failed"], state["left"], state["attempts"]) == (3, 1, 1, 1)
        refused.clear()
        result = await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")
        assert result.returncode == 0, result.stderr
        async with asyncio.timeout(60):
            while (await listed(archive, "--all"))[-1]["state"] != "delivered":
                await asyncio.sleep(0.3)
    assert sorted(reading.taken) == uids(files)
    assert archive.stop() == 0


async def test_a_move_that_is_cancelled_is_over_and_one_whose_requestor_is_lost_is_not(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    def slowly(_count: int, _uid: str) -> int:
        time.sleep(0.7)
        return 0x0000

    reading = Reading(answer=slowly)
    archive = finishing(make_archive(), reading.port).start()
    first, other = study(tmp_path / "one", 5, patient="P1"), study(tmp_path / "other", 5, patient="P2")
    await send(archive, first, other)
    with reading.scp():
        final = await move(archive, "STUDY", f"StudyInstanceUID={uids_of(first[0])[0]}", cancel_after=1)
        assert final.status == 0xFE00
        (state,) = await listed(archive, "--all")
        assert (state["state"], state["why"], state["by"]) == ("cancelled", "C-CANCEL", "TEST_SCU")
        assert state["completed"] + state["left"] == 5
        cancelled = set(reading.taken)
        archive.kill()
        archive.start()
        with pytest.raises(PeerError):
            await move(archive, "STUDY", f"StudyInstanceUID={uids_of(other[0])[0]}", break_after=1)
        await until(lambda: set(uids(other)) <= set(reading.taken))
        async with asyncio.timeout(60):
            while [state["state"] for state in await listed(archive, "--all")] != ["cancelled", "delivered"]:
                await asyncio.sleep(0.3)
        assert set(reading.taken) - set(uids(other)) == cancelled
        repeated = [uid for uid in reading.taken if reading.taken.count(uid) > 1]
        assert repeated == [], (uids(first), uids(other), reading.taken)
        assert archive.stop() == 0


@embedded
async def test_what_is_deleted_or_not_to_be_seen_any_more_is_not_delivered(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port = free_port()
    archive = make_archive()
    peer = "{ae_title: TEST_SCU, host: 127.0.0.1, port: 1, may: [%s], sees: [{patient: [%s]}]}"
    loader = "{ae_title: LOADER, host: 127.0.0.1, port: 1, may: [store]}"
    finishing(archive, port, peer % ("retrieve, store, find", "P1, P2"), loader).start()
    rest, gone = study(tmp_path / "kept", 2, patient="P1"), study(tmp_path / "gone", 2, patient="P2")
    hidden = study(tmp_path / "hidden", 2, patient="P1")
    await send(archive, rest, gone, hidden)
    for files in (rest, gone, hidden):
        final = await move(archive, "STUDY", f"StudyInstanceUID={uids_of(files[0])[0]}")
        assert final.status == 0xA702
    done(archive, "delete", uids_of(gone[0])[0], "--reason", "x")
    done(archive, "correct", uids_of(hidden[0])[0], "--set", "PatientID=P3", "--reason", "x")
    reading = Reading(port=port)
    with reading.scp():
        async with asyncio.timeout(60):
            while await listed(archive):
                await asyncio.sleep(0.3)
        states = {state["study"]: state["state"] for state in await listed(archive, "--all")}
        assert states == {
            uids_of(rest[0])[0]: "delivered",
            uids_of(gone[0])[0]: "cancelled",
            uids_of(hidden[0])[0]: "cancelled",
        }
    assert sorted(reading.taken) == uids(rest)
    # Nor what its requestor may not retrieve at all.
    assert (await move(archive, "STUDY", f"StudyInstanceUID={uids_of(rest[0])[0]}")).status == 0xA702
    finishing(archive, port, peer % ("store, find", "P1, P2"), loader)
    await until(lambda: archive.metric("gantry_config_reloads_total") > 0)
    with reading.scp():
        async with asyncio.timeout(60):
            while await listed(archive):
                await asyncio.sleep(0.3)
    assert sorted(reading.taken) == uids(rest)
    assert archive.stop() == 0


@embedded
async def test_a_move_to_a_destination_for_which_nobody_asked_leaves_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = finishing(make_archive(), free_port(), settings=SETTINGS.replace("[READING]", "[OTHER]")).start()
    files = study(tmp_path / "files", 2, patient="P1")
    await send(archive, files)
    assert (await move(archive, "STUDY", f"StudyInstanceUID={uids_of(files[0])[0]}")).status == 0xA702
    assert [event for event in await events(archive, "routes") if isinstance(event, RouteRequested)] == []
    assert archive.stop() == 0


@embedded
async def test_of_several_processes_another_one_takes_over_what_a_dead_one_left(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    def slowly(_count: int, _uid: str) -> int:
        time.sleep(0.4)
        return 0x0000

    reading = Reading(answer=slowly)
    archive = finishing(make_archive("--workers", "2"), reading.port).start()
    files = study(tmp_path / "files", 8, patient="P1")
    await send(archive, files)
    with reading.scp():
        moving = asyncio.create_task(move(archive, "STUDY", f"StudyInstanceUID={uids_of(files[0])[0]}"))
        await until(lambda: len(reading.taken) >= 2)
        # Whichever of them has the association.
        for worker in archive.workers():
            os.kill(worker, signal.SIGKILL)
            await asyncio.wait([moving], timeout=1.0)
            if moving.done():
                break
        with pytest.raises(PeerError):
            await moving
        (state,) = await until_delivered(archive, 1)
        assert (state["completed"], state["left"]) == (8, 0)
    assert sorted(set(reading.taken)) == uids(files)
    assert archive.stop() == 0
