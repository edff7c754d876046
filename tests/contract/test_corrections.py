"""The contract of `SearchIndex` about what was corrected, and who the patient of a study is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single, Wildcard
from gantry.common.lifecycle import (
    NOTHING,
    Correction,
    CorrectionEffect,
    Corrections,
    Deletion,
    DeletionState,
    Withdrawal,
    corrected,
    effect_of,
    patient_key,
)
from gantry.common.ports.index import CorrectionChange, InstanceEntry, SearchIndex
from tests.contract.test_deletions import decided
from tests.contract.test_search_index import as_set, everything, found
from tests.support.entries import current, documents, entry
from tests.support.index_questions import ACCESSION, ID, NAME
from tests.support.long import examples

BIRTH = 0x00100030
FIRST = entry(1, "1.1.1.1", "1.1", "1.1.1", PatientID="P1", PatientName={"Alphabetic": "DOE^JANE"}, Modality="CT")
ENTRIES = [
    FIRST,
    entry(2, "1.1.2.1", "1.1", "1.1.2", PatientID="P1", PatientName={"Alphabetic": "DOE^J"}, Modality="SR"),
    entry(3, "1.2.1.1", "1.2", "1.2.1", PatientID="P2", PatientName={"Alphabetic": "ROE^RICHARD"}, Modality="MR"),
    entry(4, "1.3.1.1", "1.3", "1.3.1", PatientID="P1", IssuerOfPatientID="H2", Modality="US"),
    entry(5, "1.4.1.1", "1.4", "1.4.1", PatientName={"Alphabetic": "UNKNOWN"}, Modality="CR"),
    # The first study's earliest object with other bytes: kept aside.
    entry(6, "1.1.1.1", "1.1", "1.1.1", digest="blake3:ff", PatientID="P9", Modality="XA"),
]


def text(tag: str, vr: str, value: str) -> dict[str, dict[str, Any]]:
    return {tag: {"vr": vr, "Value": [value]} if value else {"vr": vr}}


def name(value: str) -> dict[str, dict[str, Any]]:
    return {"00100010": {"vr": "PN", "Value": [{"Alphabetic": value}]}}


def identity(patient: str, issuer: str = "") -> dict[str, dict[str, Any]]:
    return text("00100020", "LO", patient) | text("00100021", "LO", issuer)


def key(patient: str, issuer: str = "") -> str:
    return patient_key({0x00100020: [patient], 0x00100021: [issuer] if issuer else []}, "")


def made(id_: str, values: Mapping[str, Mapping[str, Any]] | None, series: str = "", into: str = "") -> Corrections:
    return Corrections({id_: Correction(id_, int(id_, 36), "somebody", "a mistake", values, series, into)})


def merged(id_: str, into: str, more: Mapping[str, Mapping[str, Any]] = {}) -> Corrections:
    return made(id_, {**identity(into), **more}, into=key(into))


def withdrawn(id_: str) -> Corrections:
    return Corrections(withdrawn={id_: Withdrawal(99, "somebody", "no mistake")})


def of_study(study: str, corrections: Corrections) -> CorrectionChange:
    return CorrectionChange("default", study, "", corrections)


def of_patient(patient: str, corrections: Corrections) -> CorrectionChange:
    return CorrectionChange("default", "", patient, corrections)


def expected(entries: Sequence[InstanceEntry], changes: Iterable[CorrectionChange] = ()) -> dict[str, list[str]]:
    """What an index must show: the slow and obvious way."""
    studies: dict[str, Corrections] = {}
    patients: dict[str, Corrections] = {}
    for change in changes:
        at = studies if change.study_instance_uid else patients
        subject = change.study_instance_uid or change.patient
        at[subject] = at.get(subject, NOTHING) | change.corrections
    shown = []
    elected = current(entries)
    for uid in {instance.study_instance_uid for instance in elected}:
        below = [instance for instance in elected if instance.study_instance_uid == uid]
        own = min(below, key=lambda instance: instance.receipt).attributes
        keys = {*patients, *(patient_key(instance.attributes, uid) for instance in below)}
        known = {patient: patients.get(patient, NOTHING) for patient in keys}
        effect = effect_of(own, uid, studies.get(uid, NOTHING), known)
        while not isinstance(effect, CorrectionEffect):
            known[effect.patient] = NOTHING
            effect = effect_of(own, uid, studies.get(uid, NOTHING), known)
        for instance in below:
            shown.append(
                replace(
                    instance, attributes=corrected(instance.attributes, effect.applied, instance.series_instance_uid)
                )
            )
    return {level.value: as_set(docs) for level, docs in documents(shown).items()}


async def shown(index: SearchIndex) -> dict[str, Any]:
    state = await everything(index)
    state.pop("count")
    return state


async def studies_of(index: SearchIndex, patient: str) -> list[str]:
    documents = await found(index, Level.STUDY, {ID: Single((patient,))})
    return sorted(document.attributes[0x0020000D][0] for document in documents)


async def test_a_corrected_study_is_found_and_shown_by_what_it_is_now_and_counted_once(index: SearchIndex) -> None:
    """Studies and patients are found, shown, located and counted with them from then on"""
    await index.apply(ENTRIES)
    change = of_study("1.1", made("a", {**name("POE^JANE"), **text("00080050", "SH", "A100"), **identity("P2")}))
    await index.correct([change])
    assert await shown(index) == expected(ENTRIES, [change])
    assert await studies_of(index, "P2") == ["1.1", "1.2"]
    assert await studies_of(index, "P1") == ["1.3"]
    assert len(await found(index, Level.STUDY, {NAME: Wildcard(("POE*",))})) == 1
    assert len(await found(index, Level.IMAGE, {ACCESSION: Single(("A100",))})) == 2
    assert (await index.count("default"))["patients"] == 3
    located = [at async for page in index.locate(Query("default", Level.STUDY)) for at in page]
    assert {(at.study_instance_uid, tuple(c.id for c in at.corrections)) for at in located} == {
        ("1.1", ("a",)), ("1.2", ()), ("1.3", ()), ("1.4", ()),
    }  # fmt: skip
    (at,) = (await index.resolve("default", [FIRST.sop_instance_uid]))[FIRST.sop_instance_uid]
    assert [correction.values for correction in at.corrections] == [change.corrections.made["a"].values]


async def test_what_was_withdrawn_is_what_it_was(index: SearchIndex) -> None:
    """and as before once they are withdrawn."""
    await index.apply(ENTRIES)
    before = await everything(index)
    changes = [
        of_study("1.1", made("a", {**name("POE^JANE"), **identity("P7")})),
        of_study("1.1", made("b", text("00080060", "CS", "OT"), "1.1.2")),
        of_patient(key("P2"), made("c", name("ROE^ROSE"))),
        of_patient(key("P2"), merged("d", "P1", name("DOE^JANE"))),
    ]
    await index.correct(changes)
    assert await shown(index) == expected(ENTRIES, changes)
    undone = [replace(c, corrections=withdrawn(next(iter(c.corrections.made)))) for c in changes]
    await index.correct(undone)
    assert await everything(index) == before
    located = [at async for page in index.locate(Query("default", Level.STUDY)) for at in page]
    assert not any(at.corrections for at in located)


async def test_a_series_is_corrected_by_itself(index: SearchIndex) -> None:
    await index.apply(ENTRIES)
    change = of_study("1.1", made("a", {**text("00080060", "CS", "OT"), **text("0008103E", "LO", "Report")}, "1.1.2"))
    await index.correct([change])
    assert await shown(index) == expected(ENTRIES, [change])
    (study,) = await found(index, Level.STUDY, {0x0020000D: Single(("1.1",))})
    assert study.attributes[0x00080061] == ["CT", "OT"]
    located = [at async for page in index.locate(Query("default", Level.STUDY)) for at in page]
    assert {at.series_instance_uid for at in located if at.corrections} == {"1.1.2"}


async def test_a_merge_takes_all_studies_that_are_there_and_those_that_come(index: SearchIndex) -> None:
    """a correction may come before its study or patient."""
    merge = of_patient(key("P1"), merged("m", "P2", {**name("ROE^RICHARD"), **text("00100030", "DA", "19700101")}))
    await index.apply(ENTRIES[:1])
    await index.correct([merge])
    late = entry(8, "1.5.1.1", "1.5", "1.5.1", PatientID="P1", Modality="CT")
    await index.apply([*ENTRIES[1:], late])
    assert await shown(index) == expected([*ENTRIES, late], [merge])
    assert await studies_of(index, "P2") == ["1.1", "1.2", "1.5"]
    # Of another issuer it is another patient.
    assert await studies_of(index, "P1") == ["1.3"]
    (patient,) = await found(index, Level.PATIENT, {ID: Single(("P2",))})
    assert patient.attributes[0x00201200] == [3]


async def test_merges_lead_on_and_an_unmerge_in_the_middle_takes_back_what_it_led_to(index: SearchIndex) -> None:
    await index.apply(ENTRIES)
    changes = [
        of_patient(key("P2"), merged("n", "P3", name("POE^EDGAR"))),
        of_patient(key("P1"), merged("m", "P2")),
    ]
    for change in changes:
        await index.correct([change])
    assert await studies_of(index, "P3") == ["1.1", "1.2"]
    await index.correct([of_patient(key("P2"), withdrawn("n"))])
    assert await studies_of(index, "P3") == []
    assert await studies_of(index, "P2") == ["1.1", "1.2"]
    assert await shown(index) == expected(ENTRIES, [*changes, of_patient(key("P2"), withdrawn("n"))])


async def test_two_merges_that_lead_to_each_other_are_an_end_and_not_a_circle(index: SearchIndex) -> None:
    await index.apply(ENTRIES)
    changes = [of_patient(key("P1"), merged("m", "P2")), of_patient(key("P2"), merged("n", "P1"))]
    await index.correct(changes)
    assert await shown(index) == expected(ENTRIES, changes)
    counts = await index.count("default")
    assert (counts["studies"], counts["instances"]) == (4, 5)


async def test_what_makes_a_study_what_it_is_can_be_asked_for(index: SearchIndex) -> None:
    """What determines how a study is shown; None if there is no such study."""
    await index.apply(ENTRIES)
    await index.correct([
        of_study("1.1", made("a", name("POE^JANE"))),
        of_patient(key("P1"), merged("m", "P2")),
        of_patient(key("P2"), made("c", text("00100030", "DA", "19700101"))),
    ])  # fmt: skip
    study = await index.corrected("default", "1.1")
    assert study is not None
    assert (study.own[NAME], study.own[ID]) == ([{"Alphabetic": "DOE^JANE"}], ["P1"])
    assert list(study.corrections.made) == ["a"]
    assert {at: list(corrections.made) for at, corrections in study.patients.items()} == {
        key("P1"): ["m"],
        key("P2"): ["c"],
    }
    assert await index.corrected("default", "1.9") is None
    assert list((await index.corrections("default", patient=key("P1"))).made) == ["m"]
    assert await index.corrections("default", patient=key("nobody")) == NOTHING


async def test_corrections_hold_through_deletion_and_restoration(index: SearchIndex) -> None:
    await index.apply(ENTRIES)
    change = of_study("1.1", made("a", name("POE^JANE")))
    await index.decide([decided(instance, DeletionState(frozenset([Deletion("d", 5)]))) for instance in ENTRIES[:2]])
    await index.correct([change])
    left = [*ENTRIES[2:]]
    assert await shown(index) == expected(left, [change])
    await index.decide([decided(instance, DeletionState(withdrawn=frozenset(["d"]))) for instance in ENTRIES[:2]])
    assert await shown(index) == expected(ENTRIES, [change])


async def test_what_was_erased_is_shown_as_it_came(index: SearchIndex) -> None:
    await index.apply(ENTRIES)
    await index.correct([of_study("1.1", made("a", name("POE^JANE")))])
    await index.correct([of_study("1.1", made("a", None))])
    await index.correct([of_study("1.1", made("a", name("POE^JANE")))])
    assert await shown(index) == expected(ENTRIES)


async def test_nothing_of_an_erased_correction_stays_in_the_file(tmp_path: Path) -> None:
    index = await open_sqlite_index(tmp_path / "index.db")
    await index.apply(ENTRIES)
    await index.correct([of_study("1.1", made("a", name("SECRET^JANE")))])
    await index.correct([of_study("1.1", made("a", None))])
    await index.close()
    assert not any(b"SECRET" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


async def test_corrections_go_with_a_successor(index: SearchIndex) -> None:
    changes = [of_study("1.1", made("a", name("POE^JANE"))), of_patient(key("P2"), merged("m", "P1"))]
    successor = await index.successor(await index.attributes())
    await successor.correct(changes)
    await successor.apply(ENTRIES)
    await successor.take_over()
    await successor.discard()
    await successor.close()
    assert await shown(index) == expected(ENTRIES, changes)


_CHANGES = [
    of_study("1.1", made("a", {**name("POE^JANE"), **identity("P2")})),
    of_study("1.1", withdrawn("a")),
    of_study("1.1", made("b", text("00080060", "CS", "OT"), "1.1.2")),
    of_study("1.3", made("c", identity("P1"))),
    of_study("1.4", made("d", {**identity("P5"), **text("00100030", "DA", "19700101")})),
    of_patient(key("P1"), merged("e", "P2", name("ROE^RICHARD"))),
    of_patient(key("P1"), withdrawn("e")),
    of_patient(key("P2"), merged("f", "P5")),
    of_patient(key("P5"), merged("g", "P1")),
    of_patient(key("P2"), made("h", name("ROE^ROSE"))),
    of_patient(key("P5"), made("i", None)),
]
_DELETION = DeletionState(frozenset([Deletion("d", 5)]))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("entry"), st.sampled_from(range(len(ENTRIES)))),
        st.tuples(st.just("change"), st.sampled_from(range(len(_CHANGES)))),
        st.tuples(st.just("delete"), st.sampled_from(range(len(ENTRIES)))),
    ),
    min_size=1,
    max_size=24,
)


@given(_STEPS, st.data())
@settings(max_examples=examples(80), deadline=None)
async def test_any_order_of_entries_corrections_and_decisions_ends_the_same(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Idempotent and, with `apply`, `decide` and itself, independent of order."""
    again = data.draw(st.lists(st.sampled_from(steps), max_size=8))
    ends = []
    for order in [steps, data.draw(st.permutations([*steps, *again]))]:
        with tempfile.TemporaryDirectory() as folder:
            index = await open_sqlite_index(Path(folder) / "index.db")
            await take(index, order)
            ends.append(await everything(index))
            await index.close()
    assert ends[0] == ends[1]
    ends[0].pop("count")
    assert ends[0] == expected(left_of(steps), [_CHANGES[n] for kind, n in steps if kind == "change"])


async def take(index: SearchIndex, steps: Sequence[tuple[str, int]]) -> None:
    """Each step by itself."""
    for kind, number in steps:
        if kind == "entry":
            await index.apply([ENTRIES[number]])
        elif kind == "change":
            await index.correct([_CHANGES[number]])
        else:
            await index.decide([decided(ENTRIES[number], _DELETION)])


def left_of(steps: Sequence[tuple[str, int]]) -> list[InstanceEntry]:
    """The entries that were applied and not deleted."""
    gone = {number for kind, number in steps if kind == "delete"}
    return [ENTRIES[n] for n in sorted({number for kind, number in steps if kind == "entry"} - gone)]


async def test_a_circle_is_left_behind_and_later_corrections_reach_whom_they_are_about(index: SearchIndex) -> None:
    """Whoever walks into a circle ends at one of its patients, which need not be the last of anybody else's walk."""
    await index.apply(ENTRIES)
    changes = [
        of_patient(key("P1"), merged("m", "P2")),
        of_patient(key("P2"), merged("n", "P1")),
        of_patient(key("P1"), merged("o", "P7")),
        of_patient(key("P1"), made("p", name("AFTER^CIRCLE"))),
        of_patient(key("P2"), made("q", name("AFTER^IT"))),
        of_patient(key("P1"), withdrawn("o")),
    ]
    for number, change in enumerate(changes):
        await index.correct([change])
        assert await shown(index) == expected(ENTRIES, changes[: number + 1]), number


async def test_values_that_a_withdrawal_would_need_again_are_not_orphaned(index: SearchIndex) -> None:
    await index.apply(ENTRIES[:1])
    await index.correct([
        of_patient(key("P1"), made("c", name("FIXED^NAME"))),
        of_study("1.1", made("d", identity("P2"))),
    ])  # fmt: skip
    assert await orphaned(index) == []
    await index.decide([decided(ENTRIES[0], _DELETION)])
    assert await orphaned(index) == []
    await index.decide([decided(ENTRIES[0], DeletionState(collected=True))])
    assert await orphaned(index) == [("", key("P1"), ("c",)), ("1.1", "", ("d",))]


async def orphaned(index: SearchIndex) -> list[tuple[str, str, tuple[str, ...]]]:
    pages = [page async for page in index.orphaned_corrections("default")]
    return sorted((study.study_instance_uid, study.patient, study.corrections) for page in pages for study in page)


async def test_corrections_are_orphaned_when_nothing_is_left_and_nothing_can_come_back(index: SearchIndex) -> None:
    """those of studies whose receipts are all collected, and those of patients that are on the walk of no study that
    exists or may come back (for a merge, also the patients that it leads to)."""
    await index.apply(ENTRIES)
    await index.correct([
        of_study("1.1", made("a", name("POE^JANE"))),
        of_study("1.2", made("b", name("ROE^ROSE")) | withdrawn("b")),
        of_study("1.9", made("x", name("UNHEARD^OF"))),
        of_patient(key("P1"), made("c", name("POE^JANE"))),
        of_patient(key("P2"), merged("m", "P3")),
    ])  # fmt: skip
    assert await orphaned(index) == []
    first, other = [*ENTRIES[:2], ENTRIES[5]], ENTRIES[2:3]
    await index.decide([decided(instance, _DELETION) for instance in [*first, *other]])
    assert await orphaned(index) == []  # all of it can come back
    await index.decide([decided(instance, DeletionState(collected=True)) for instance in first[1:]])
    assert await orphaned(index) == []  # one of its receipts can
    await index.decide([decided(first[0], DeletionState(collected=True))])
    assert await orphaned(index) == [("", key("P1"), ("c",)), ("1.1", "", ("a",))]
    await index.decide([decided(instance, DeletionState(collected=True)) for instance in other])
    left = [("", key("P1"), ("c",)), ("", key("P2"), ("m",)), ("1.1", "", ("a",)), ("1.2", "", ("b",))]
    assert await orphaned(index) == sorted(left)
    await index.correct([of_study("1.1", made("a", None)), of_patient(key("P1"), made("c", None))])
    assert await orphaned(index) == sorted([left[1], left[3]])
    # And a merge is not while the patient that it leads to is there.
    await index.apply([entry(9, "1.6.1.1", "1.6", "1.6.1", PatientID="P3")])
    assert await orphaned(index) == [left[3]]
