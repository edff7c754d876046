"""The contract of `SearchIndex`: its successor, and its attributes; each test quotes the sentence it checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gantry.common.dicom.query.attributes import STANDARD, Attribute, AttributeTable, Level
from gantry.common.dicom.query.matching import Item, Single, Wildcard
from tests.contract.conftest import OpenSearchIndex
from tests.contract.test_search_index import BATCH, everything, found
from tests.support.entries import entry
from tests.support.index_questions import CODE, STUDY


async def test_a_successor_is_empty_and_beside_the_index_until_it_takes_over(
    open_search_index: OpenSearchIndex, tmp_path: Path
) -> None:
    """`successor` is another, empty index of the same kind beside this one. `take_over` replaces the index in use with
    it, at once and for every process"""
    index, other = await open_search_index(tmp_path), await open_search_index(tmp_path)
    await index.apply(BATCH)
    before = await everything(index)
    successor = await index.successor(STANDARD)
    assert (await successor.count("default"))["instances"] == 0
    await successor.apply(BATCH[::-1])
    await successor.apply([entry(0x77, "1.7.7", "1.7", "1.7.1", PatientID="NEW")])
    assert await everything(other) == before
    expected = await everything(successor)
    await successor.take_over()
    await successor.discard()
    for each_index in (successor, other, index):
        assert await everything(each_index) == expected
    # Whoever had it open goes on with it.
    await other.apply([entry(0x78, "1.7.8", "1.7", "1.7.1", PatientID="NEW")])
    for each_index in (successor, other, index):
        assert (await each_index.count("default"))["instances"] == 8
        await each_index.close()


async def test_a_successor_that_is_discarded_leaves_nothing(open_search_index: OpenSearchIndex, tmp_path: Path) -> None:
    """`discard` removes it."""
    index = await open_search_index(tmp_path)
    await index.apply(BATCH)
    before = await everything(index)
    abandoned = await index.successor(STANDARD)
    await abandoned.apply([entry(0x77, "1.7.7")])
    await abandoned.close()
    successor = await index.successor(STANDARD)
    assert (await successor.count("default"))["instances"] == 0
    await successor.discard()
    await successor.close()
    assert await everything(index) == before
    await index.close()


_ADDED = AttributeTable(
    [
        Attribute(0x001021C0, "PregnancyStatus", "US", Level.STUDY),
        Attribute(0x0019100A, "0019100A", "LO", Level.SERIES, creator="MAKER 1"),
        Attribute(0x00400555, "AcquisitionContextSequence", "SQ", Level.IMAGE),
    ]
)


async def test_an_index_is_searched_by_what_it_was_made_for(open_search_index: OpenSearchIndex, tmp_path: Path) -> None:
    """The searchable attributes are fixed when an index is made (`attributes`). Other attributes of an entry are left
    out; an attribute that an entry lacks is not found. `successor` may be made for other attributes."""
    index = await open_search_index(tmp_path)
    more = {0x001021C0: [2], 0x0019100A: ["Something"], 0x00400555: [{CODE: ["C1"]}]}
    plain = entry(1, PatientID="P1")
    entries = [plain, replace(entry(2, "1.2.4.1.1", "1.2.4", "1.2.4.1"), attributes={**plain.attributes, **more})]
    await index.apply(entries)
    assert (await index.attributes()).added == ()
    assert all(not set(more) & set(d.attributes) for d in await found(index, Level.IMAGE))
    successor = await index.successor(_ADDED)
    await successor.apply(entries)
    await successor.take_over()
    await successor.discard()
    await index.close()
    await successor.close()
    index = await open_search_index(tmp_path)
    table = await index.attributes()
    assert table.added == _ADDED.added
    for condition in (
        {0x001021C0: Single(("2",))},
        {0x0019100A: Wildcard(("some*",)), STUDY: Single(("1.2.4",))},
        {0x0019100A: Wildcard(("*thing",))},
        {0x00400555: Item({CODE: Single(("C1",))})},
    ):
        matched = await found(index, Level.IMAGE, condition, attributes=table)
        expected = 0 if Wildcard(("some*",)) in condition.values() else 1  # LO is compared with its case
        assert len(matched) == expected
        assert all(set(more) <= set(document.attributes) for document in matched)
    await index.close()
