"""The contract of `SearchIndex` about coerced receipts, which also differ by what was coerced."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.scan.layout import with_coercion
from gantry.common.lifecycle import Coercion, Deletion, DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, InstanceKey, SearchIndex
from tests.contract.test_deletions import expected
from tests.contract.test_search_index import everything
from tests.support.entries import entry
from tests.support.long import examples

KEY = InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.1")
GONE, BACK = DeletionState(frozenset([Deletion("d", 5)])), DeletionState(withdrawn=frozenset(["d"]))


def coerced(own: InstanceEntry, name: str) -> InstanceEntry:
    """The entry of a receipt whose patient a rule gave another name, and took his comments away."""
    values = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}, "00104000": {"vr": "LT"}}
    coercion = Coercion(5, (name,), values).indexed(own.attributes)
    layout = with_coercion(own.layout, coercion.pack())
    return replace(own, attributes=coercion.applied(own.attributes), layout=layout)


def received(number: int, digest: str = "blake3:00") -> InstanceEntry:
    return entry(number, digest=digest, PatientID="P1", PatientName={"Alphabetic": f"O^{digest}"}, PatientComments="c")


ENTRIES = [
    received(1),
    coerced(received(2), "A"),
    coerced(received(3), "B"),
    received(4),
    coerced(received(5, "blake3:ff"), "C"),
    received(6, "blake3:ff"),
    coerced(received(7, "blake3:ff"), "D"),
]


def decision_of(instance: InstanceEntry, deletion_state: DeletionState) -> Decision:
    return Decision(instance.partition, KEY, instance.receipt, deletion_state)


async def expect(index: SearchIndex, left: Sequence[InstanceEntry]) -> None:
    """What an index says is what these receipts amount to, had it never heard of others."""
    answers = await everything(index)
    answers.pop("count")
    assert answers == expected(left)
    current = await index.current("default", [KEY])
    if left:
        first = min(left, key=lambda instance: instance.receipt)
        assert current[KEY].coercion == replace(current[KEY], layout=first.layout).coercion
        assert current[KEY].object_key == first.object_key


async def test_the_attributes_are_those_of_the_earliest_receipt_as_it_was_coerced(index: SearchIndex) -> None:
    """The attributes of a study or series are those of the earliest current instance in it."""
    await index.apply(ENTRIES[2:])
    await expect(index, ENTRIES[2:])
    await index.apply([ENTRIES[1]])
    await expect(index, ENTRIES[1:])
    await index.apply([ENTRIES[0]])
    await expect(index, ENTRIES)


async def test_receipts_of_the_same_bytes_are_redundant_however_they_were_coerced(index: SearchIndex) -> None:
    """Another receipt of the same bytes in the same transfer syntax; recorded, counted once."""
    await index.apply(ENTRIES[:4])
    assert await index.count("default") == {"patients": 1, "studies": 1, "series": 1, "instances": 1, "aside": 0}


async def test_each_receipt_comes_back_as_it_was_coerced(index: SearchIndex) -> None:
    """One that is not hidden any more is what it was."""
    await index.apply([ENTRIES[n] for n in (3, 1, 5, 2, 0, 6, 4)])
    for hidden in (ENTRIES[:1], ENTRIES[:2], ENTRIES[:3], ENTRIES[:4], ENTRIES[:5], ENTRIES[:6], ENTRIES):
        await index.decide([decision_of(instance, GONE) for instance in hidden])
        await expect(index, [instance for instance in ENTRIES if instance not in hidden])
    for count in range(1, len(ENTRIES) + 1):
        back = ENTRIES[-count]
        await index.decide([Decision("default", KEY, back.receipt, DeletionState(withdrawn=frozenset(["d"])))])
        await expect(index, ENTRIES[-count:])


@settings(max_examples=examples(60))
@given(st.data())
def test_any_order_of_receipts_and_decisions_ends_the_same(data: st.DataObject) -> None:
    """Idempotent and, with `apply` and itself, independent of order."""
    import asyncio

    entries = data.draw(st.permutations(ENTRIES))
    hidden = data.draw(st.sets(st.sampled_from(range(len(ENTRIES)))))
    withdrawn = data.draw(st.sets(st.sampled_from(sorted(hidden)))) if hidden else set()
    steps: list[InstanceEntry | Decision] = [
        *entries,
        *(decision_of(ENTRIES[n], GONE) for n in sorted(hidden)),
        *(decision_of(ENTRIES[n], BACK) for n in sorted(withdrawn)),
    ]
    steps = data.draw(st.permutations(steps))
    steps += data.draw(st.lists(st.sampled_from(steps), max_size=4))
    left = [instance for n, instance in enumerate(ENTRIES) if n not in hidden - withdrawn]
    asyncio.run(_in_order(steps, left))


async def _in_order(steps: Sequence[InstanceEntry | Decision], left: Sequence[InstanceEntry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = await open_sqlite_index(Path(folder, "index.db"))
        try:
            for is_entry, run in itertools.groupby(steps, lambda instance: isinstance(instance, InstanceEntry)):
                batch = list(run)
                await (index.apply(batch) if is_entry else index.decide(batch))  # type: ignore[arg-type]
            await expect(index, left)
        finally:
            await index.close()
