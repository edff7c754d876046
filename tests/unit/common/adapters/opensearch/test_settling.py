"""An instance's document is what the fold of its receipts says, whatever it was before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.opensearch.client import SearchResult
from gantry.common.adapters.opensearch.decision_documents import NOTHING, DecisionDocument
from gantry.common.adapters.opensearch.documents import Hit, Source, location_of
from gantry.common.adapters.opensearch.settling import Settled, current_entry, settle
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.lifecycle import Deletion, DeletionState, ReceiptState, StoredObject, StudyState
from gantry.common.ports.index import InstanceEntry, InstanceKey
from tests.support.entries import entry

ENTRIES = [entry(n, digest=f"blake3:{n % 3}", PatientID=f"P{n % 3}") for n in range(1, 7)]
KEY = InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.1")
INSTANCE = ("1.2.3.1", "1.2.3.1.1")
DELETION_STATES = [
    DeletionState(frozenset([Deletion("d", 1)])),
    DeletionState(withdrawn=frozenset(["d"])),
    DeletionState(frozenset([Deletion("e", 2)])),
]
GONE = DeletionState(collected=True)


@dataclass
class Stored:
    """The documents of one instance, in memory."""

    source: Source | None = None
    moved: dict[str, Hit] = field(default_factory=dict)
    decision_documents: dict[str, DecisionDocument] = field(default_factory=dict)

    def hear(self, instance: InstanceEntry) -> None:
        """As if it had been hidden when it came, and were settled now."""
        known = self.decision_documents.get(instance.receipt, NOTHING)
        if not known.deletion_state.collected:
            self.decision_documents[instance.receipt] = replace(
                known, found=SearchResult({}), kept=True, entry=instance
            )

    def settle(self) -> Settled:
        settled = settle("default", KEY, self.source, list(self.moved.values()), self.decision_documents, STANDARD)
        for known in settled.keep:
            before = self.decision_documents.get(known.entry.receipt, NOTHING)
            assert not before.deletion_state.collected
            self.decision_documents[known.entry.receipt] = replace(
                before, kept=True, entry=known.entry, lost=known.lost
            )
        self.source = settled.source
        for receipt in settled.forget:
            self.decision_documents[receipt] = replace(self.decision_documents[receipt], kept=False, entry=None)
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


def folded(heard: set[int], deletion_states: dict[int, DeletionState]) -> StudyState:
    """The same by the fold."""
    receipts = {}
    for number in heard | set(deletion_states):
        instance = ENTRIES[number]
        stored = (
            StoredObject(instance.digest, instance.transfer_syntax_uid, instance.object_key)
            if number in heard
            else None
        )
        receipts[instance.receipt] = ReceiptState(
            INSTANCE, stored, deletion_state=deletion_states.get(number, DeletionState())
        )
    return StudyState(receipts)


_NUMBER = st.integers(0, len(ENTRIES) - 1)
_STEPS = st.lists(
    st.one_of(_NUMBER, st.tuples(_NUMBER, st.sampled_from([*DELETION_STATES, GONE])), st.just("move")), max_size=20
)


@given(_STEPS)
def test_it_is_what_the_fold_says_after_any_steps(steps: list[int | tuple[int, DeletionState] | str]) -> None:
    stored, heard, deletion_states = Stored(), set[int](), dict[int, DeletionState]()
    for step in steps:
        if isinstance(step, int):
            heard.add(step)
            stored.hear(ENTRIES[step])
        elif isinstance(step, tuple):
            number, deletion_state = step
            receipt = ENTRIES[number].receipt
            deletion_states[number] = deletion_states.get(number, DeletionState()) | deletion_state
            before = stored.decision_documents.get(receipt, NOTHING)
            stored.decision_documents[receipt] = replace(before, deletion_state=deletion_states[number], decided=True)
        elif stored.source is not None and stored.source["live"]:
            stored.move_out()
        stored.settle()
        check(stored, folded(heard, deletion_states))
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
    assert not any(
        decision_document.entry
        for decision_document in stored.decision_documents.values()
        if decision_document.deletion_state.collected
    )
