"""An instance's document is what the fold of its receipts says, whatever it was before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.opensearch.client import SearchResult
from gantry.common.adapters.opensearch.documents import Hit, Source, location_of
from gantry.common.adapters.opensearch.fates import NOTHING, Grave
from gantry.common.adapters.opensearch.settling import Settled, current_entry, settle
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.lifecycle import Deletion, Fate, ReceiptState, StoredObject, StudyState
from gantry.common.ports.index import InstanceEntry, InstanceKey
from tests.support.entries import entry

ENTRIES = [entry(n, digest=f"blake3:{n % 3}", PatientID=f"P{n % 3}") for n in range(1, 7)]
KEY = InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.1")
INSTANCE = ("1.2.3.1", "1.2.3.1.1")
FATES = [Fate(frozenset([Deletion("d", 1)])), Fate(withdrawn=frozenset(["d"])), Fate(frozenset([Deletion("e", 2)]))]
GONE = Fate(collected=True)


@dataclass
class Stored:
    """The documents of one instance, in memory."""

    source: Source | None = None
    moved: dict[str, Hit] = field(default_factory=dict)
    graves: dict[str, Grave] = field(default_factory=dict)

    def hear(self, instance: InstanceEntry) -> None:
        """As if it had been hidden when it came, and were settled now."""
        known = self.graves.get(instance.receipt, NOTHING)
        if not known.fate.collected:
            self.graves[instance.receipt] = replace(known, found=SearchResult({}), kept=True, entry=instance)

    def settle(self) -> Settled:
        settled = settle("default", KEY, self.source, list(self.moved.values()), self.graves, STANDARD)
        for known in settled.keep:
            before = self.graves.get(known.entry.receipt, NOTHING)
            assert not before.fate.collected
            self.graves[known.entry.receipt] = replace(before, kept=True, entry=known.entry, lost=known.lost)
        self.source = settled.source
        for receipt in settled.forget:
            self.graves[receipt] = replace(self.graves[receipt], kept=False, entry=None)
        for receipt in settled.remove:
            del self.moved[receipt]
        return settled

    def move_out(self) -> None:
        """What does not decide lies beside the document, as of an instance that has many receipts."""
        assert self.source is not None
        receipts = self.source["receipts"]
        near = sorted(receipts["near"])
        rival = next((row for row in near if row[1:3] != near[0][1:3]), None)
        moving = [row for row in near if row not in (near[0], rival)]
        self.moved |= {row[0]: row for row in moving}
        aside = sum(row[1:3] != near[0][1:3] for row in moving)
        moved = {"moved": receipts["moved"] + len(moving), "moved_aside": receipts["moved_aside"] + aside}
        self.source["receipts"] = {"near": [row for row in near if row not in moving], **moved}


def folded(heard: set[int], fates: dict[int, Fate]) -> StudyState:
    """The same by the fold."""
    receipts = {}
    for number in heard | set(fates):
        instance = ENTRIES[number]
        stored = (
            StoredObject(instance.digest, instance.transfer_syntax_uid, instance.object_key)
            if number in heard
            else None
        )
        receipts[instance.receipt] = ReceiptState(INSTANCE, stored, fate=fates.get(number, Fate()))
    return StudyState(receipts)


_NUMBER = st.integers(0, len(ENTRIES) - 1)
_STEPS = st.lists(st.one_of(_NUMBER, st.tuples(_NUMBER, st.sampled_from([*FATES, GONE])), st.just("move")), max_size=20)


@given(_STEPS)
def test_it_is_what_the_fold_says_after_any_steps(steps: list[int | tuple[int, Fate] | str]) -> None:
    stored, heard, fates = Stored(), set[int](), dict[int, Fate]()
    for step in steps:
        if isinstance(step, int):
            heard.add(step)
            stored.hear(ENTRIES[step])
        elif isinstance(step, tuple):
            number, fate = step
            receipt = ENTRIES[number].receipt
            fates[number] = fates.get(number, Fate()) | fate
            before = stored.graves.get(receipt, NOTHING)
            stored.graves[receipt] = replace(before, fate=fates[number], decided=True)
        elif stored.source is not None and stored.source["live"]:
            stored.move_out()
        stored.settle()
        check(stored, folded(heard, fates))
    again = stored.settle()
    assert (again.keep, again.forget, again.remove) == ([], [], [])


def check(stored: Stored, state: StudyState) -> None:
    source = stored.source
    assert source is not None
    current = state.current(INSTANCE)
    assert source["live"] == (current is not None)
    assert source["aside"] == len(state.aside(INSTANCE))
    receipts = source["receipts"]
    assert len(receipts["near"]) + receipts["moved"] == len(state.of(INSTANCE))
    if current is not None:
        instance = next(e for e in ENTRIES if e.receipt == current)
        assert location_of(source).object_key == instance.object_key
        assert current_entry(source).attributes[0x00100020] == instance.attributes[0x00100020]
    else:
        assert "attributes" not in source
    assert not any(grave.entry for grave in stored.graves.values() if grave.fate.collected)
