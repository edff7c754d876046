"""Orders and totals of `SearchIndex`; each test quotes the sentence of the port that it checks."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.sqlite.index.index import SqliteIndex
from gantry.common.dicom.query.attributes import ATTRIBUTES, Level
from gantry.common.dicom.query.matching import Condition, Document, Fuzzy, Query, Range, Single, Wildcard
from gantry.common.dicom.query.ordering import RECEIVED, STUDY_ORDERS, Order, SortKey, ranking
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood
from gantry.common.ports.index import InstanceEntry, SearchIndex
from tests.contract.conftest import SEARCH_INDEXES, OpenSearchIndex
from tests.support.entries import answers, current, entry
from tests.support.index_questions import DATE, MODALITY, NAME, STUDY, ZONES, data_sets_of_entries, orders, questions
from tests.support.long import examples

NUMBER, SERIES_NUMBER, MODALITIES = 0x00200013, 0x00200011, 0x00080061
_SAMPLES = [NUMBER, MODALITY, SERIES_NUMBER, NAME, 0x00201209, 0x0008103E]
_Asked = tuple[dict[int, Condition], str, Order, Order]


def uids(documents: list[Document]) -> list[tuple[str, ...]]:
    tags = (STUDY, 0x0020000E, 0x00080018)
    return [tuple(d.attributes[tag][0] for tag in tags if tag in d.attributes) for d in documents]


def in_order(entries: list[InstanceEntry], query: Query) -> list[tuple[str, ...]]:
    """What must be answered, sorted the slow and obvious way."""
    received: dict[str, str] = {}
    for instance in sorted(current(entries), key=lambda e: e.receipt):
        received.setdefault(instance.study_instance_uid, instance.receipt)
    key = ranking(query.order, lambda tag: b"UI" if tag == RECEIVED else vr_of(tag))
    matches = answers(entries, replace(query, order=()))
    return uids(sorted(matches, key=lambda d: key(d.attributes | {RECEIVED: [received[d.attributes[STUDY][0]]]})))


async def walked(index: SearchIndex, query: Query, step: int) -> list[Document]:
    """All matches, a few at a time."""
    documents: list[Document] = []
    while batch := [
        d
        async for page in index.find(replace(query, limit=step), documents[-1].place if documents else ())
        for d in page
    ]:
        documents += batch
    return documents


@pytest.mark.timeout(400)
@pytest.mark.parametrize("backend", SEARCH_INDEXES)
def test_orders_and_totals_agree_with_the_reference(backend: str) -> None:
    """With an `order`, studies come in that of `gantry.common.dicom.query.ordering`; How many documents `find` would
    return without a limit, exactly."""
    numbers = itertools.count()
    questions_and_orders = st.tuples(questions(), ZONES, orders(), orders(_SAMPLES))
    with tempfile.TemporaryDirectory() as folder:

        @settings(max_examples=examples(100 if backend == "sqlite" else 60))
        @given(data_sets_of_entries(), st.lists(questions_and_orders, min_size=4, max_size=4))
        def agrees(entries: list[InstanceEntry], all_asked: list[_Asked]) -> None:
            asyncio.run(_agrees(SEARCH_INDEXES[backend], Path(folder), f"p{next(numbers)}", entries, all_asked))

        agrees()


async def _agrees(
    open_index: OpenSearchIndex, folder: Path, partition: str, entries: list[InstanceEntry], all_asked: list[_Asked]
) -> None:
    index = await open_index(folder)
    try:
        await index.apply([replace(e, partition=partition) for e in entries])
        for conditions, zone, order, below in [({}, "", (SortKey(DATE, True),), (SortKey(NUMBER),)), *all_asked]:
            await _asked(index, entries, partition, conditions, zone, order, below)
    finally:
        await index.close()


async def _asked(
    index: SearchIndex,
    entries: list[InstanceEntry],
    partition: str,
    conditions: dict[int, Condition],
    zone: str,
    order: Order,
    below: Order,
) -> None:
    for level in Level:
        known = {t: c for t, c in conditions.items() if ATTRIBUTES[t].level.depth <= level.depth}
        query = Query(partition, level, known, zone=zone)
        assert await index.total(query) == len(answers(entries, query))
        if level is Level.STUDY:
            ordered = replace(query, order=order)
        elif level is not Level.PATIENT:
            study = entries[0].study_instance_uid
            ordered = replace(query, conditions={**known, STUDY: Single((study,))}, order=below)
        else:
            continue
        expected = in_order(entries, ordered)
        assert uids([d async for page in index.find(ordered) for d in page]) == expected
        assert uids(await walked(index, ordered, 2)) == expected
        for search in (query, ordered):
            await _goes_on(index, search)


async def _goes_on(index: SearchIndex, query: Query) -> None:
    """The place of document number `count` (from 1) of those that `find` returns, where it can continue; None if the
    index would have to read documents one by one, and if fewer match."""
    expected_uids = uids([d async for page in index.find(query) for d in page])
    for count in range(1, len(expected_uids) + 2):
        place = await index.place_behind(query, count)
        if place is not None:
            assert count <= len(expected_uids)
            assert uids([d async for page in index.find(query, place) for d in page]) == expected_uids[count:]


def _study(n: int, **more: Any) -> InstanceEntry:
    name = {"Alphabetic": f"Pat{n % 7}^{n % 3}"}
    day = f"2024{1 + n % 12:02}{1 + n % 28:02}"
    return entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientName=name, StudyDate=day, PatientID=f"P{n}", **more)


_NEWEST = (SortKey(DATE, True), SortKey(0x00080030, True))


@pytest.mark.parametrize("order", [(SortKey(DATE, True),), (SortKey(NAME), SortKey(DATE, True)), _NEWEST])
async def test_what_is_applied_meanwhile_neither_repeats_nor_hides_a_match_of_an_order(
    index: SearchIndex, order: Order
) -> None:
    """never make another match appear twice or be missed."""
    await index.apply([_study(n) for n in range(0, 2600, 2)])
    before = [d.attributes[STUDY][0] async for p in index.find(Query("default", Level.STUDY, order=order)) for d in p]
    assert len(before) == 1300
    seen: list[str] = []
    more = iter(range(1, 2600, 2))
    async for page in index.find(Query("default", Level.STUDY, order=order)):
        seen += [d.attributes[STUDY][0] for d in page]
        await index.apply([_study(next(more)) for _ in range(100)])
    assert len(seen) == len(set(seen))
    assert [uid for uid in seen if uid in set(before)] == before


@pytest.mark.parametrize(
    "conditions",
    [{}, {NAME: Fuzzy(("pat*",))}, {DATE: Range("20240201", "20241231")}, {NAME: Wildcard(("pat*",))}],
    ids=["all", "words", "dates", "names"],
)
@pytest.mark.parametrize("order", [(), _NEWEST, (SortKey(NAME), SortKey(DATE, True))], ids=["none", "date", "name"])
async def test_a_page_deep_in_a_listing_is_found_without_what_is_before_it(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, conditions: dict[int, Condition], order: Order
) -> None:
    """The place of document number `count` (from 1) of those that `find` returns"""
    monkeypatch.setattr("gantry.common.adapters.opensearch.totals._PASSED", 400)
    await index.apply([_study(n) for n in range(1200)])
    query = Query("default", Level.STUDY, conditions, order=order)
    expected_uids = uids([d async for page in index.find(query) for d in page])
    assert len(expected_uids) > 1000
    place = await index.place_behind(query, 900)
    if place is None:
        # Without an order the embedded index lists by what narrows; and terms do not decide beginnings of words.
        embedded = isinstance(index, SqliteIndex)
        assert not order if embedded else isinstance(conditions[NAME], Fuzzy)
        assert conditions
        return
    assert (
        uids([d async for page in index.find(replace(query, limit=60), place) for d in page]) == expected_uids[900:960]
    )
    assert await index.place_behind(query, len(expected_uids) + 1) is None


@pytest.mark.parametrize("level", [Level.SERIES, Level.IMAGE])
async def test_so_is_a_page_of_series_or_instances(index: SearchIndex, level: Level) -> None:
    """The place of document number `count` (from 1) of those that `find` returns"""
    await index.apply([entry(n, f"1.9.{n}", f"1.{n // 7}", f"1.{n // 7}.{n % 2}", Modality="CT") for n in range(900)])
    query = Query("default", level)
    expected_uids = uids([d async for page in index.find(query) for d in page])
    for count in (1, len(expected_uids) // 2, len(expected_uids) - 1):
        place = await index.place_behind(query, count)
        assert place is not None
        assert uids([d async for page in index.find(query, place) for d in page]) == expected_uids[count:]
    assert await index.place_behind(query, len(expected_uids) + 1) is None


@pytest.mark.parametrize(("few", "near"), [(0, 1), (20_000, 1), (20_000, 400), (0, 2_000)])
async def test_conditions_and_orders_go_together_however_many_match(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, few: int, near: int
) -> None:
    """the embedded index sorts few studies and walks along many, or where the next ones hold a page"""
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.FEW", few)
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.NEXT", near)
    many = [_study(n, StudyDescription=f"d{n % 5}") for n in range(1200)]
    await index.apply(many)
    conditions: list[dict[int, Condition]] = [
        {DATE: Range("20240301", "20241015")},
        {NAME: Wildcard(("pat3*", "pat5*"))},
        {NAME: Fuzzy(("2 pat3",))},
        {NAME: Fuzzy(("1* pat*",))},
        {0x00081030: Single(("d2",)), DATE: Range(None, "20240601")},
        {0x00081030: Wildcard(("*3",))},
    ]
    for condition, order in itertools.product(conditions, [_NEWEST, (SortKey(NAME), SortKey(RECEIVED, True))]):
        query = Query("default", Level.STUDY, condition, order=order)
        expected = in_order(many, query)
        assert uids(await walked(index, query, 60)) == expected
        assert await index.total(query) == len(expected)


async def test_the_instances_of_a_long_series_are_listed_by_their_number(index: SearchIndex) -> None:
    """the series or instances of one study, which the query names, by any attribute"""
    await index.apply([entry(n, f"1.9.{n}", InstanceNumber=3000 - n) for n in range(2500)])
    query = Query("default", Level.IMAGE, {STUDY: Single(("1.2.3",))}, order=(SortKey(NUMBER),))
    documents = [d async for page in index.find(query) for d in page]
    assert [d.attributes[NUMBER][0] for d in documents] == sorted(3000 - n for n in range(2500))
    behind = [d async for page in index.find(replace(query, limit=3), documents[1200].place) for d in page]
    assert uids(behind) == uids(documents[1201:1204])


@pytest.mark.parametrize(
    ("level", "order", "place"),
    [
        (Level.STUDY, (SortKey(0x00104000),), ()),  # not kept sorted
        (Level.SERIES, (SortKey(MODALITY),), ()),  # of no one study
        (Level.PATIENT, (SortKey(NAME),), ()),
        (Level.STUDY, (SortKey(DATE),), ("-00080020", "20240101", "1.2")),  # of the other direction
        (Level.STUDY, (SortKey(DATE),), ("00080020", "20240101")),
        (Level.STUDY, (SortKey(MODALITIES),), (1, 2, 3)),
        (Level.STUDY, (SortKey(0x00201208),), ("00201208", 1 << 70, "1.2")),
    ],
)
async def test_an_order_that_is_none_and_a_place_that_is_none_of_it_are_not_understood(
    index: SearchIndex, level: Level, order: Order, place: Any
) -> None:
    """Other orders are `NotUnderstood`"""
    await index.apply([_study(1)])
    with pytest.raises(NotUnderstood):
        _ = [page async for page in index.find(Query("default", level, order=order), place)]


async def test_every_order_of_studies_is_answered(index: SearchIndex) -> None:
    """by any of its `STUDY_ORDERS`"""
    many = [_study(n, AccessionNumber=f"A{n * 7 % 13}", Modality=("CT", "MR")[n % 2]) for n in range(1, 40)]
    await index.apply(many)
    for tag, down in itertools.product(STUDY_ORDERS, (False, True)):
        query = Query("default", Level.STUDY, order=(SortKey(tag, down),))
        assert uids(await walked(index, query, 10)) == in_order(many, query)


async def test_a_name_is_found_by_the_beginnings_of_its_words_in_any_order(index: SearchIndex) -> None:
    """Matching is that of `gantry.common.dicom.query.matching`, to the letter."""
    names = ["DOE^JANE", "Doe^John^Q", "Müller^Jörg", "van der Berg^Anna Maria", "Yamada^Tarou=山田^太郎"]
    many = [
        entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientID=f"P{n}", PatientName=dict(zip(_GROUPS, name.split("="))))
        for n, name in enumerate(names)
    ]
    await index.apply(many)
    for key, expected in {
        "jane doe": {0},
        "do": {0, 1},
        "q jo do": {1},
        "jorg mul": {2},
        "berg anna": {3},
        "maria van": {3},
        "太郎 山": {4},
        "tarou": {4},
        "jane muller": set(),
    }.items():
        query = Query("default", Level.STUDY, {NAME: Fuzzy((key,))}, order=(SortKey(NAME),))
        numbers = {int(uid[2:]) for (uid,) in uids([d async for page in index.find(query) for d in page])}
        assert expected <= numbers, key  # and what sounds so
        assert numbers == {int(uid[2:]) for (uid,) in in_order(many, query)}
        assert await index.total(query) == len(numbers)


_GROUPS = ("Alphabetic", "Ideographic")
