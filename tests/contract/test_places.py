"""The contract of `SearchIndex` about the object stores that hold the objects."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.lifecycle import HOT, Place
from gantry.common.ports.index import InstanceEntry, Relocation, SearchIndex
from tests.contract.test_deletions import GONE, UNDO, decided, deletion, key
from tests.contract.test_search_index import BATCH, EARLY
from tests.support.long import examples

ENTRIES = [*BATCH, EARLY]
FIRST, CURRENT = BATCH[0], BATCH[3]
STORES = ("cold", "glacier")


def relocation(entry: InstanceEntry, store: str = "cold", at: int = 1_700_000_000_000_000) -> Relocation:
    return Relocation(entry.partition, key(entry), entry.receipt, Place(at, store))


def uids(entry: InstanceEntry, level: Level) -> tuple[str, ...]:
    every = entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid
    return every[: {Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}[level]]


async def lies(index: SearchIndex, entries: Sequence[InstanceEntry] = ENTRIES) -> dict[Any, Any]:
    """All that an index answers about where things are."""
    stores: dict[Any, Any] = {}
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        stores |= await index.stores_of("default", level, {uids(entry, level) for entry in entries}, STORES)
    return {**stores, "places": await index.places("default", [entry.receipt for entry in entries])}


async def test_what_was_never_relocated_is_left_out(index: SearchIndex) -> None:
    """receipts that were never relocated are left out. Those with nothing in these stores are left out"""
    await index.apply(ENTRIES)
    assert await lies(index) == {"places": {}}
    assert await index.stores_of("default", Level.STUDY, [], STORES) == {}
    assert await index.stores_of("default", Level.STUDY, [uids(FIRST, Level.STUDY)], ()) == {}


async def test_a_place_is_told_at_every_level_above_and_of_nothing_else(index: SearchIndex) -> None:
    """Which of `stores` hold anything of some studies, series or instances."""
    await index.apply(ENTRIES)
    await index.relocate([relocation(FIRST), relocation(CURRENT, "glacier")])
    answer = await lies(index)
    assert answer.pop("places") == {
        FIRST.receipt: relocation(FIRST).place,
        CURRENT.receipt: relocation(CURRENT, "glacier").place,
    }
    expected: dict[tuple[str, ...], frozenset[str]] = {}
    for entry, store in ((FIRST, "cold"), (CURRENT, "glacier")):
        for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
            at = uids(entry, level)
            expected[at] = expected.get(at, frozenset()) | {store}
    assert answer == expected
    assert await index.stores_of("default", Level.IMAGE, [uids(FIRST, Level.IMAGE)], ["glacier"]) == {}
    assert await index.stores_of("other", Level.IMAGE, [uids(FIRST, Level.IMAGE)], STORES) == {}


async def test_the_latest_place_counts_whatever_comes_first(index: SearchIndex) -> None:
    """the latest place of each counts. Idempotent and, with `apply`, `decide` and itself, independent of order"""
    await index.relocate([relocation(FIRST, HOT, at=9), relocation(FIRST, "cold", at=5)])
    await index.relocate([relocation(FIRST, "glacier", at=7)])
    await index.apply(ENTRIES)
    assert (await lies(index)) == {"places": {FIRST.receipt: Place(9, HOT)}}
    await index.relocate([relocation(FIRST, "glacier", at=10)])
    await index.relocate([relocation(FIRST, "cold", at=9)])
    assert (await lies(index))[uids(FIRST, Level.STUDY)] == {"glacier"}


async def test_what_is_hidden_lies_nowhere_until_it_is_back(index: SearchIndex) -> None:
    """and so are hidden receipts"""
    await index.apply(ENTRIES)
    await index.relocate([relocation(FIRST)])
    before = await lies(index)
    await index.decide([decided(FIRST, deletion())])
    assert [at for at in await lies(index) if at != "places"] == []
    # Heard of the other way round it is the same.
    await index.decide([decided(CURRENT, deletion())])
    await index.relocate([relocation(CURRENT, "glacier")])
    assert [at for at in await lies(index) if at != "places"] == []
    await index.decide([decided(FIRST, UNDO)])
    assert (await lies(index, [FIRST]))[uids(FIRST, Level.IMAGE)] == {"cold"}
    assert {at: stores for at, stores in (await lies(index)).items() if at != "places"} == {
        at: stores for at, stores in before.items() if at != "places"
    }


async def test_places_go_with_a_successor(index: SearchIndex) -> None:
    await index.apply([FIRST])
    successor = await index.successor(STANDARD)
    await successor.relocate([relocation(FIRST)])
    await successor.apply([FIRST])
    await successor.take_over()
    await successor.discard()
    await successor.close()
    assert (await lies(index, [FIRST]))[uids(FIRST, Level.STUDY)] == {"cold"}


_STEPS = st.lists(
    st.one_of(
        st.sampled_from(range(len(ENTRIES))),
        st.tuples(st.sampled_from(range(len(ENTRIES))), st.sampled_from([deletion(), deletion("e"), UNDO, GONE])),
        st.tuples(st.sampled_from(range(len(ENTRIES))), st.integers(1, 5), st.sampled_from([HOT, *STORES])),
    ),
    min_size=1,
    max_size=20,
)


async def taken(index: SearchIndex, steps: Sequence[Any]) -> None:
    for step in steps:
        if isinstance(step, int):
            await index.apply([ENTRIES[step]])
        elif len(step) == 2:
            await index.decide([decided(ENTRIES[step[0]], step[1])])
        else:
            await index.relocate([relocation(ENTRIES[step[0]], step[2], step[1])])


@given(_STEPS, st.data())
@settings(max_examples=examples(60), deadline=None)
async def test_any_order_of_entries_decisions_and_relocations_ends_the_same(
    steps: list[Any], data: st.DataObject
) -> None:
    """Idempotent and, with `apply`, `decide` and itself, independent of order"""
    other = data.draw(st.permutations([*steps, *steps[:3]]))
    answers = []
    for order in (steps, other):
        with tempfile.TemporaryDirectory() as folder:
            index = await open_sqlite_index(Path(folder) / "index.db")
            await taken(index, order)
            answers.append(await lies(index))
            await index.close()
    assert answers[0] == answers[1]
