"""Rejecting, sending again, revoking, deleting and bringing back in any order, with an indexer that reads now or later:
the index counts what the fold of the log does, and nothing is there that a rejection keeps away."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.errors import NotFound
from gantry.common.events import INDEXED, INDEXERS, Event, InstanceStored, decode
from gantry.common.ids import Receipt
from gantry.common.lifecycle import RejectionPolicy, SentAgain, StudyState, fold, is_waiting
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.rejections import RejectionAction, RejectionRules
from gantry.common.telemetry.metrics import Metrics
from gantry.services.indexer.handlers import Indexer
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget
from gantry.services.requester import Requester
from tests.contract.conftest import SEARCH_INDEXES
from tests.support.facts import stored
from tests.support.long import examples
from tests.support.objects import file_bytes
from tests.support.rejection_notes import QUALITY, SAFETY, WORKLIST, rejection_note

STUDY = "1.2.3"
IMAGES = (1, 2, 3)
POLICY = RejectionPolicy(
    {SAFETY: SentAgain.IGNORE, WORKLIST: SentAgain.REFUSE},
    {(SAFETY, QUALITY), (SAFETY, WORKLIST), ("revoke", QUALITY), ("revoke", SAFETY), ("revoke", WORKLIST)},
    note_first=40,
    stays={QUALITY, SAFETY, WORKLIST},
)
RULES = RejectionRules(
    dict.fromkeys((QUALITY, SAFETY, WORKLIST), RejectionAction.HIDE), frozenset({"R^99SITE"}), POLICY
)
ASKED = Requester("a person", "a test")

_SOME = st.lists(st.sampled_from(IMAGES), min_size=1, unique=True)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), _SOME),
        st.tuples(st.sampled_from([QUALITY, SAFETY, WORKLIST, "R"]), _SOME),
        st.tuples(st.sampled_from(["delete", "undelete", "read", "wait"]), st.sampled_from(IMAGES)),
    ),
    max_size=14,
)


class Archive:
    """Embedded log and an index, with an indexer that reads when it is told."""

    def __init__(self, folder: Path, index: SearchIndex, log: EventLog, clock: ManualClock, objects: Any) -> None:
        self.index = index
        self.log = log
        self.clock = clock
        self.indexer = Indexer(objects, log, index, clock, Metrics(), rejections=RULES)
        self.deletions = Deletions(log, index, clock, grace=1e6, patience=0.0)

    async def store(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.clock.advance(0.003)
            await self.log.append(replace(image(number), receipt=Receipt.at(self.clock.now_us()).id))

    async def note(self, code: str, numbers: Sequence[int]) -> None:
        self.clock.advance(0.003)
        scheme = "99SITE" if code == "R" else "DCM"
        made = rejection_note([named(number) for number in numbers], code, scheme=scheme)
        part10 = file_bytes(made)
        await self.log.append(
            replace(
                stored(99, STUDY),
                receipt=Receipt.at(self.clock.now_us()).id,
                sop_class_uid=KEY_OBJECT_SELECTION,
                sop_instance_uid=made.SOPInstanceUID,
                series_instance_uid=made.SeriesInstanceUID,
                transfer_syntax_uid=made.file_meta.TransferSyntaxUID,
                header=part10[parse_meta(part10).data_set_offset :],
            )
        )

    async def by_hand(self, action: str, number: int) -> None:
        self.clock.advance(0.003)
        target = DeletionTarget(STUDY, f"{STUDY}.1", f"{STUDY}.1.{number}")
        try:
            if action == "delete":
                await self.deletions.delete(target, ASKED, settle=False)
            else:
                await self.deletions.restore(target, ASKED)
        except NotFound:
            pass

    async def read(self) -> None:
        """Until the indexer has followed everything, what itself publishes included."""
        async with self.log.consumer(INDEXERS, list(INDEXED)) as consumer:
            turns = 0
            while not (lag := await self.log.lag(INDEXERS)) or any(lag.values()):
                turns += 1
                assert turns < 1000, "it answers itself for ever"
                records = await consumer.poll(3)
                await self.indexer([Delivery(record, decode(record.payload)) for record in records])
                # As after a crash: the batch comes again.
                await self.indexer([Delivery(record, decode(record.payload)) for record in records])
                await consumer.commit(records)

    async def state(self) -> StudyState:
        events: list[Event] = [decode(record.payload) async for record in self.log.replay("instances")]
        return fold(events)


def named(number: int) -> Dataset:
    source = image(number)
    made = Dataset()
    made.StudyInstanceUID, made.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
    made.SOPClassUID, made.SOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    made.PatientID, made.PatientName, made.StudyDate, made.StudyTime = "P1", "A^B", "20240101", "10"
    return made


def image(number: int) -> InstanceStored:
    return replace(stored(number, STUDY), header=b"\x10\x00\x20\x00LO\x02\x00P1")


async def agrees(archive: Archive) -> None:
    """The index is what the fold is, and what must not be there is not."""
    state = await archive.state()
    instances = {
        (at.series_instance_uid, at.sop_instance_uid)
        async for page in archive.index.locate(Query("default", Level.STUDY))
        for at in page
    }
    assert instances == state.instances
    counted = await archive.index.count("default")
    series = {series for series, _ in instances}
    assert (counted["studies"], counted["series"], counted["instances"]) == (
        bool(instances),
        len(series),
        len(instances),
    )
    shown = [document async for page in archive.index.find(Query("default", Level.STUDY)) for document in page]
    assert len(shown) == bool(instances)
    withdrawn = {
        (receipt.instance, deletion)
        for receipt in state.receipts.values()
        for deletion in receipt.deletion_state.withdrawn
    }
    for receipt, entry in state.receipts.items():
        for deletion in entry.deletion_state.standing:
            stands = not is_waiting(receipt, deletion, *entry.instance) and deletion.code in (SAFETY, WORKLIST)
            # What was brought back from a rejection is there, though a receipt that it reached meanwhile is not.
            stands &= (entry.instance, deletion.id) not in withdrawn
            assert not (stands and entry.instance in instances), (
                f"{entry.instance} is there, and rejected with {deletion.code}"
            )


async def run(folder: Path, steps: Sequence[tuple[str, Any]], open_index: Any) -> None:
    clock = ManualClock()
    objects = await open_file_store(folder / "objects", low_water=0)
    log = await open_sqlite_log(folder / "log.db", clock)
    index = await open_index(folder)
    archive = Archive(folder, index, log, clock, objects)
    try:
        async with log.consumer(INDEXERS, list(INDEXED)):
            pass
        for action, about in steps:
            if action == "store":
                await archive.store(about)
            elif action == "read":
                await archive.read()
                await agrees(archive)
            elif action == "wait":
                clock.advance(0.1)
            elif action in ("delete", "undelete"):
                # A person sees what is indexed.
                await archive.read()
                await archive.by_hand(action, about)
            else:
                await archive.note(action, about)
        await archive.read()
        await agrees(archive)
    finally:
        for store in (index, log, objects):
            await store.close()


async def _sqlite(folder: Path) -> SearchIndex:
    return await open_sqlite_index(folder / "index.db")


@given(_STEPS)
@example(
    [
        *[("wait", 2), (QUALITY, [3]), ("read", 2), ("store", [3, 2, 1]), (SAFETY, [2]), ("store", [2, 1])],
        *[(QUALITY, [1, 2]), ("store", [2, 1]), ("undelete", 1), ("R", [3, 1, 2]), (QUALITY, [3])],
        ("store", [1, 3, 2]),
    ]
)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_ends_as_the_fold_of_the_log(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(run(Path(folder), steps, _sqlite))


@pytest.mark.parametrize("backend", ["opensearch"])
@pytest.mark.parametrize("seed", range(2))
def test_on_servers_it_ends_the_same(tmp_path: Path, backend: str, seed: int) -> None:
    import random

    choice = random.Random(seed)
    kinds = ["store", "store", QUALITY, SAFETY, WORKLIST, "R", "delete", "undelete", "read", "wait"]
    steps: list[tuple[str, Any]] = []
    for _ in range(8):
        action = choice.choice(kinds)
        number = choice.choice(IMAGES)
        steps.append((action, number if action in ("delete", "undelete", "read", "wait") else choice.sample(IMAGES, 2)))
    uvloop.run(run(tmp_path, steps, partial(SEARCH_INDEXES[backend])))
