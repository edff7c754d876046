"""Who the patient of a study is, and what corrections and merges make of it."""

from __future__ import annotations

from typing import Any

from gantry.common.lifecycle import (
    NOTHING,
    CorrectionEffect,
    Corrections,
    Unknown,
    corrected,
    corrections_below,
    effect_of,
    patient_key,
)
from tests.unit.common.lifecycle.test_corrections import element, made, person, withdrawn

ID, ISSUER, NAME, BIRTH = 0x00100020, 0x00100021, 0x00100010, 0x00100030


def identity(patient: str) -> dict[str, dict[str, Any]]:
    return {"00100020": element("LO", patient), "00100021": element("LO")}


def key(patient: str, issuer: str = "") -> str:
    return patient_key({ID: [patient], ISSUER: [issuer]}, "1.2")


def walked(own: dict[int, Any], of_study: Corrections, **patients: Corrections) -> CorrectionEffect:
    known = {key(name): corrections for name, corrections in patients.items()}
    while True:
        effect = effect_of(own, "1.2", of_study, known)
        if isinstance(effect, CorrectionEffect):
            return effect
        known[effect.patient] = NOTHING


def test_the_walk_asks_for_each_patient_on_its_way() -> None:
    assert effect_of({ID: ["P1"]}, "1.2", NOTHING, {}) == Unknown(key("P1"))
    merge = made("m", identity("P2"), into=key("P2"))
    assert effect_of({ID: ["P1"]}, "1.2", NOTHING, {key("P1"): merge}) == Unknown(key("P2"))


def test_of_two_corrections_the_later_one_wins_whichever_it_is_of() -> None:
    own = {ID: ["P1"], NAME: [{"Alphabetic": "OWN"}]}
    for study, patient, name in (("a", "b", "PATIENT"), ("b", "a", "STUDY")):
        effect = walked(own, made(study, person("STUDY")), P1=made(patient, person("PATIENT")))
        assert corrected(own, effect.applied)[NAME] == [{"Alphabetic": name}]


def test_the_identity_is_that_of_the_end_of_the_walk_also_for_a_study_that_was_corrected_later() -> None:
    own = {ID: ["P0"], ISSUER: ["OTHER"]}
    merge = made("a", identity("P2") | person("TWO"), into=key("P2"))
    onward = made("b", identity("P3"), into=key("P3"))
    effect = walked(own, made("c", identity("P1")), P1=merge, P2=onward)
    shown = corrected(own, effect.applied)
    assert (shown[ID], shown.get(ISSUER), shown[NAME]) == (["P3"], None, [{"Alphabetic": "TWO"}])
    assert effect.walk == (key("P1"), key("P2"), key("P3"))


def test_a_circle_of_merges_ends_where_it_would_come_back() -> None:
    merge, back = made("a", identity("P2"), into=key("P2")), made("b", identity("P1"), into=key("P1"))
    assert walked({ID: ["P1"]}, NOTHING, P1=merge, P2=back).walk == (key("P1"), key("P2"))
    assert walked({ID: ["P2"]}, NOTHING, P1=merge, P2=back).walk == (key("P2"), key("P1"))
    itself = made("a", identity("P1"), into=key("P1"))
    assert walked({ID: ["P1"]}, NOTHING, P1=itself).walk == (key("P1"),)


def test_a_merge_that_was_withdrawn_leads_nowhere_and_an_earlier_one_stands_again() -> None:
    merges = made("a", identity("P2"), into=key("P2")) | made("b", identity("P3"), into=key("P3"))
    assert walked({ID: ["P1"]}, NOTHING, P1=merges).walk[-1] == key("P3")
    assert walked({ID: ["P1"]}, NOTHING, P1=merges | withdrawn("b")).walk[-1] == key("P2")
    assert walked({ID: ["P1"]}, NOTHING, P1=merges | withdrawn("b") | withdrawn("a")).walk == (key("P1"),)


def test_a_study_without_patient_id_is_a_patient_of_its_own() -> None:
    assert walked({NAME: [{"Alphabetic": "X"}]}, NOTHING).walk == (patient_key({}, "1.2"),)
    assert patient_key({}, "1.2") != patient_key({}, "1.3")
    assert key("P1") != key("P1", "H")


def test_an_attribute_without_value_is_taken_away_and_items_are_values_by_tag() -> None:
    codes = {"00081032": element("SQ", {"00080100": element("SH", "X"), "00080104": element("LO")})}
    effect = walked({ID: ["P1"], BIRTH: ["19700101"]}, made("a", {"00100030": element("DA"), **codes}))
    assert corrected({ID: ["P1"], BIRTH: ["19700101"]}, effect.applied) == {
        ID: ["P1"],
        0x00081032: [{0x00080100: ["X"]}],
    }


def test_a_series_has_the_corrections_of_its_study_and_its_own() -> None:
    of_study = made("a", person("A")) | made("b", {"00080060": element("CS", "OT")}, series="1.2.3")
    effect = walked({ID: ["P1"]}, of_study)
    assert [correction.id for correction in corrections_below(effect.pack(), "1.2.3")] == ["a", "b"]
    assert [correction.id for correction in corrections_below(effect.pack(), "1.2.4")] == ["a"]
    assert corrections_below(b"", "1.2.3") == ()
    assert walked({ID: ["P1"]}, NOTHING).pack() == b""


def test_patients_are_told_apart_by_id_and_issuer_and_without_an_id_by_their_study() -> None:
    attributes = {0x00100020: ["P1"], 0x00100021: ["A"]}
    assert patient_key(attributes, "1.2") == patient_key(dict(attributes), "1.3")
    assert patient_key(attributes, "1.2") != patient_key({**attributes, 0x00100021: ["B"]}, "1.2")
    assert patient_key({}, "1.2") != patient_key({}, "1.3")
    assert patient_key({0x00100020: [None]}, "1.2") == patient_key({}, "1.2")
    assert patient_key({0x00100021: ["A"]}, "1.2") == patient_key({}, "1.2")
    assert len(patient_key({0x00100020: ["P" * 100_000]}, "1.2")) == 40
