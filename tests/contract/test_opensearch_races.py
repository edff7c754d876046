"""Two writers of OpenSearch, one of which does all of its work between two requests of the other: whichever two
requests these are, it ends as one after the other does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gantry.common.adapters.opensearch import OpenSearchIndex
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.lifecycle import DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, Loss
from tests.contract.test_deletions import GONE, UNDO, deletion, expected, key
from tests.contract.test_opensearch_deletions import holds, open_index
from tests.contract.test_search_index import as_set
from tests.support.entries import entry
from tests.support.overtaking import next_point, overtaken
from tests.support.servers import remove_indices

Work = Callable[[OpenSearchIndex, str], Awaitable[object]]
"""What a writer does in a partition: each race has one of its own, which is faster than an index."""
FIRST = entry(10, PatientID="P-FIRST")
SAME = entry(11, PatientID="P-FIRST")
OTHER = entry(12, digest="blake3:ff", PatientID="P-OTHER")
OTHER_AGAIN = entry(13, digest="blake3:ff", PatientID="P-OTHER")
EARLY = entry(1, digest="blake3:ee", PatientID="P-EARLY")


def applying(*entries: InstanceEntry) -> Work:
    return lambda index, partition: index.apply([replace(instance, partition=partition) for instance in entries])


def deciding(instance: InstanceEntry, *deletion_states: DeletionState) -> Work:
    return lambda index, partition: index.decide(
        [Decision(partition, key(instance), instance.receipt, deletion_state) for deletion_state in deletion_states]
    )


def losing(instance: InstanceEntry) -> Work:
    return lambda index, partition: index.lose([Loss(partition, key(instance), instance.receipt)])


@dataclass(frozen=True)
class Race:
    """What was before, what the slow writer and the other one do, and which entries are left; `lost` receipts, and
    text that no document may hold."""

    before: Sequence[Work]
    slow: Work
    fast: Work
    left: Sequence[InstanceEntry]
    lost: Sequence[InstanceEntry] = ()
    gone: str = ""


RACES = {
    "applied while it is deleted": Race([], applying(FIRST), deciding(FIRST, deletion()), []),
    "deleted while it is applied": Race([], deciding(FIRST, deletion()), applying(FIRST), []),
    "applied while it is collected": Race([], applying(FIRST), deciding(FIRST, deletion(), GONE), [], gone="P-FIRST"),
    "deleted while it comes again": Race([applying(FIRST)], deciding(FIRST, deletion()), applying(FIRST, SAME), [SAME]),
    "restored while it is lost": Race(
        [applying(FIRST, SAME), deciding(FIRST, deletion())],
        deciding(FIRST, UNDO),
        losing(FIRST),
        [FIRST, SAME],
        [FIRST],
    ),
    "lost while it is restored": Race(
        [applying(FIRST, SAME), deciding(FIRST, deletion())],
        losing(FIRST),
        deciding(FIRST, UNDO),
        [FIRST, SAME],
        [FIRST],
    ),
    "restored while it is deleted again": Race(
        [applying(FIRST), deciding(FIRST, deletion())], deciding(FIRST, UNDO), deciding(FIRST, deletion("e")), []
    ),
    "heard of while it is restored": Race(
        [deciding(FIRST, deletion())], applying(FIRST), deciding(FIRST, UNDO), [FIRST]
    ),
    "restored while it is heard of": Race(
        [deciding(FIRST, deletion())], deciding(FIRST, UNDO), applying(FIRST), [FIRST]
    ),
    "deleted while an earlier one comes": Race(
        [applying(FIRST, OTHER)], deciding(FIRST, deletion()), applying(EARLY), [EARLY, OTHER]
    ),
    "displaced while it is collected": Race(
        [applying(FIRST)], applying(EARLY), deciding(FIRST, deletion(), GONE), [EARLY], gone="P-FIRST"
    ),
    "collected while its bytes come again": Race(
        [applying(FIRST), applying(OTHER), deciding(OTHER, deletion())],
        deciding(OTHER, GONE),
        applying(OTHER_AGAIN),
        [FIRST, OTHER_AGAIN],
    ),
    "come again while they are collected": Race(
        [applying(FIRST), applying(OTHER)],
        applying(OTHER_AGAIN),
        deciding(OTHER, deletion(), GONE),
        [FIRST, OTHER_AGAIN],
    ),
}


@pytest.mark.parametrize("name", RACES)
async def test_a_writer_that_another_overtakes_anywhere_ends_as_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    slow, fast = await open_index(tmp_path), await open_index(tmp_path)
    try:
        point, overtook = 0, True
        while overtook:
            overtook = await raced(RACES[name], slow, fast, point, monkeypatch)
            point = next_point(point)
        assert point > 3
    finally:
        await slow.close()
        await fast.close()
        remove_indices(slow._cluster.prefix)


async def raced(
    race: Race, slow: OpenSearchIndex, fast: OpenSearchIndex, point: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Run a race; whether the slow writer had so many requests."""
    partition = f"p{point}"
    for step in race.before:
        await step(fast, partition)
    overtook = await overtaken(
        slow, lambda: race.slow(slow, partition), lambda: race.fast(fast, partition), point, monkeypatch
    )
    assert await levels(fast, partition) == expected(race.left), f"at request {point}"
    known = await fast.receipts(partition, key(FIRST))
    assert [receipt.id for receipt in known if receipt.lost] == [receipt.receipt for receipt in race.lost], (
        f"at request {point}"
    )
    assert not race.gone or not holds(fast, race.gone.encode())
    # And what is left of it is whole: other bytes become current, the earliest first.
    left = sorted(race.left, key=lambda instance: instance.receipt)
    while len(left) > 1:
        await deciding(left.pop(0), deletion("all"))(fast, partition)
        assert await levels(fast, partition) == expected(left), f"at request {point}"
    return overtook


async def levels(index: OpenSearchIndex, partition: str) -> dict[str, list[str]]:
    """All documents of a partition, by level."""
    known = {}
    for level in Level:
        pages = [page async for page in index.find(Query(partition, level))]
        known[level.value] = as_set([document for page in pages for document in page])
    return known
