"""The contract of `SearchIndex`; each test quotes the sentence of the port that it checks."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import ATTRIBUTES, Level
from gantry.common.dicom.query.matching import (
    Condition,
    Document,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
    matches,
)
from gantry.common.errors import DependencyUnavailable, NotUnderstood
from gantry.common.ports.index import Applied, InstanceEntry, Outcome, SearchIndex
from tests.contract.conftest import BREAK_INDEX, SEARCH_INDEXES, OpenSearchIndex
from tests.support.entries import answers, current, documents, entry
from tests.support.index_questions import (
    ACCESSION,
    DATE,
    ID,
    NAME,
    SERIES,
    SOP,
    STUDY,
    ZONES,
    data_sets_of_entries,
    questions,
)
from tests.support.long import examples


async def found(
    index: SearchIndex, level: Level, conditions: dict[int, Condition] | None = None, **more: Any
) -> list[Document]:
    query = Query(more.pop("partition", "default"), level, conditions or {}, **more)
    return [document async for page in index.find(query) for document in page]


def as_set(docs: Sequence[Document]) -> list[str]:
    return sorted(json.dumps([d.level.value, sorted(d.attributes.items())]) for d in docs)


async def everything(index: SearchIndex, partition: str = "default") -> dict[str, Any]:
    levels = {level.value: as_set(await found(index, level, partition=partition)) for level in Level}
    return {**levels, "count": await index.count(partition)}


BATCH = [
    entry(1, "1.1.1.1", "1.1", "1.1.1", PatientID="P1", PatientName={"Alphabetic": "Müller^Jörg"}, Modality="CT"),
    entry(2, "1.1.1.2", "1.1", "1.1.1", PatientID="P1", PatientName={"Alphabetic": "Other^Name"}, Modality="CT"),
    entry(3, "1.1.2.1", "1.1", "1.1.2", PatientID="P1", Modality="SR", sop_class="1.2.840.10008.5.1.4.1.1.88.11"),
    entry(4, "1.2.1.1", "1.2", "1.2.1", PatientID="P1", Modality="MR", StudyDate="20240131", AccessionNumber="A7"),
    entry(5, "1.3.1.1", "1.3", "1.3.1", Modality="MR", StudyDate="1994.11.05"),
    entry(6, "1.4.1.1", "1.4", "1.4.1", Modality="MR"),
    # The fourth with other bytes: later, so kept aside.
    entry(0x99, "1.2.1.1", "1.2", "1.2.1", digest="blake3:ff", PatientID="P2", Modality="US"),
    # The first again, under another receipt.
    entry(7, "1.1.1.1", "1.1", "1.1.1", PatientID="P1", PatientName={"Alphabetic": "Müller^Jörg"}, Modality="CT"),
]
EARLY = entry(0, "1.2.1.1", "1.2", "1.2.1", digest="blake3:ee", PatientID="P3", Modality="XA")


async def test_any_order_leads_to_the_same_documents_and_counts(
    open_search_index: OpenSearchIndex, index_backend: str, tmp_path: Path
) -> None:
    """any sequence of the same entries, with repetitions, leads to the same documents and the same counts."""
    index = await open_search_index(tmp_path)
    entries = [BATCH[0], BATCH[3], BATCH[6], EARLY, BATCH[7]]
    expected = {level.value: as_set(docs) for level, docs in documents(entries).items()}
    try:
        # Of 120 orders, a server over the network sees some.
        step = 1 if index_backend == "sqlite" else 120 // examples(20)
        for number, order in enumerate(itertools.islice(itertools.permutations(range(len(entries))), 0, None, step)):
            partition = f"p{number}"
            moved = [_in(entries[i], partition) for i in order]
            await index.apply(moved[:2])
            await index.apply(moved[1:])
            await index.apply(moved[::-1])
            state = await everything(index, partition)
            assert state.pop("count") == {"patients": 2, "studies": 2, "series": 2, "instances": 2, "aside": 2}
            assert state == expected
    finally:
        await index.close()


def _in(instance: InstanceEntry, partition: str) -> InstanceEntry:
    fields = {name: getattr(instance, name) for name in InstanceEntry.__slots__}
    return InstanceEntry(**{**fields, "partition": partition})


async def test_documents_are_those_of_the_earliest_current_instance(index: SearchIndex) -> None:
    """The attributes of a study or series are those of the earliest current instance in it"""
    await index.apply(BATCH)
    expected = documents(BATCH)
    for level in Level:
        assert as_set(await found(index, level)) == as_set(expected[level])
    (study,) = await found(index, Level.STUDY, {STUDY: Single(("1.1",))})
    assert study.attributes[NAME] == [{"Alphabetic": "Müller^Jörg"}]
    assert study.attributes[0x00080061] == ["CT", "SR"]
    assert study.attributes[0x00201208] == [3]
    assert study.attributes[0x00201206] == [2]
    assert study.attributes[0x00201200] == [2]


async def test_outcomes_tell_what_applying_did(index: SearchIndex) -> None:
    """For a conflict of bytes it has the receipts and digests of both sides"""
    first, other = entry(5), entry(7, digest="blake3:ff")
    assert await index.apply([first]) == [Applied(Outcome.ADDED)]
    assert await index.apply([first]) == [Applied(Outcome.REDELIVERED)]
    assert await index.apply([entry(6)]) == [Applied(Outcome.REDUNDANT)]
    sides = (f"{5:032x}", "blake3:00", f"{7:032x}", "blake3:ff")
    assert await index.apply([other]) == [Applied(Outcome.CONFLICT, *sides)]
    assert await index.apply([other]) == [Applied(Outcome.REDELIVERED, *sides)]
    assert await index.apply([entry(1, digest="blake3:ee")]) == [
        Applied(Outcome.CONFLICT, f"{1:032x}", "blake3:ee", f"{5:032x}", "blake3:00")
    ]
    assert await index.count("default") == {"patients": 1, "studies": 1, "series": 1, "instances": 1, "aside": 3}


async def test_one_batch_may_hold_an_instance_several_times(index: SearchIndex) -> None:
    """it is counted once."""
    batch = [entry(5), entry(5), entry(6), entry(4, digest="blake3:ff"), entry(5)]
    outcomes = [applied.outcome for applied in await index.apply(batch)]
    assert outcomes == [
        Outcome.ADDED,
        Outcome.REDELIVERED,
        Outcome.REDUNDANT,
        Outcome.CONFLICT,
        Outcome.REDELIVERED,
    ]
    assert (await index.count("default"))["instances"] == 1
    assert (await index.resolve("default", ["1.2.3.1.1"]))["1.2.3.1.1"][0].digest == "blake3:ff"


async def test_an_instance_that_is_resent_without_end_is_counted_exactly(
    open_search_index: OpenSearchIndex, tmp_path: Path
) -> None:
    """any sequence of the same entries, with repetitions, leads to the same documents and the same counts."""
    index = await open_search_index(tmp_path)
    # Every third with other bytes than the first, of two kinds.
    many = [entry(n, digest=f"blake3:{('aa', 'aa', ('bb', 'cc')[n % 2])[n % 3]}") for n in range(1000, 1300)]
    for start in range(0, len(many), 25):
        await index.apply(many[max(0, start - 5) : start + 25])
    expected = {"patients": 1, "studies": 1, "series": 1, "instances": 1}
    digest = many[0].digest
    assert await index.count("default") == {**expected, "aside": sum(e.digest != digest for e in many)}
    # Whatever is told again is known, however long ago it came.
    again = await index.apply([*many[::-1], *many[:3]])
    assert {applied.outcome for applied in again} == {Outcome.REDELIVERED}
    assert {a.kept_receipt for a in again if a.kept_receipt} == {many[0].receipt}
    # An earlier one of what was kept aside: the others of its kind are redundant now, and all the rest is aside.
    early = entry(7, digest="blake3:cc")
    (applied,) = await index.apply([early])
    assert (applied.kept_receipt, applied.aside_receipt) == (early.receipt, many[0].receipt)
    every = [early, *many]
    assert await index.count("default") == {**expected, "aside": sum(e.digest != "blake3:cc" for e in every)}
    # One of new bytes, before all of them.
    await index.apply([first := entry(3, digest="blake3:dd")])
    assert (await index.count("default"))["aside"] == len(every)
    assert (await index.resolve("default", ["1.2.3.1.1"]))["1.2.3.1.1"][0].object_key == first.object_key
    assert {a.outcome for a in await index.apply([first, *every])} == {Outcome.REDELIVERED}
    assert await index.count("default") == {**expected, "aside": len(every)}
    await index.close()


async def test_two_who_apply_one_instance_over_and_over_count_it_exactly(
    open_search_index: OpenSearchIndex, tmp_path: Path
) -> None:
    """`apply` is idempotent and does not depend on order"""
    indexes = [await open_search_index(tmp_path) for _ in range(2)]
    many = [entry(1000 - n, digest=f"blake3:{n % 4}") for n in range(160)]
    orders = (many, many[80:] + many[:80])

    async def apply_all(index: SearchIndex, order: Sequence[InstanceEntry]) -> None:
        for start in range(0, len(order), 10):
            await index.apply(order[start : start + 10])

    await asyncio.gather(*(apply_all(index, order) for index, order in zip(indexes, orders, strict=True)))
    aside = sum(instance.digest != many[-1].digest for instance in many)
    for index in indexes:
        assert (await index.count("default"))["aside"] == aside
        assert {a.outcome for a in await index.apply(many)} == {Outcome.REDELIVERED}
        await index.close()


async def test_what_apply_returned_for_is_visible_to_others(open_search_index: OpenSearchIndex, tmp_path: Path) -> None:
    """Entries are visible to the next `find` and `locate` of this index once `apply` returns."""
    first, two = await open_search_index(tmp_path), await open_search_index(tmp_path)
    for number in range(20):
        await first.apply([entry(number, f"1.9.{number}")])
        for index in (first, two):
            assert len(await found(index, Level.IMAGE)) == number + 1
    await first.close()
    await two.close()
    again = await open_search_index(tmp_path)
    assert (await again.count("default"))["instances"] == 20
    await again.close()


async def test_concurrent_appliers_count_exactly(open_search_index: OpenSearchIndex, tmp_path: Path) -> None:
    """`apply` is idempotent and does not depend on order"""
    indexes = [await open_search_index(tmp_path) for _ in range(2)]
    entries = [entry(n, f"1.9.{n}", study=f"1.{n % 3}", series=f"1.{n % 3}.1", PatientID="P") for n in range(60)]
    await asyncio.gather(*(i.apply(entries[n : n + 10]) for n in range(0, 60, 5) for i in indexes))
    for index in indexes:
        assert as_set(await found(index, Level.STUDY)) == as_set(documents(entries)[Level.STUDY])
        await index.close()


async def test_locate_gives_all_current_objects_below_the_matches(index: SearchIndex) -> None:
    """The current objects of all instances below the matches of a query, in pages, grouped by study and series."""
    await index.apply(BATCH)
    elected = {e.sop_instance_uid: e for e in current(BATCH)}
    for level, conditions, expected in [
        (Level.PATIENT, {ID: Single(("P1",))}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.2.1.1"]),
        (Level.STUDY, {STUDY: UidList(("1.1", "1.3"))}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.3.1.1"]),
        (Level.SERIES, {STUDY: Single(("1.1",)), SERIES: Single(("1.1.2",))}, ["1.1.2.1"]),
        (Level.IMAGE, {STUDY: Single(("1.1",)), SOP: UidList(("1.1.1.2", "1.1.2.1", "9"))}, ["1.1.1.2", "1.1.2.1"]),
        (Level.IMAGE, {SOP: Single(("1.2.1.1",))}, ["1.2.1.1"]),
    ]:
        located = [at async for page in index.locate(Query("default", level, conditions)) for at in page]
        assert sorted(at.sop_instance_uid for at in located) == expected
        places = [(at.study_instance_uid, at.series_instance_uid) for at in located]
        assert len(list(itertools.groupby(places))) == len(set(places))
        for at in located:
            source = elected[at.sop_instance_uid]
            assert at.series_instance_uid == source.series_instance_uid
            assert (at.layout, at.object_key, at.digest, at.data_set_length, at.data_set_offset) == (
                source.layout,
                source.object_key,
                source.digest,
                source.data_set_length,
                source.data_set_offset,
            )


async def test_resolve_leaves_out_what_is_not_known(index: SearchIndex) -> None:
    """The current objects of all instances with these SOP Instance UIDs, the earliest receipt first; unknown UIDs are
    left out."""
    await index.apply(BATCH)
    many = [f"9.{n}" for n in range(20_000)]
    assert set(await index.resolve("default", ["1.1.1.1", "1.3.1.1", *many])) == {"1.1.1.1", "1.3.1.1"}
    assert await index.resolve("other", ["1.1.1.1"]) == {}


async def test_partitions_do_not_see_each_other(index: SearchIndex) -> None:
    """The organisation an object belongs to."""
    await index.apply([entry(1, PatientID="P"), entry(2, partition="other", digest="blake3:ff", PatientID="Q")])
    assert [d.attributes[ID] for d in await found(index, Level.PATIENT)] == [["P"]]
    assert [d.attributes[ID] for d in await found(index, Level.STUDY, partition="other")] == [["Q"]]
    assert (await index.count("other"))["aside"] == 0


async def test_a_limit_bounds_the_matches(index: SearchIndex) -> None:
    """`limit` bounds the matches."""
    await index.apply([entry(n, f"1.9.{n}") for n in range(1200)])
    for limit in (0, 1, 499, 500, 501, 2000):
        assert len(await found(index, Level.IMAGE, limit=limit)) == min(limit, 1200)


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {NAME: Wildcard(("pat*",))},
        {DATE: Range("20240101", None)},
        {ID: Single(tuple(f"P{n}" for n in range(0, 3000, 2)))},
    ],
)
async def test_what_is_applied_meanwhile_neither_repeats_nor_hides_a_match(
    index: SearchIndex, conditions: dict[int, Condition]
) -> None:
    """never make another match appear twice or be missed."""

    def study(n: int) -> InstanceEntry:
        name = {"Alphabetic": f"Pat{n % 7}"}
        return entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientName=name, PatientID=f"P{n}", StudyDate="20240101")

    await index.apply([study(n) for n in range(2000)])
    expected = {
        d.attributes[STUDY][0]
        for d in await found(index, Level.STUDY)
        if matches(Query("default", Level.STUDY, conditions), d)
    }
    seen: list[str] = []
    more = iter(range(2000, 3000))
    async for page in index.find(Query("default", Level.STUDY, conditions)):
        seen += [d.attributes[STUDY][0] for d in page]
        await index.apply([study(next(more)) for _ in range(100)])
    assert len(seen) == len(set(seen))
    assert expected <= set(seen)


@pytest.mark.parametrize("level", list(Level))
async def test_a_listing_goes_on_behind_any_document(index: SearchIndex, level: Level) -> None:
    """With the `place` of a document the listing continues behind it, at any time, as if it had never stopped"""
    many = [
        entry(n, f"1.9.{n}", f"1.{s}", f"1.{s}.{n % 3}", PatientID=f"P{s % 4}", StudyDate=f"2024010{s}")
        for n in range(1, 60)
        for s in (n % 7 + 1,)
    ]
    late = entry(900, "0.1.1", "0.1", "0.1.0", PatientID="P9", StudyDate="20240103")
    await index.apply(many)
    for conditions in ({}, {ID: Wildcard(("P*", "P1*"))}, {DATE: Range("20240102", "20240106")}):
        keys: dict[int, Condition] = {} if level is Level.PATIENT and DATE in conditions else {**conditions}
        known = [uids for uids in map(_identity, await found(index, level, keys)) if "P9" not in uids]
        query = Query("default", level, keys, limit=2)
        walked: list[Document] = []
        while page := [d async for part in index.find(query, walked[-1].place if walked else ()) for d in part]:
            walked += page
            await index.apply([late])
        assert [uids for uids in map(_identity, walked) if "P9" not in uids] == known
        assert len(set(known)) == len(known) > 3


def _identity(document: Document) -> tuple[str, ...]:
    return tuple(document.attributes[tag][0] for tag in (ID, STUDY, SERIES, SOP) if tag in document.attributes)


@pytest.mark.parametrize("place", [("x",), (1,), (1, 2, 3, 4, 5, 6), ("a", -1), ("a", 1 << 70), (1.5, 1)])
async def test_a_place_of_no_listing_is_not_understood(index: SearchIndex, place: Any) -> None:
    """a place of another query is `NotUnderstood`"""
    with pytest.raises(NotUnderstood):
        _ = [page async for page in index.find(Query("default", Level.SERIES), place)]


async def test_memory_does_not_depend_on_how_many_match(index: SearchIndex) -> None:
    """memory does not depend on how many there are."""
    for start in range(0, 10_000, 1000):
        await index.apply([entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1") for n in range(start, start + 1000)])
    peaks = []
    for limit in (1000, 10_000):
        tracemalloc.start()
        count = 0
        async for page in index.find(Query("default", Level.STUDY, {}, limit)):
            count += len(page)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == limit
    assert peaks[1] < peaks[0] * 1.5


async def test_values_of_any_size_and_kind_are_taken(index: SearchIndex) -> None:
    """Values in the DICOM JSON model, whatever the object held."""
    large = "ä" * (1 << 20)
    await index.apply(
        [
            entry(
                1,
                PatientName={"Alphabetic": large},
                PatientID=large,
                AccessionNumber="\0\u202e<script>{{7*7}}'; DROP TABLE study;--",
                StudyDate="junk",
                InstanceNumber="1e400",
                Rows="x",
                ImageType=[None, "\\", "\U0001f600"],
            )
        ]
    )
    (document,) = await found(index, Level.IMAGE)
    assert document.attributes[ID] == [large]
    assert document.attributes[ACCESSION] == ["\0\u202e<script>{{7*7}}'; DROP TABLE study;--"]
    assert await found(index, Level.STUDY, {ID: Single((large,))})
    assert not await found(index, Level.STUDY, {ID: Single((large + "x",))})
    assert await found(index, Level.STUDY, {NAME: Wildcard(("a*",))})
    assert await found(index, Level.STUDY, {ACCESSION: Wildcard(("*DROP TABLE*",))})


async def test_lists_of_ten_thousand_uids_are_answered(index: SearchIndex) -> None:
    """Matching is that of `gantry.common.dicom.query.matching`, to the letter."""
    await index.apply(BATCH)
    many = UidList(("1.1", *[f"9.{n}" for n in range(10_000)], "1.4"))
    assert {d.attributes[STUDY][0] for d in await found(index, Level.STUDY, {STUDY: many})} == {"1.1", "1.4"}


async def test_an_index_that_is_away_is_unavailable(index: SearchIndex, index_backend: str, tmp_path: Path) -> None:
    """An index that is away or refuses is `DependencyUnavailable`."""
    await index.apply(BATCH)
    await index.check()
    BREAK_INDEX[index_backend](tmp_path)
    with pytest.raises(DependencyUnavailable):
        await everything(index)
    with pytest.raises(DependencyUnavailable):
        await index.apply([entry(0x200, "1.9.9")])
    with pytest.raises(DependencyUnavailable):
        await index.check()


_Asked = tuple[dict[int, Condition], str]


@pytest.mark.timeout(400)  # 150 data sets, each asked 24 questions, of a server that may have other things to do
@pytest.mark.parametrize("backend", SEARCH_INDEXES)
def test_find_agrees_with_the_reference_matcher(backend: str) -> None:
    """Matching is that of `gantry.common.dicom.query.matching`, to the letter."""
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        @settings(max_examples=examples(150))
        @given(data_sets_of_entries(), st.lists(st.tuples(questions(), ZONES), min_size=5, max_size=5))
        def agrees(entries: list[InstanceEntry], searches: list[_Asked]) -> None:
            asyncio.run(_agrees(SEARCH_INDEXES[backend], Path(folder), f"p{next(numbers)}", entries, searches))

        agrees()


async def _agrees(
    open_index: OpenSearchIndex,
    folder: Path,
    partition: str,
    entries: list[InstanceEntry],
    searches: list[_Asked],
) -> None:
    index = await open_index(folder)
    try:
        await index.apply([_in(e, partition) for e in entries])
        for (conditions, zone), level in itertools.product([({}, ""), *searches], Level):
            query = Query(partition, level, {t: c for t, c in conditions.items() if _known(t, level)}, zone=zone)
            answered = [document async for page in index.find(query) for document in page]
            assert as_set(answered) == as_set(answers(entries, query))
    finally:
        await index.close()


def _known(tag: int, level: Level) -> bool:
    return ATTRIBUTES[tag].level.depth <= level.depth
