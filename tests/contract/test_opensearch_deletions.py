"""What only OpenSearch has to show of deletion: any order, several writers at once and a death between any two writes
end the same, and nothing of a collected header stays in any document."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.opensearch import OpenSearchIndex
from gantry.common.adapters.opensearch.client import BulkOperation, OpenSearchClient, OperationResult
from gantry.common.adapters.opensearch.cluster import KINDS
from gantry.common.adapters.opensearch.documents import MOST_NEAR
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import ALIVE, DeletionState
from gantry.common.ports.index import Decision, HoldChange, InstanceEntry, Loss, Outcome
from tests.contract.conftest import SEARCH_INDEXES
from tests.contract.test_deletions import (
    _SAID,
    _STEPS,
    ENTRIES,
    GONE,
    UNDO,
    decided,
    deletion,
    expected,
    key,
    state_of,
)
from tests.support.entries import entry
from tests.support.long import examples
from tests.support.opensearch_documents import ask, bytes_of_documents, deleted_documents
from tests.support.servers import remove_indices

Step = int | tuple[int, int]
MANY = [entry(1000 + n, digest=f"blake3:{n % 3}", PatientID=f"P{n % 3}") for n in range(4 * MOST_NEAR)]


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[OpenSearchIndex]:
    opened = await open_index(tmp_path)
    yield opened
    await opened.close()
    remove_indices(opened._cluster.prefix)


async def open_index(folder: Path) -> OpenSearchIndex:
    opened = await SEARCH_INDEXES["opensearch"](folder)
    assert isinstance(opened, OpenSearchIndex)
    return opened


def clear(index: OpenSearchIndex) -> None:
    """Empty it, which is faster than another one."""
    names = ",".join(index._cluster.alias(kind) for kind in KINDS)
    ask("POST", f"/{names}/_refresh")
    ask("POST", f"/{names}/_delete_by_query?refresh=true&conflicts=proceed", {"query": {"match_all": {}}})


def holds(index: OpenSearchIndex, text: bytes) -> bool:
    """Whether any document of any of its indices has these bytes."""
    return text in bytes_of_documents(index._cluster.prefix)


async def take(index: OpenSearchIndex, step: Step) -> None:
    if isinstance(step, int):
        await index.apply([ENTRIES[step]])
    else:
        await index.decide([decided(ENTRIES[step[0]], _SAID[step[1]])])


def left_of(steps: Sequence[Step]) -> list[InstanceEntry]:
    """What is there after steps in any order, by the fold."""
    deletion_states: dict[int, DeletionState] = {}
    for step in steps:
        if not isinstance(step, int):
            deletion_states[step[0]] = deletion_states.get(step[0], ALIVE) | _SAID[step[1]]
    return [ENTRIES[n] for n in {s for s in steps if isinstance(s, int)} if not deletion_states.get(n, ALIVE).hidden]


async def seen(index: OpenSearchIndex) -> dict[str, Any]:
    state = await state_of(index)
    return {level.value: state[level.value] for level in Level}


@given(_STEPS, st.data())
@settings(max_examples=examples(12), deadline=None)
async def test_any_order_and_repetition_ends_like_the_fold(
    index: OpenSearchIndex, steps: list[Step], data: st.DataObject
) -> None:
    """Idempotent and, with `apply` and itself, independent of order."""
    again = data.draw(st.lists(st.sampled_from(steps), max_size=4))
    ends = []
    for order in [steps, data.draw(st.permutations([*steps, *again]))]:
        clear(index)
        for step in order:
            await take(index, step)
        ends.append(await state_of(index))
    assert ends[0] == ends[1]
    assert {level.value: ends[0][level.value] for level in Level} == expected(left_of(steps))


@pytest.mark.parametrize("seed", range(4))
async def test_several_writers_at_once_end_like_the_fold(index: OpenSearchIndex, tmp_path: Path, seed: int) -> None:
    """As when a partition of the log moves, and who had it does not know yet."""
    chance = random.Random(seed)
    steps: list[Step] = [*range(len(ENTRIES)), *((n, chance.choice([0, 0, 1, 2, 2, 3])) for n in range(len(ENTRIES)))]
    steps += [(chance.randrange(len(ENTRIES)), chance.choice([0, 2])) for _ in range(10)]
    others = [await open_index(tmp_path) for _ in range(2)]

    async def write(writer: OpenSearchIndex, own_steps: list[Step]) -> None:
        for step in own_steps:
            await take(writer, step)

    await asyncio.gather(
        *(write(writer, chance.sample(steps, len(steps))) for writer in (index, *others)),
    )
    for other in others:
        await other.close()
    assert await seen(index) == expected(left_of(steps))
    counts = await index.count("default")
    assert counts["instances"] == len({key(instance) for instance in left_of(steps)})


class Cut:
    """Cuts the connection before or after the n-th bulk request."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left = number
        self.after = after

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bulk = OpenSearchClient.bulk

        async def cut(client: OpenSearchClient, operations: Any) -> list[OperationResult]:
            every: list[BulkOperation] = list(operations)
            self.left -= bool(every)
            if self.left == 0 and every and not self.after:
                raise DependencyUnavailable("index", "cut")
            written = await bulk(client, every)
            if self.left == 0 and every:
                raise DependencyUnavailable("index", "cut")
            return written

        monkeypatch.setattr(OpenSearchClient, "bulk", cut)


@pytest.mark.parametrize("after", [False, True])
async def test_a_decision_that_was_cut_off_at_any_write_comes_again_and_is_whole(
    index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    rounds = [
        [decided(instance, deletion_state) for instance in ENTRIES]
        for deletion_state in (deletion(), UNDO, deletion("e"), GONE)
    ]
    await index.apply(ENTRIES)
    for decisions, is_present in zip(rounds, (False, True, False, False), strict=True):
        number, cut_off = 0, True
        while cut_off:
            number += 1
            with monkeypatch.context() as patch:
                Cut(number, after=after).install(patch)
                try:
                    await index.decide(decisions)
                    cut_off = False
                except DependencyUnavailable:
                    pass
            if cut_off and number % 2:
                # The events before it come again, too.
                await index.apply(ENTRIES)
        assert number > 3
        await index.decide(decisions)
        assert await seen(index) == expected(ENTRIES if is_present else [])
    assert not holds(index, b"P3")


async def test_the_patient_that_a_study_left_is_told_although_who_wrote_the_study_died(
    index: OpenSearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = OpenSearchClient.bulk

    async def dying(client: OpenSearchClient, operations: Any) -> list[OperationResult]:
        every: list[BulkOperation] = list(operations)
        if any("-patients-" in document.index for document in every):
            raise DependencyUnavailable("index", "cut")
        return await bulk(client, every)

    await index.apply([entry(1, PatientID="P-LEFT")])
    with monkeypatch.context() as patch:
        patch.setattr(OpenSearchClient, "bulk", dying)
        with pytest.raises(DependencyUnavailable):
            await index.decide([decided(entry(1), deletion(final=True))])
    await index.decide([decided(entry(1), deletion(final=True))])
    assert (await index.count("default"))["patients"] == 0


async def test_nothing_of_a_collected_header_stays_in_any_document(index: OpenSearchIndex) -> None:
    """Of a collected receipt only the deletion state is retained."""
    first, other = entry(1, PatientID="P-SECRET"), entry(2, digest="blake3:ff", PatientID="P-OTHER")
    stays = entry(3, "1.2.9", study="1.2.8", series="1.2.8.1", PatientID="P2")
    for instance in (other, first, stays):
        await index.apply([instance])
    await index.decide([decided(decided_entry, deletion()) for decided_entry in (first, other)])
    assert holds(index, b"P-SECRET")
    successor = await index.successor(STANDARD)
    await successor.apply([first, other, stays])
    for generation in (index, successor):
        await generation.decide([decided(first, GONE), decided(other, GONE)])
        await generation.apply([first, other])
    assert not holds(index, b"P-SECRET")
    assert not holds(index, b"P-OTHER")
    assert holds(index, b"P2")
    await successor.discard()
    await successor.close()
    # And not in the files, once those are written anew; what replicas may still ask for is told every 30 s.
    async with asyncio.timeout(90):
        while deleted_documents(index._cluster.prefix) != {"0"}:
            await asyncio.sleep(1)


async def test_other_bytes_outlive_the_receipt_that_kept_them(index: OpenSearchIndex) -> None:
    current, aside, same = entry(1), entry(2, digest="blake3:ff", PatientID="PA"), entry(3, digest="blake3:ff")
    await index.apply([current])
    await index.apply([aside])
    await index.apply([same])
    await index.decide([decided(aside, deletion()), decided(aside, GONE)])
    await index.decide([decided(current, deletion())])
    assert await seen(index) == expected([entry(3, digest="blake3:ff", PatientID="PA")])


async def test_receipts_that_lie_beside_the_document_are_hidden_and_come_back(index: OpenSearchIndex) -> None:
    for start in range(0, len(MANY), 16):
        await index.apply(MANY[start : start + 16])
    before = await index.receipts("default", key(MANY[0])), await index.count("default")
    for number, batch in enumerate((MANY[:50], MANY[1::2], MANY[:-1], MANY)):
        await index.decide([decided(instance, deletion(f"d{number}")) for instance in batch])
        left = [instance for instance in MANY if instance not in batch]
        assert [receipt.id for receipt in await index.receipts("default", key(MANY[0]))] == [
            receipt.receipt for receipt in left
        ]
        counts = await index.count("default")
        assert counts["instances"] == bool(left)
        assert counts["aside"] == sum(instance.digest != left[0].digest for instance in left)
        assert await seen(index) == expected(left)
        await index.decide(
            [decided(instance, DeletionState(withdrawn=frozenset([f"d{number}"]))) for instance in batch]
        )
        assert (await index.receipts("default", key(MANY[0])), await index.count("default")) == before


async def test_losing_restoring_and_deleting_at_once_forgets_no_loss(index: OpenSearchIndex, tmp_path: Path) -> None:
    other = await open_index(tmp_path)
    await index.apply([entry(1), entry(2)])
    loss = [Loss("default", key(entry(1)), entry(1).receipt)]

    async def delete_and_restore(number: int) -> None:
        await index.decide([decided(entry(1), deletion(f"d{number}"))])
        await index.decide([decided(entry(1), DeletionState(withdrawn=frozenset([f"d{number}"])))])

    await asyncio.gather(delete_and_restore(1), other.lose(loss), delete_and_restore(2))
    await other.close()
    assert [receipt.lost for receipt in await index.receipts("default", key(entry(1)))] == [True, False]


async def test_holds_of_several_writers_are_all_known(index: OpenSearchIndex, tmp_path: Path) -> None:
    other = await open_index(tmp_path)
    changes = [HoldChange("default", "1.1", f"h{n}", True) for n in range(8)]
    await asyncio.gather(*((index, other)[n % 2].hold([change]) for n, change in enumerate(changes)))
    assert await index.holds("default", "1.1") == [change.hold for change in changes]
    await other.close()


async def test_a_decision_about_what_was_never_heard_of_counts_nothing(index: OpenSearchIndex) -> None:
    instance = entry(1)
    await index.decide([Decision("default", key(instance), instance.receipt, deletion())])
    assert await index.count("default") == dict.fromkeys(("patients", "studies", "series", "instances", "aside"), 0)
    assert await index.current("default", [key(instance)]) == {}
    (applied,) = await index.apply([entry(1)])
    assert applied.outcome is Outcome.DELETED
