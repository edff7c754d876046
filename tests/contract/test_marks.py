"""The contract of `SearchIndex` about the marks of studies."""

from __future__ import annotations

from gantry.common.lifecycle import Deletion, DeletionState, holder_of
from gantry.common.ports.index import Decision, HoldChange, Marks, SearchIndex
from tests.contract.test_deletions import decided, deletion, key
from tests.contract.test_search_index import BATCH, EARLY
from tests.support.entries import entry

ENTRIES = [*BATCH, EARLY]
STUDIES = sorted({instance.study_instance_uid for instance in ENTRIES})
CURRENT, ASIDE = BATCH[3], BATCH[6]


def rejection(name: str = "r") -> DeletionState:
    return DeletionState(frozenset([Deletion(name, 5, kept=True, code="113001")]))


async def test_nothing_stands_out_of_studies_of_which_nothing_was_decided(index: SearchIndex) -> None:
    many = [entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1") for n in range(3)]
    await index.apply(many)
    uids = [instance.study_instance_uid for instance in many]
    assert await index.marks_of("default", uids, uids) == Marks()
    assert await index.marks_of("default", [], []) == Marks()


async def test_studies_with_receipts_kept_aside_are_in_conflict(index: SearchIndex) -> None:
    """the UIDs of the studies with receipts kept aside"""
    await index.apply([*ENTRIES, entry(99, "1.9.99", "1.99", "1.99.1")])
    assert ASIDE.study_instance_uid == CURRENT.study_instance_uid
    uids = [*STUDIES, "1.99"]
    assert (await index.marks_of("default", uids)).conflicting == {ASIDE.study_instance_uid}
    assert (await index.marks_of("default", ["1.99"])).conflicting == frozenset()
    assert (await index.marks_of("other", uids)).conflicting == frozenset()


async def test_a_rejection_stands_out_until_it_is_withdrawn_and_a_deletion_does_not(index: SearchIndex) -> None:
    """and of those with something rejected. Withdrawn rejections do not count."""
    many = [entry(n, f"1.9.{n}", f"1.{n // 2}", f"1.{n // 2}.1") for n in range(6)]
    await index.apply(many)
    studies = ["1.0", "1.1", "1.2"]
    await index.decide([decided(many[0], rejection()), decided(many[2], deletion()), decided(many[4], rejection("s"))])
    assert (await index.marks_of("default", studies)).rejected == {"1.0", "1.2"}
    assert (await index.marks_of("default", ["1.2"])).rejected == {"1.2"}
    undone = DeletionState(withdrawn=frozenset(["r"]))
    await index.decide([Decision("default", key(many[0]), many[0].receipt, undone)])
    assert (await index.marks_of("default", studies)).rejected == {"1.2"}
    assert (await index.marks_of("other", studies)).rejected == frozenset()


async def test_holds_on_studies_and_patients_stand_until_all_are_released(index: SearchIndex) -> None:
    """the holders (as in `HoldChange`) with holds in force"""
    patient = holder_of("p1")
    placed = [
        HoldChange("default", holder, hold, True) for holder, hold in (("1.1", "a"), ("1.1", "b"), (patient, "c"))
    ]
    await index.hold(placed)
    uids = ["1.1", "1.2", patient]
    assert (await index.marks_of("default", [], uids)).held == {"1.1", patient}
    assert (await index.marks_of("default", ["1.1"], ["1.2"])).held == frozenset()
    assert (await index.marks_of("other", [], uids)).held == frozenset()
    await index.hold([HoldChange("default", "1.1", "a", False), HoldChange("default", patient, "c", False)])
    assert (await index.marks_of("default", [], uids)).held == {"1.1"}
    await index.hold([HoldChange("default", "1.1", "b", False)])
    assert (await index.marks_of("default", [], uids)).held == frozenset()
