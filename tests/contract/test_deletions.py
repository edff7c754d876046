"""The contract of `SearchIndex` about decisions on receipts."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import Query
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.index import (
    Decision,
    HoldChange,
    InstanceEntry,
    InstanceKey,
    Loss,
    Outcome,
    SearchIndex,
    StandingHolds,
    StudyAccess,
)
from tests.contract.test_search_index import BATCH, EARLY, as_set, everything, found
from tests.support.entries import documents, entry
from tests.support.long import examples

ENTRIES = [*BATCH, EARLY]
FIRST, AGAIN, CURRENT, ASIDE = BATCH[0], BATCH[7], BATCH[3], BATCH[6]
UNDO = DeletionState(withdrawn=frozenset(["d"]))
GONE = DeletionState(collected=True)


def deletion(name: str = "d", *, final: bool = False) -> DeletionState:
    return DeletionState(frozenset([Deletion(name, 5, final)]))


def key(instance: InstanceEntry) -> InstanceKey:
    return InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)


def decided(instance: InstanceEntry, deletion_state: DeletionState) -> Decision:
    return Decision(instance.partition, key(instance), instance.receipt, deletion_state)


def expected(left: Sequence[InstanceEntry]) -> dict[str, list[str]]:
    return {level.value: as_set(docs) for level, docs in documents(left).items()}


async def places(index: SearchIndex) -> list[str]:
    pages = [page async for page in index.locate(Query("default", Level.STUDY))]
    return sorted(at.object_key for page in pages for at in page)


async def state_of(index: SearchIndex) -> dict[str, Any]:
    """All that an index answers."""
    known = {}
    for instance in ENTRIES:
        known[instance.receipt] = await index.receipts("default", key(instance))
    pages = [page async for page in index.find_decided("default")]
    conflicts = [page async for page in index.conflicts("default")]
    return {**await everything(index), "places": await places(index), "known": known, "decided": pages, "c": conflicts}


async def test_a_deletion_and_its_restoration_in_one_call_come_to_what_was_before(index: SearchIndex) -> None:
    """Add decisions to the deletion states of receipts."""
    await index.apply(ENTRIES)
    before = await everything(index)
    await index.decide(
        [decided(instance, deletion_state) for deletion_state in (deletion(), UNDO) for instance in ENTRIES]
    )
    assert await everything(index) == before
    await index.decide(
        [decided(instance, deletion_state) for deletion_state in (UNDO, deletion("e")) for instance in ENTRIES]
    )
    assert (await index.count("default"))["instances"] == 0


async def test_a_deleted_receipt_is_in_no_answer_and_no_count(index: SearchIndex) -> None:
    """A receipt that is now hidden is in no answer and no count, and the current receipt of its instance is elected
    again"""
    await index.apply(ENTRIES)
    await index.decide([decided(BATCH[4], deletion())])
    left = [instance for instance in ENTRIES if instance is not BATCH[4]]
    state = await everything(index)
    assert state.pop("count") == {"patients": 3, "studies": 3, "series": 4, "instances": 5, "aside": 2}
    assert state == expected(left)
    assert BATCH[4].object_key not in await places(index)
    assert await index.resolve("default", [BATCH[4].sop_instance_uid]) == {}
    assert await index.current("default", [key(BATCH[4])]) == {}
    assert await index.receipts("default", key(BATCH[4])) == []


async def test_what_was_aside_becomes_current_with_its_own_attributes(index: SearchIndex) -> None:
    """the current receipt of its instance is elected again"""
    await index.apply([CURRENT, ASIDE])
    await index.decide([decided(CURRENT, deletion())])
    state = await everything(index)
    assert state.pop("count")["aside"] == 0
    assert state == expected([ASIDE])
    (location,) = (await index.current("default", [key(ASIDE)])).values()
    assert (location.object_key, location.data_set_length, location.layout) == (
        ASIDE.object_key,
        ASIDE.data_set_length,
        ASIDE.layout,
    )
    # And after an earlier one had taken its place before.
    await index.apply([EARLY])
    await index.decide([decided(EARLY, deletion())])
    assert {k: v for k, v in (await everything(index)).items() if k != "count"} == expected([ASIDE])
    await index.decide([decided(CURRENT, UNDO)])
    assert {k: v for k, v in (await everything(index)).items() if k != "count"} == expected([CURRENT, ASIDE])


async def test_a_restored_receipt_is_what_it_was(index: SearchIndex) -> None:
    """a receipt that is no longer hidden is as before."""
    await index.apply(ENTRIES)
    await index.lose([Loss("default", key(FIRST), FIRST.receipt)])
    before = await state_of(index)
    await index.decide([decided(instance, deletion()) for instance in ENTRIES])
    # Losing what is deleted is remembered, too.
    await index.lose([Loss("default", key(FIRST), FIRST.receipt)])
    assert (await index.count("default")) == dict.fromkeys(("patients", "studies", "series", "instances", "aside"), 0)
    await index.decide([decided(instance, UNDO) for instance in ENTRIES])
    after = await state_of(index)
    assert {**after, "decided": []} == before
    # The one that was lost is still: another copy of its bytes is read.
    assert AGAIN.object_key in await places(index)


async def test_what_was_lost_while_it_was_deleted_is_lost_when_it_is_back(index: SearchIndex) -> None:
    await index.apply([FIRST, AGAIN])
    await index.decide([decided(FIRST, deletion())])
    await index.lose([Loss("default", key(FIRST), FIRST.receipt)])
    await index.decide([decided(FIRST, UNDO)])
    assert [receipt.lost for receipt in await index.receipts("default", key(FIRST))] == [True, False]
    assert await places(index) == [AGAIN.object_key]


async def test_a_receipt_that_comes_after_its_deletion_is_deleted(index: SearchIndex) -> None:
    """a decision may come before its receipt."""
    await index.decide([decided(FIRST, deletion())])
    for _ in range(2):
        (applied,) = await index.apply([FIRST])
        assert applied.outcome is Outcome.DELETED
    assert (await index.count("default"))["instances"] == 0
    ((receipt,),) = [page async for page in index.find_decided("default", "1.1")]
    assert (receipt.id, receipt.object_key, receipt.digest) == (FIRST.receipt, FIRST.object_key, FIRST.digest)
    # Sent again it is another receipt, and there.
    (applied,) = await index.apply([AGAIN])
    assert applied.outcome is Outcome.ADDED
    assert await places(index) == [AGAIN.object_key]


@pytest.mark.parametrize("deletion_state", [GONE, deletion(final=True)])
async def test_neither_what_is_collected_nor_a_final_deletion_is_undone(
    index: SearchIndex, deletion_state: DeletionState
) -> None:
    """Of a collected receipt only the deletion state is retained."""
    await index.apply([FIRST])
    await index.decide([decided(FIRST, deletion()), decided(FIRST, deletion_state)])
    await index.decide([decided(FIRST, UNDO)])
    assert [applied.outcome for applied in await index.apply([FIRST])] == [Outcome.DELETED]
    assert (await index.count("default"))["instances"] == 0
    ((receipt,),) = [page async for page in index.find_decided("default")]
    assert receipt.object_key == ("" if deletion_state is GONE else FIRST.object_key)
    assert await index.deletion_states("default", [FIRST.receipt, "0" * 32]) == {FIRST.receipt: receipt.deletion_state}


async def test_nothing_of_a_collected_object_stays_in_the_file(tmp_path: Path) -> None:
    index = await open_sqlite_index(tmp_path / "index.db")
    await index.apply([entry(1, PatientID="P-SECRET"), entry(2, "1.2.9", PatientID="P2")])
    instance = entry(1)
    await index.decide([decided(instance, deletion()), decided(instance, GONE)])
    await index.close()
    assert not any(b"P-SECRET" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


async def test_holds_stand_until_they_are_released_whatever_comes_first(index: SearchIndex) -> None:
    """a hold is in force if it was placed and never released. Idempotent and independent of order."""
    await index.hold([HoldChange("default", "1.1", "a", True), HoldChange("default", "1.1", "b", False)])
    await index.hold([HoldChange("default", "1.1", "b", True), HoldChange("default", "1.1", "a", True)])
    await index.hold([HoldChange("default", "1.2", "c", True)])
    assert await index.holds("default", "1.1") == ["a"]
    await index.hold([HoldChange("default", "1.1", "a", False)])
    assert await index.holds("default", "1.1") == []


async def test_what_is_held_is_listed_in_order(index: SearchIndex) -> None:
    """The studies and patients with holds in force, behind `after` in the order of UIDs and keys"""
    assert [page async for page in index.held("default")] == []
    places = [("1.2", "b"), ("patient:k", "c"), ("1.2", "a"), ("1.10", "d"), ("1.3", "e")]
    await index.hold([HoldChange("default", holder, hold, True) for holder, hold in places])
    await index.hold([HoldChange("default", "1.3", "e", False), HoldChange("other", "1.4", "f", True)])
    held = [StandingHolds("1.10", ("d",)), StandingHolds("1.2", ("a", "b")), StandingHolds("patient:k", ("c",))]
    assert [held_study async for page in index.held("default") for held_study in page] == held
    assert [held_study async for page in index.held("default", "1.10") for held_study in page] == held[1:]
    assert [page async for page in index.held("default", "patient:k")] == []


async def test_the_latest_access_counts_whatever_comes_first(index: SearchIndex) -> None:
    """Record when studies were accessed; the latest access counts. Idempotent and independent of order."""
    assert await index.last_access("default", "1.1") == 0
    at = 1_700_000_000_000_000
    await index.note_accesses([StudyAccess("default", "1.1", at + 5), StudyAccess("default", "1.1", at)])
    await index.note_accesses([StudyAccess("default", "1.1", at + 2), StudyAccess("default", "1.2", at)])
    assert await index.last_access("default", "1.1") == at + 5
    assert await index.last_access("default", "1.2") == at
    assert await index.last_access("other", "1.1") == 0


async def test_what_is_hidden_is_listed_with_its_entry_until_it_is_collected(index: SearchIndex) -> None:
    """`entry` is None then, and after the receipt was collected."""
    await index.apply(ENTRIES)
    await index.decide([decided(BATCH[4], deletion())])
    (page,) = [page async for page in index.find_decided("default")]
    assert page[0].entry is not None
    assert page[0].entry.attributes == BATCH[4].attributes
    await index.decide([decided(BATCH[4], GONE)])
    (page,) = [page async for page in index.find_decided("default")]
    assert page[0].entry is None


async def test_deletion_states_and_holds_go_with_a_successor(index: SearchIndex) -> None:
    await index.apply([FIRST])
    successor = await index.successor(STANDARD)
    await successor.decide([decided(FIRST, deletion())])
    await successor.hold([HoldChange("default", "1.1", "h", True)])
    await successor.apply([FIRST])
    await successor.take_over()
    await successor.discard()
    await successor.close()
    assert (await index.count("default"))["instances"] == 0
    assert await index.holds("default", "1.1") == ["h"]
    await index.decide([decided(FIRST, UNDO)])
    assert await places(index) == [FIRST.object_key]


_SAID = [deletion(), deletion("e"), UNDO, GONE]
_STEPS = st.lists(
    st.one_of(
        st.sampled_from(range(len(ENTRIES))),
        st.tuples(st.sampled_from(range(len(ENTRIES))), st.sampled_from([0, 0, 0, 1, 2, 2, 3])),
    ),
    min_size=1,
    max_size=24,
)


@given(_STEPS, st.data())
@settings(max_examples=examples(60), deadline=None)
async def test_any_order_of_entries_and_decisions_ends_the_same(
    steps: list[int | tuple[int, int]], data: st.DataObject
) -> None:
    """Idempotent and, with `apply` and itself, independent of order."""
    again = data.draw(st.lists(st.sampled_from(steps), max_size=8))
    orders = [steps, data.draw(st.permutations([*steps, *again]))]
    ends = []
    for order in orders:
        with tempfile.TemporaryDirectory() as folder:
            index = await open_sqlite_index(Path(folder) / "index.db")
            for step in order:
                if isinstance(step, int):
                    await index.apply([ENTRIES[step]])
                else:
                    await index.decide([decided(ENTRIES[step[0]], _SAID[step[1]])])
            ends.append(await state_of(index))
            await index.close()
    assert ends[0] == ends[1]
    deletion_states: dict[int, DeletionState] = {}
    for step in steps:
        if not isinstance(step, int):
            deletion_states[step[0]] = deletion_states.get(step[0], DeletionState()) | _SAID[step[1]]
    left = [
        ENTRIES[n]
        for n in {s for s in steps if isinstance(s, int)}
        if not deletion_states.get(n, DeletionState()).hidden
    ]
    assert {level.value: ends[0][level.value] for level in Level} == expected(left)


async def test_every_order_of_several_receipts_of_one_instance_in_one_batch_ends_the_same(index: SearchIndex) -> None:
    for order in itertools.permutations([CURRENT, ASIDE, EARLY]):
        name = "".join(instance.receipt[-2:] for instance in order)
        await index.apply(list(order))
        await index.decide([decided(EARLY, deletion(name)), decided(CURRENT, deletion(name))])
        assert {k: v for k, v in (await everything(index)).items() if k != "count"} == expected([ASIDE])
        back = DeletionState(withdrawn=frozenset([name]))
        await index.decide([decided(EARLY, back), decided(CURRENT, back)])
        assert (await found(index, Level.STUDY))[0].attributes[0x00100020] == ["P3"]
