"""The contract of `SearchIndex` about what an instance is, which of its objects is read, and what is in conflict."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Document, Query, Single, Wildcard
from gantry.common.ports.index import InstanceEntry, InstanceKey, KnownReceipt, Loss, Namesake, Outcome, SearchIndex
from tests.contract.conftest import OpenSearchIndex
from tests.support.entries import entry

STUDY, SERIES, SOP, NAME, ID = 0x0020000D, 0x0020000E, 0x00080018, 0x00100010, 0x00100020
FIRST = entry(1, "9.1", "1.1", "1.1.1", digest="blake3:aa", PatientID="P1")
OTHER_STUDY = entry(2, "9.1", "1.2", "1.2.1", digest="blake3:bb", PatientID="P2")
OTHER_SERIES = entry(3, "9.1", "1.1", "1.1.2", digest="blake3:cc", PatientID="P1")


def key(instance: InstanceEntry) -> InstanceKey:
    return InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)


async def found(index: SearchIndex, level: Level, conditions: dict[int, Condition] | None = None) -> list[Document]:
    return [document async for page in index.find(Query("default", level, conditions or {})) for document in page]


async def located(index: SearchIndex, level: Level, conditions: dict[int, Condition]) -> list[str]:
    return [at.object_key async for page in index.locate(Query("default", level, conditions)) for at in page]


async def in_conflict(index: SearchIndex) -> list[str]:
    pages = [page async for page in index.conflicts("default")]
    return [uid for page in pages for uid in page]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_one_uid_in_several_series_is_several_instances(index: SearchIndex, order: tuple[int, ...]) -> None:
    """An instance is a SOP Instance UID in a series of a study; it is counted once."""
    entries = [FIRST, OTHER_STUDY, OTHER_SERIES]
    for number in order:
        (applied,) = await index.apply([entries[number]])
        assert applied.outcome is Outcome.ADDED
    counts = {"patients": 2, "studies": 2, "series": 3, "instances": 3, "aside": 0}
    assert await index.count("default") == counts
    # Each can be found and fetched in its own place; by its UID alone, all of them.
    for instance in entries:
        place: dict[int, Condition] = {
            STUDY: Single((instance.study_instance_uid,)),
            SERIES: Single((instance.series_instance_uid,)),
        }
        assert await located(index, Level.SERIES, place) == [instance.object_key]
        assert await located(index, Level.IMAGE, {**place, SOP: Single(("9.1",))}) == [instance.object_key]
        (document,) = await found(index, Level.IMAGE, place)
        assert document.attributes[SOP] == ["9.1"]
    assert sorted(await located(index, Level.IMAGE, {SOP: Single(("9.1",))})) == sorted(e.object_key for e in entries)
    resolved = await index.resolve("default", ["9.1", "9.2"])
    assert {uid: [at.digest for at in several] for uid, several in resolved.items()} == {
        "9.1": ["blake3:aa", "blake3:bb", "blake3:cc"]
    }
    at = await index.current("default", [key(OTHER_SERIES), replace(key(FIRST), study_instance_uid="1.2")])
    assert {instance: location.object_key for instance, location in at.items()} == {
        key(OTHER_SERIES): OTHER_SERIES.object_key
    }


async def test_an_instance_is_told_of_its_namesakes(index: SearchIndex) -> None:
    """The same SOP Instance UID in another series is another instance, and each is reported with the other"""
    (first,) = await index.apply([FIRST])
    assert first.namesake is None
    for batch in ([OTHER_STUDY], [OTHER_SERIES], [OTHER_STUDY]):
        (applied,) = await index.apply(batch)
        assert applied.namesake == Namesake("1.1", "1.1.1", FIRST.receipt, "blake3:aa")
    (again,) = await index.apply([FIRST])
    assert again.outcome is Outcome.REDELIVERED
    assert again.namesake == Namesake("1.2", "1.2.1", OTHER_STUDY.receipt, "blake3:bb")
    # Also of those that come together with it; and not of those in another partition.
    first_applied, two = await index.apply([replace(FIRST, partition="q"), replace(OTHER_STUDY, partition="q")])
    assert first_applied.namesake == Namesake("1.2", "1.2.1", OTHER_STUDY.receipt, "blake3:bb")
    assert two.namesake == Namesake("1.1", "1.1.1", FIRST.receipt, "blake3:aa")


async def test_conflicts_are_listed_each_once(index: SearchIndex) -> None:
    """The SOP Instance UIDs with receipts kept aside, or with several instances; in pages, in order, each once."""
    plain = [entry(100 + n, f"8.{n}") for n in range(50)]
    aside = [entry(200 + n, f"8.{n}", digest="blake3:ff") for n in range(0, 50, 10)]
    both = replace(OTHER_STUDY, receipt=f"{0x300:032x}", digest="blake3:ee")
    await index.apply([*plain, FIRST, OTHER_STUDY])
    assert await in_conflict(index) == ["9.1"]
    await index.apply([*aside, both, OTHER_SERIES])
    assert sorted(await in_conflict(index)) == sorted(["9.1", *(instance.sop_instance_uid for instance in aside)])
    (first, *others) = (await index.resolve("default", ["9.1"]))["9.1"]
    assert (first.aside, [at.aside for at in others]) == (0, [1, 0])
    assert [uid async for page in index.conflicts("nobody") for uid in page] == []


async def test_all_receipts_of_an_instance_are_known(index: SearchIndex) -> None:
    """All receipts of an instance, the earliest first; empty if it is unknown."""
    many = [entry(n, "9.1", digest=f"blake3:{n % 2}", sender=f"AE{n}") for n in range(1, 100)]
    for start in range(0, len(many), 20):
        await index.apply(many[start : start + 20][::-1])
    assert await index.receipts("default", key(many[0])) == [
        KnownReceipt(e.receipt, e.digest, e.transfer_syntax_uid, e.object_key, e.data_set_offset, e.sender)
        for e in many
    ]
    assert await index.receipts("default", key(FIRST)) == []
    assert await index.receipts("other", key(many[0])) == []
    # The same of many instances at once; those that are not known are left out.
    await index.apply([other := entry(200, "9.2")])
    known = await index.receipts_of("default", [key(other), key(FIRST), key(many[0])])
    assert {instance: [receipt.id for receipt in receipts] for instance, receipts in known.items()} == {
        key(many[0]): [instance.receipt for instance in many],
        key(other): [other.receipt],
    }
    assert await index.receipts_of("default", []) == {}


def resent(number: int, **more: Any) -> InstanceEntry:
    """The first again: the same bytes, but for the file meta information before them."""
    return replace(
        entry(number, "9.1", "1.1", "1.1.1", digest="blake3:aa", PatientID="P1"), data_set_offset=300 + number
    )


def loss(instance: InstanceEntry) -> Loss:
    return Loss("default", key(instance), instance.receipt)


async def read_from(index: SearchIndex) -> tuple[str, int]:
    at = (await index.current("default", [key(FIRST)]))[key(FIRST)]
    ((listed,),) = [page async for page in index.locate(Query("default", Level.SERIES, {SERIES: Single(("1.1.1",))}))]
    assert listed == at
    return at.object_key, at.data_set_offset


async def test_a_lost_object_is_read_from_another_receipt_of_its_bytes(index: SearchIndex) -> None:
    """They are read from the earliest receipt of these bytes that is not lost; if all are lost, from
    the earliest."""
    second, third, other = resent(4), resent(5), entry(6, "9.1", "1.1", "1.1.1", digest="blake3:ff")
    await index.apply([FIRST, other])
    await index.lose([loss(FIRST)])
    assert await read_from(index) == (FIRST.object_key, 300)
    # Sent again: that one is there.
    assert [a.outcome for a in await index.apply([third])] == [Outcome.REDUNDANT]
    assert await read_from(index) == (third.object_key, 305)
    # An earlier one of the two that are left, whatever came first here.
    await index.apply([second])
    assert await read_from(index) == (second.object_key, 304)
    await index.lose([loss(second), loss(second), loss(entry(77, "9.9"))])
    assert await read_from(index) == (third.object_key, 305)
    await index.lose([loss(third)])
    assert await read_from(index) == (FIRST.object_key, 300)
    assert [r.id for r in await index.receipts("default", key(FIRST)) if r.lost] == [
        FIRST.receipt,
        second.receipt,
        third.receipt,
    ]
    # Nothing else is changed by it: who came first decides what is current, and what is aside.
    assert (await index.count("default"))["aside"] == 1
    assert {a.outcome for a in await index.apply([FIRST, second, third, other])} == {Outcome.REDELIVERED}


async def test_loss_and_arrival_in_any_order_end_the_same(open_search_index: OpenSearchIndex, tmp_path: Any) -> None:
    """Idempotent and, with `apply`, independent of order"""
    index = await open_search_index(tmp_path)
    earlier, second = resent(0), resent(4)
    for number, order in enumerate(itertools.permutations(["earlier", "second", "lose first", "lose earlier"])):
        partition = f"p{number}"
        moved = {n: replace(e, partition=partition) for n, e in (("earlier", earlier), ("second", second))}
        await index.apply(
            [replace(FIRST, partition=partition), moved["earlier"]]
            if order[0] == "lose earlier"
            else [replace(FIRST, partition=partition)]
        )
        for step in order:
            if step in moved:
                await index.apply([moved[step]])
            elif step == "lose first":
                await index.lose([Loss(partition, key(FIRST), FIRST.receipt)])
        await index.lose([Loss(partition, key(FIRST), earlier.receipt)])
        at = (await index.current(partition, [key(FIRST)]))[key(FIRST)]
        assert (at.object_key, at.data_set_offset) == (second.object_key, 304), order
    await index.close()


async def test_a_lost_object_is_read_from_one_of_very_many_receipts(index: SearchIndex) -> None:
    """They are read from the earliest receipt of these bytes that is not lost"""
    many = [resent(n) for n in range(10, 210)]
    await index.apply([FIRST])
    for start in range(0, len(many), 50):
        await index.apply(many[start : start + 50])
    await index.lose([loss(FIRST), *(loss(instance) for instance in many[:120])])
    assert await read_from(index) == (many[120].object_key, many[120].data_set_offset)
    await index.lose([loss(instance) for instance in many[120:]])
    assert (await read_from(index))[0] == FIRST.object_key
    await index.apply([last := resent(500)])
    assert await read_from(index) == (last.object_key, 800)


MAIDEN = entry(
    1, "9.1", "1.1", "1.1.1", PatientID="P1", PatientName={"Alphabetic": "Maiden^Anna"}, StudyDate="20200101"
)
MARRIED = entry(
    2, "9.2", "1.2", "1.2.1", PatientID="P1", PatientName={"Alphabetic": "Married^Anna"}, StudyDate="20240101"
)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_study_shows_its_own_demographics_and_a_patient_is_found_by_all_of_them(
    index: SearchIndex, order: tuple[int, int]
) -> None:
    """A study shows its own demographics. A patient is found by those of each of its studies"""
    for number in order:
        await index.apply([(MAIDEN, MARRIED)[number]])
    for instance, name in ((MAIDEN, "Maiden^Anna"), (MARRIED, "Married^Anna")):
        conditions: dict[int, Condition] = {NAME: Wildcard((f"{name[:5]}*",))}
        for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
            (document,) = await found(index, level, conditions)
            assert document.attributes[STUDY] == [instance.study_instance_uid]
            assert document.attributes[NAME] == [{"Alphabetic": name}]
            assert document.attributes[0x00201200] == [2]
        (patient,) = await found(index, Level.PATIENT, conditions)
        assert (patient.attributes[ID], patient.attributes[NAME]) == (["P1"], [{"Alphabetic": name}])
    (patient,) = await found(index, Level.PATIENT, {ID: Single(("P1",))})
    assert patient.attributes[NAME] == [{"Alphabetic": "Maiden^Anna"}]
    assert len(await located(index, Level.PATIENT, {NAME: Wildcard(("married*",))})) == 2
