"""The history of a study, now and as of an earlier time."""

from __future__ import annotations

from typing import Any

from gantry.common.lifecycle import NOTHING, Correction, Corrections, Withdrawal, patient_key
from gantry.common.ports.index import CorrectedStudy
from gantry.services.lifecycle.history import history_of

OWN = {0x00100020: ["P1"], 0x00100010: [{"Alphabetic": "DOE^JANE"}]}
ONE, OTHER = patient_key({0x00100020: ["P1"]}, ""), patient_key({0x00100020: ["P2"]}, "")


def name(text: str) -> dict[str, Any]:
    return {"00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]}}


def identity(patient: str) -> dict[str, Any]:
    return {"00100020": {"vr": "LO", "Value": [patient]}, "00100021": {"vr": "LO"}}


STUDY = CorrectedStudy(
    OWN,
    Corrections({"a": Correction("a", 10, "jane", "misspelt", name("POE^JANE"))}, {"a": Withdrawal(30, "joe", "no")}),
    {
        ONE: Corrections({"b": Correction("b", 20, "joe", "same", identity("P2") | name("ROE"), into=OTHER)}),
        OTHER: Corrections({"c": Correction("c", 40, "joe", "gone", None)}),
    },
)


def test_a_history_says_who_changed_what_when_and_why_and_what_that_comes_to() -> None:
    history = history_of("1.2", STUDY).as_json()
    assert history["received"]["00100010"]["Value"] == [{"Alphabetic": "DOE^JANE"}]
    assert history["shown"]["00100010"]["Value"] == [{"Alphabetic": "ROE"}]
    assert history["shown"]["00100020"]["Value"] == ["P2"]
    first, second, third = history["corrections"]
    assert (first["of"], first["by"], first["at"], first["reason"]) == ("study", "jane", 10, "misspelt")
    assert first["withdrawn"] == {"at": 30, "by": "joe", "reason": "no"}
    assert (second["of"], second["withdrawn"], second["values"]["00100020"]["Value"]) == ("merge", None, ["P2"])
    assert (third["of"], third["values"]) == ("patient", None)


def test_a_history_as_of_a_time_knows_what_was_made_by_then() -> None:
    for until, count, shown, withdrawn in (
        (5, 0, "DOE^JANE", None),
        (15, 1, "POE^JANE", None),
        (25, 2, "ROE", None),
        (35, 2, "ROE", 30),
    ):
        history = history_of("1.2", STUDY, until).as_json()
        assert len(history["corrections"]) == count
        assert history["shown"]["00100010"]["Value"] == [{"Alphabetic": shown}]
        assert not count or (history["corrections"][0]["withdrawn"] or {}).get("at") == withdrawn


def test_a_study_that_nobody_corrected_has_none() -> None:
    history = history_of("1.2", CorrectedStudy(OWN, NOTHING, {ONE: NOTHING}))
    assert (history.entries, history.shown) == ((), history.received)
