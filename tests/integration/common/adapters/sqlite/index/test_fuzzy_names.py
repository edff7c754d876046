"""Words of names in the embedded index: counted by SQL, and found by what separates them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.adapters.sqlite.database import Readers
from gantry.common.adapters.sqlite.index.paths import path_of_studies
from gantry.common.adapters.sqlite.index.totals import total
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Fuzzy, Query
from gantry.common.dicom.standard.tags import PATIENT_NAME
from tests.support.entries import answers, entry

NAMES = [
    *(
        "Doe^Jane",
        "Doe Jane",
        "Meyer-Jansen^Ute",
        "O'Jara^Li",
        "Dr.Janus",
        "Lee,Jan",
        "Ben=",
        "X\u2019Jay",
        "A;Ja",
        "B`Ja",
    ),
    *(
        "X\tJane",
        "X\u2028Jane",
        "X\x85Jane",
        "X\x1cJane",
        "X\u3000Jane",
        "Ajan^Ben",
        "Dejan",
        "Jain^Sita",
        "Shane",
        "*",
        "[ja]",
    ),
]


async def counted(folder: Path, words: Sequence[str], *, asks: bool = False) -> list[int | None]:
    """How many studies of `NAMES` have such words, by SQL. Unless it `asks`, no row is looked at."""
    index = await open_sqlite_index(folder / "index.db")
    entries = [
        entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientID=f"P{n}", PatientName={"Alphabetic": name})
        for n, name in enumerate(NAMES)
    ]
    await index.apply(entries)
    readers = Readers(folder / "index.db", "index")

    def test(attributes: Any) -> bool:
        assert asks, "a row was looked at"
        return False

    try:
        numbers = []
        for word in words:
            query = Query("default", Level.STUDY, {PATIENT_NAME: Fuzzy((word,))})
            number = await readers.run(partial(total, query=query, path=path_of_studies(query), test=test))
            assert number is None or number == len(answers(entries, query)), word
            matches = [match async for page in index.find(query) for match in page]
            assert len(matches) == len(answers(entries, query)), word
            numbers.append(number)
        return numbers
    finally:
        readers.close()
        await index.close()


async def test_words_of_names_are_counted_without_looking_at_rows(tmp_path: Path) -> None:
    words = ["ja*", "jan*", "jane*", "do* ja*", "ben*", "zzz*", "jane", "lee jan", "[ja*", "JANE*"]
    numbers = await counted(tmp_path, words)
    assert None not in numbers
    assert numbers[0] == len(NAMES) - 6  # all but Ben, Ajan, Dejan, Shane, * and [ja]


@pytest.mark.parametrize("word", ["j?ne*", "*ane", "j*ne", "*", "a\0b*"])
async def test_other_patterns_are_left_to_the_reference(tmp_path: Path, word: str) -> None:
    assert await counted(tmp_path, [word]) == [None]
