"""Subscribers of workitems get N-EVENT-REPORTs (PS3.4 CC.2.4), in both topologies: in order, once they are there,
whatever is killed."""

from __future__ import annotations

import asyncio

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_routing import listed
from tests.support.archive import RunningArchive
from tests.support.asking import until
from tests.support.ports import free_port
from tests.support.worker import SUSPEND, UNSUBSCRIBE, Board, Worker, code, performed, set_, step
from tests.support.workitem_channel import channel, pages_until
from tests.support.workitems import WorkitemsClient

pytestmark = pytest.mark.timeout(240)
EVERY, SOME = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
SETTINGS = (
    "http: {may_order: [loopback]}\n"
    "routing: {workitems: true, retry_first: 1, retry_longest: 2, refused: 2, give_up: 3600}\n"
)


def watched(archive: RunningArchive, port: int) -> RunningArchive:
    peers = [
        "{ae_title: WORKER, host: 127.0.0.1, may: [ups]}",
        f"{{ae_title: BOARD, host: 127.0.0.1, port: {port}, may: [ups]}}",
        f"{{ae_title: OTHER, host: 127.0.0.1, port: {port}, may: [store]}}",
    ]
    archive.write_policy(peers, SETTINGS)
    return archive.start()


def perform(archive: RunningArchive, uid: str, mine: str) -> None:
    with Worker(archive.port) as worker:
        assert worker.change_state(uid, "IN PROGRESS", mine) == 0
        assert worker.set(uid, performed(mine)).Status == 0
        assert worker.change_state(uid, "COMPLETED", mine) == 0
        assert worker.change_state(uid, "COMPLETED", mine) == 0xB306


async def test_a_subscriber_is_told_each_event_with_its_information(make_archive: MakeArchive) -> None:
    uid, other, mine = generate_uid(), generate_uid(), generate_uid()
    later = generate_uid()
    with Board() as board:
        archive = watched(make_archive(), board.port)

        def work() -> None:
            with Worker(archive.port) as worker:
                assert worker.create(uid, step()).Status == 0
                assert worker.watch(uid) == 0
                assert worker.watch(uid, title="OTHER") == 0xC308, "it may not be told"
                assert worker.watch(uid, title="NOBODY") == 0xC308
                assert worker.watch("1.2.404") == 0xC307
                assert worker.watch(uid, SUSPEND) == 0xC314
                assert worker.watch(SOME) == 0x0115, "a filter is needed"
                assert worker.watch(SOME, WorklistLabel="BRAIN", DeletionLock="TRUE") == 0
                assert worker.create(other, step(WorklistLabel="BRAIN")).Status == 0
                assert worker.change_state(uid, "IN PROGRESS", mine) == 0
                progress = Dataset()
                progress.ProcedureStepProgress = "50"
                progress.ProcedureStepProgressDescription = "Hälfte"
                dataset = set_(mine, ProcedureStepProgressInformationSequence=Items([progress]))
                dataset.SpecificCharacterSet = "ISO_IR 100"
                dataset.ScheduledStationNameCodeSequence = Items([code("W1")])
                assert worker.set(uid, dataset).Status == 0
                assert worker.request_cancel(uid, "too late") == 0

        def leave() -> None:
            with Worker(archive.port) as worker:
                assert worker.watch(uid, UNSUBSCRIBE) == 0
                assert worker.change_state(uid, "COMPLETED", mine) == 0xC304
                assert worker.set(uid, performed(mine)).Status == 0
                assert worker.change_state(uid, "COMPLETED", mine) == 0
                assert worker.create(later, step(WorklistLabel="BRAIN")).Status == 0

        await asyncio.to_thread(work)
        await until(lambda: len(board.told) == 6)
        await asyncio.to_thread(leave)
        await until(lambda: len(board.told) == 7)
        mine_told = [(number, report) for workitem, number, report in board.told if workitem == uid]
        assert [number for number, _ in mine_told] == [1, 1, 3, 5, 2]
        assert [str(report.ProcedureStepState) for number, report in mine_told if number == 1] == [
            "SCHEDULED",
            "IN PROGRESS",
        ]
        assert mine_told[0][1].InputReadinessState == "READY"
        progress = mine_told[2][1].ProcedureStepProgressInformationSequence[0]
        assert (progress.ProcedureStepProgress, progress.ProcedureStepProgressDescription) == (50, "Hälfte")
        assert mine_told[3][1].ScheduledStationNameCodeSequence[0].CodeValue == "W1"
        assert (mine_told[4][1].ReasonForCancellation, mine_told[4][1].RequestingAE) == ("too late", "WORKER")
        assert [state for state in board.states if state[0] != uid] == [(other, "SCHEDULED"), (later, "SCHEDULED")]
        states = await listed(archive, "--all")
        assert {(state["state"], state["kind"], state["study"]) for state in states} == {
            ("delivered", "workitem event", None)
        }
        assert archive.stop() == 0


@embedded
async def test_a_subscriber_that_was_away_is_told_everything_in_order_whatever_is_killed(
    make_archive: MakeArchive,
) -> None:
    port, uids, mine = free_port(), [generate_uid() for _ in range(3)], generate_uid()
    archive = watched(make_archive(), port)

    def begin() -> None:
        with Worker(archive.port) as worker:
            assert worker.watch(EVERY) == 0
            for uid in uids:
                assert worker.create(uid, step()).Status == 0

    await asyncio.to_thread(begin)
    await asyncio.to_thread(perform, archive, uids[0], mine)
    async with asyncio.timeout(30):
        while len(await listed(archive)) < 5:
            await asyncio.sleep(0.2)
    await asyncio.sleep(1)  # and has noted how far it is
    archive.kill()
    archive.start(failpoints="after-publish=kill")
    # What is read from now on kills it when it has published, and before it has noted how far it is.
    WorkitemsClient(archive.http_port).ask("POST", f"/{uids[1]}/cancelrequest")
    archive.wait_dead()
    archive.start()
    await asyncio.to_thread(perform, archive, uids[2], mine)
    with Board(port=port) as board:
        await until(lambda: len(set(board.states)) == 8)
        for uid, wanted in zip(uids, (3, 2, 3), strict=True):
            states = list(dict.fromkeys(state for workitem, state in board.states if workitem == uid))
            assert states == [["SCHEDULED", "IN PROGRESS", "COMPLETED"], ["SCHEDULED", "CANCELED"]][wanted == 2]
    assert archive.stop() == 0


async def test_a_reader_of_the_channel_goes_on_with_its_cursor_whatever_is_killed(make_archive: MakeArchive) -> None:
    with Board() as board:
        archive = watched(make_archive(), board.port)
        client = WorkitemsClient(archive.http_port)
        assert client.ask("POST", f"/{EVERY}/subscribers/SCREEN")[0] == 201
        async with channel(archive.http_port, "SCREEN", "?since=now") as opened:
            client.create("1.2.1")
            notices, cursor = await pages_until(opened, 1)
            assert notices == [("1.2.1", 1, "SCHEDULED")]
        client.create("1.2.2")
        archive.kill()
        archive.start()
        client.create("1.2.3")
        missed = [("1.2.2", 1, "SCHEDULED"), ("1.2.3", 1, "SCHEDULED")]
        for _ in range(2):  # nothing is used up: the cursor is the reader's
            async with channel(archive.http_port, "SCREEN", f"?since={cursor}") as opened:
                assert sorted((await pages_until(opened, 2))[0]) == missed
        assert board.told == [], "it did not subscribe"
        assert archive.stop() == 0
