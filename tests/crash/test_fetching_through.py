"""Studies that are fetched on retrieval: once for all requesters, never partly as if complete, and continued after a
crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from gantry.common.dimse import Element
from tests.crash.conftest import MakeArchive
from tests.crash.test_prefetch import Old, prior
from tests.e2e.test_fetching_through import moved, status_of
from tests.support.archive import RunningArchive
from tests.support.pynetdicom_peers import Scp

pytestmark = pytest.mark.timeout(240)


@dataclass
class Slow(Old):
    """An archive that says it has `more` than it sends, and waits before each object."""

    more: int = 0
    wait: float = 0.0
    away: bool = False

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if self.away:
            event.assoc.abort()
            return
        for status, answer in super().find(event):
            if answer is not None:
                answer.NumberOfStudyRelatedInstances += self.more
            yield status, answer

    def move(self, event: evt.Event) -> Iterator[Any]:
        for answer in super().move(event):
            if isinstance(answer, tuple) and answer[0] == 0xFF00:
                time.sleep(self.wait)
            yield answer


@contextmanager
def slow(**values: Any) -> Iterator[tuple[Slow, Scp]]:
    old = Slow(**values)
    handlers = [(evt.EVT_C_FIND, old.find), (evt.EVT_C_MOVE, old.move)]
    models = [StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove]
    with Scp("OLD", handlers=handlers, contexts=models) as scp:
        yield old, scp


def started(archive: RunningArchive, old: Slow, port: int, reader: int = 104, wait: float = 20) -> RunningArchive:
    archive.write_policy(
        [
            f"{{ae_title: OLD, host: 127.0.0.1, port: {port}, may: [store]}}",
            f"{{ae_title: READER, host: 127.0.0.1, port: {reader}, may: [retrieve], federated: true, "
            "move_destination: true}",
        ],
        f"federation: {{fetch: true, fetch_wait: {wait}, archives: [{{ae_title: OLD, deadline: 5}}]}}\n",
    )
    archive.start()
    old.archive_port = archive.port
    return archive


def uid_of(files: list[Any]) -> str:
    return str(dcmread(files[0].path).StudyInstanceUID)


async def test_ten_readers_at_once_have_a_study_fetched_once(make_archive: MakeArchive, tmp_path: Path) -> None:
    with slow(files=prior(tmp_path, 2022, instances=4), wait=0.3) as (old, scp):
        archive = started(make_archive(), old, scp.port)
        uid = uid_of(old.files)
        asks = [asyncio.to_thread(status_of, archive, uid, "?federated=true") for _ in range(10)]
        assert await asyncio.gather(*asks) == [(200, 4)] * 10
        assert old.moved == [uid]
        # It is ours from now on: nobody is asked for it.
        count = len(old.asked)
        assert await asyncio.to_thread(status_of, archive, uid, "?federated=true") == (200, 4)
        assert len(old.asked) == count


async def test_a_mover_hears_of_us_while_it_waits_and_of_what_did_not_come(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with slow(files=prior(tmp_path, 2022, instances=3), wait=2.5, more=2) as (old, scp), Scp("READER") as reader:
        archive = started(make_archive(), old, scp.port, reader.port)
        *pending, final = await moved(replace(archive.peer, calling_ae_title="READER"), uid_of(old.files))
        waiting = [response for response in pending if response.number(Element.COMPLETED_SUB_OPERATIONS) == 0]
        assert {response.status for response in pending} == {0xFF00}
        assert len(waiting) >= 1
        assert all(response.number(Element.REMAINING_SUB_OPERATIONS) > 0 for response in waiting)
        # PS3.4 C.4.2.1.5: B000H, one or more failures; five were told of, three came.
        assert (final.status, final.number(Element.COMPLETED_SUB_OPERATIONS)) == (0xB000, 3)
        assert final.number(Element.FAILED_SUB_OPERATIONS) == 2
        assert await asyncio.to_thread(status_of, archive, uid_of(old.files)) == (200, 3)
        assert (await asyncio.to_thread(status_of, archive, uid_of(old.files), "?federated=true"))[0] == 503
        assert archive.metric('gantry_federated_fetches_total{ae_title="OLD",outcome="part"}') == 1


@pytest.mark.parametrize("kind", ["refuses", "away"])
async def test_an_archive_that_does_not_send_or_say_is_a_failure_and_no_empty_success(
    kind: str, make_archive: MakeArchive, tmp_path: Path
) -> None:
    with slow(files=prior(tmp_path, 2022), **{kind: True}) as (old, scp), Scp("READER") as reader:
        archive = started(make_archive(), old, scp.port, reader.port)
        *_, final = await moved(replace(archive.peer, calling_ae_title="READER"), uid_of(old.files))
        assert final.status == 0xA702
        assert (await asyncio.to_thread(status_of, archive, uid_of(old.files), "?federated=true"))[0] == 503
        assert await asyncio.to_thread(status_of, archive, uid_of(old.files)) == (404, 0)


def cancelled(port: int, study: str) -> list[tuple[int, int]]:
    """Statuses and remaining sub-operations of a C-MOVE that is cancelled at its first pending response."""
    model = StudyRootQueryRetrieveInformationModelMove
    ae = AE("READER")
    ae.add_requested_context(model)
    association = ae.associate("127.0.0.1", port, ae_title="GANTRY")
    keys, seen = Dataset(), []
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", study
    for status, _ in association.send_c_move(keys, "READER", model, msg_id=7):
        seen.append((status.Status, status.get("NumberOfRemainingSuboperations", 0)))
        if len(seen) == 1:
            association.send_c_cancel(7, query_model=model)
    association.release()
    return seen


async def test_one_that_cancels_while_it_waits_hears_so_and_the_study_comes(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with slow(files=prior(tmp_path, 2022, instances=3), wait=4.0) as (old, scp), Scp("READER") as reader:
        archive = started(make_archive(), old, scp.port, reader.port)
        uid = uid_of(old.files)
        assert await asyncio.to_thread(cancelled, archive.port, uid) == [(0xFF00, 1), (0xFE00, 1)]
        assert await asyncio.to_thread(status_of, archive, uid, "?federated=true") == (200, 3)
        assert old.moved == [uid]


async def test_a_fetch_goes_on_while_nobody_waits_and_after_the_process_is_killed(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with slow(files=prior(tmp_path, 2022, instances=6), wait=1.0) as (old, scp):
        archive = started(make_archive(), old, scp.port, wait=0.5)
        uid = uid_of(old.files)
        assert (await asyncio.to_thread(status_of, archive, uid, "?federated=true"))[0] == 503
        async with asyncio.timeout(60):
            while status_of(archive, uid)[1] < 2:
                await asyncio.sleep(0.2)
        archive.kill()
        archive.start()
        part = status_of(archive, uid)[1]
        assert 2 <= part < 6
        old.wait = 0.0
        # What came is not taken for the study; the next request goes on once the dead process is known to be dead.
        async with asyncio.timeout(90):
            while (answer := await asyncio.to_thread(status_of, archive, uid, "?federated=true")) != (200, 6):
                assert answer == (503, 0)
                await asyncio.sleep(0.5)
        assert old.moved == [uid, uid]
