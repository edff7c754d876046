"""Of several alternatives one holds (`Query.one_of`): the same studies on every index, in lists, numbers and places.

The oracle is an index in a file in which only what is seen was stored.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.access import SIGHT, restricted
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.matching import Level
from gantry.common.dicom.query.ordering import SortKey
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.restricted_index import RestrictedIndex
from tests.support.sights import CONDITIONS, ENTRIES, NUMBER, QUESTIONS, SIGHTS, STUDY, query, texts

_SEVERAL = [name for name, (sight, _) in SIGHTS.items() if sight.alternatives]


async def test_archive_is_as_small_as_what_is_seen(index: SearchIndex, tmp_path: Path) -> None:
    await index.apply(ENTRIES)
    whole, places = RestrictedIndex(index), 0
    for name in _SEVERAL:
        sight, sees = SIGHTS[name]
        smaller = await open_sqlite_index(tmp_path / f"{_SEVERAL.index(name)}.db")
        try:
            await smaller.apply([entry for entry in ENTRIES if sees(NUMBER[entry.study_instance_uid])])
            for level, asked_for in QUESTIONS:
                if (level, asked_for) == (Level.STUDY, "a series"):
                    continue  # no key of that level (PS3.4 C.4.1.2.1)
                question = query(level, CONDITIONS[asked_for])
                with restricted(sight):
                    answers = [document.attributes async for page in whole.find(question) for document in page]
                    total = await whole.total(question)
                    located = [location.sop_instance_uid async for page in whole.locate(question) for location in page]
                    place = await whole.place_behind(question, 1)
                    rest = [
                        document.attributes async for page in whole.find(question, place or ()) for document in page
                    ]
                places += place is not None
                assert texts(rest) == texts(answers[int(place is not None) :]), (name, level, asked_for)
                expected = [document.attributes async for page in smaller.find(question) for document in page]
                assert texts(answers) == texts(expected), (name, level, asked_for)
                assert total == len(expected), (name, level, asked_for)
                expected_uids = [
                    location.sop_instance_uid async for page in smaller.locate(question) for location in page
                ]
                assert sorted(located) == sorted(expected_uids), (name, level, asked_for)
            assert SIGHT.get().whole
        finally:
            await smaller.close()
    assert places > len(_SEVERAL)


@pytest.mark.parametrize("name", ["either of many", "ordinary and one that was opened"])
async def test_pages_in_an_order_are_those_of_the_smaller_archive(index: SearchIndex, name: str) -> None:
    await index.apply(ENTRIES)
    whole, (sight, sees) = RestrictedIndex(index), SIGHTS[name]
    uids, after = [], ()
    with restricted(sight):
        while True:
            question = query(Level.STUDY, {}, 2, (SortKey(TAGS["StudyDate"], True),))
            page = [document async for part in whole.find(question, after) for document in part]
            if not page:
                break
            uids += [document.attributes[STUDY][0] for document in page]
            after = page[-1].place
    dates = {entry.study_instance_uid: entry.attributes[TAGS["StudyDate"]][0] for entry in ENTRIES}
    expected = [uid for uid in sorted(dates, key=lambda uid: dates[uid], reverse=True) if sees(NUMBER[uid])]
    assert uids == expected
