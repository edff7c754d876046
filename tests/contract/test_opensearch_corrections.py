"""Corrections on OpenSearch: whichever two requests of a writer another one comes between, it ends as one after the
other does; so does a correction that is cut off anywhere, once it comes again."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.opensearch import OpenSearchIndex
from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.ports.index import CorrectionChange, InstanceEntry
from tests.contract.test_corrections import (
    _CHANGES,
    ENTRIES,
    expected,
    identity,
    key,
    left_of,
    made,
    merged,
    name,
    of_patient,
    of_study,
    take,
    text,
)
from tests.contract.test_opensearch_deletions import open_index
from tests.contract.test_opensearch_races import levels
from tests.contract.test_search_index import everything
from tests.support.overtaking import next_point, overtaken
from tests.support.servers import remove_indices

Work = Callable[[OpenSearchIndex, str], Awaitable[object]]
FIRST, SECOND, OTHER = ENTRIES[0], ENTRIES[1], ENTRIES[2]
NAME = of_study("1.1", made("a", name("POE^JANE")))
MOVED = of_study("1.1", made("b", identity("P2")))
SERIES = of_study("1.1", made("c", text("00080060", "CS", "OT"), "1.1.2"))
MERGE = of_patient(key("P1"), merged("m", "P2", name("ROE^RICHARD")))
INTO_NEW = of_patient(key("P1"), merged("o", "P-NEW"))
LEVELS = (Level.STUDY, Level.SERIES, Level.IMAGE)
ONWARD = of_patient(key("P2"), merged("n", "P3"))


def applying(*entries: InstanceEntry) -> Work:
    return lambda index, partition: index.apply([replace(entry, partition=partition) for entry in entries])


def correcting(*changes: CorrectionChange) -> Work:
    return lambda index, partition: index.correct([replace(change, partition=partition) for change in changes])


@dataclass(frozen=True)
class Race:
    before: Sequence[Work]
    slow: Work
    fast: Work
    entries: Sequence[InstanceEntry]
    changes: Sequence[CorrectionChange]


RACES = {
    "arrives while its patient is merged": Race([], applying(FIRST), correcting(MERGE), [FIRST], [MERGE]),
    "merged while a study arrives": Race([], correcting(MERGE), applying(FIRST), [FIRST], [MERGE]),
    "moved to another patient who is merged": Race(
        [applying(FIRST, OTHER)], correcting(MOVED), correcting(ONWARD), [FIRST, OTHER], [MOVED, ONWARD]
    ),
    "a series is corrected while another one comes": Race(
        [applying(FIRST)], correcting(SERIES), applying(SECOND), [FIRST, SECOND], [SERIES]
    ),
}


@pytest.mark.parametrize("race", RACES.values(), ids=list(RACES))
async def test_a_writer_that_another_overtakes_anywhere_ends_as_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: Race
) -> None:
    slow, fast = await open_index(tmp_path), await open_index(tmp_path)
    try:
        point, overtook = 0, True
        while overtook:
            partition = f"p{point}"
            for step in race.before:
                await step(fast, partition)
            overtook = await overtaken(
                slow, _work(race.slow, slow, partition), _work(race.fast, fast, partition), point, monkeypatch
            )
            assert await levels(fast, partition) == expected(race.entries, race.changes), f"at request {point}"
            point = next_point(point)
        assert point > 3
    finally:
        await slow.close()
        await fast.close()
        remove_indices(slow._cluster.prefix)


async def test_who_reads_while_studies_go_to_a_new_patient_finds_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = await open_index(tmp_path), await open_index(tmp_path)
    missed: list[tuple[int, Level]] = []
    try:
        point, beside = 0, True
        while beside:
            partition = f"p{point}"
            await applying(FIRST, OTHER)(fast, partition)
            counts = {level: len(await _found(fast, partition, level)) for level in LEVELS}

            async def read(partition: str = partition, counted: dict[Level, int] = counts, point: int = point) -> None:
                missed.extend(
                    [(point, level) for level in LEVELS if len(await _found(fast, partition, level)) != counted[level]]
                )

            beside = await overtaken(slow, _work(correcting(INTO_NEW), slow, partition), read, point, monkeypatch)
            point = next_point(point)
        assert point > 3
        assert missed == []
    finally:
        await slow.close()
        await fast.close()
        remove_indices(slow._cluster.prefix)


async def _found(index: OpenSearchIndex, partition: str, level: Level) -> list[Mapping[int, Any]]:
    return [document async for page in index.find(Query(partition, level)) for document in page]


def _work(work: Work, index: OpenSearchIndex, partition: str) -> Callable[[], Awaitable[object]]:
    return lambda: work(index, partition)


class Cut(Exception):
    pass


async def test_a_correction_that_is_cut_off_anywhere_is_whole_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = await open_index(tmp_path)
    request = OpenSearchClient.request
    try:
        point, was_cut = 0, True
        while was_cut:
            partition = f"p{point}"
            await applying(*ENTRIES)(index, partition)
            left = point

            async def cut(client: OpenSearchClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left == -1:
                    raise Cut
                return await request(client, method, path, *arguments, **more)

            work = correcting(NAME, MERGE, SERIES)
            with monkeypatch.context() as patch:
                patch.setattr(OpenSearchClient, "request", cut)
                try:
                    await work(index, partition)
                    was_cut = False
                except Cut:
                    was_cut = True
            await work(index, partition)
            assert await levels(index, partition) == expected(ENTRIES, [NAME, MERGE, SERIES]), f"at request {point}"
            point = next_point(point)
        assert point > 5
    finally:
        await index.close()
        remove_indices(index._cluster.prefix)


async def test_random_orders_of_entries_corrections_and_decisions_end_the_same(tmp_path: Path) -> None:
    """The same steps as on SQLite, of which a server over the network sees some."""
    index = await open_index(tmp_path)
    rolls = random.Random(14)
    every = [
        *(("entry", n) for n in range(len(ENTRIES))),
        *(("change", n) for n in range(len(_CHANGES))),
        ("delete", 0),
    ]
    try:
        for _ in range(4):
            steps = rolls.sample(every, 12)
            again = [*rolls.sample(steps, 12), *rolls.sample(steps, 4)]
            await take(index, again)
            state = await everything(index)
            state.pop("count")
            assert state == expected(left_of(steps), [_CHANGES[n] for kind, n in steps if kind == "change"]), steps
            remove_indices(index._cluster.prefix)
            await index.close()
            index = await open_index(tmp_path)
    finally:
        await index.close()
        remove_indices(index._cluster.prefix)
