"""Single fields of an order."""

from __future__ import annotations

import pytest

from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.message import parse
from gantry.common.hl7.order_attributes import requested_procedure, scheduled_start, scheduled_step, with_study
from gantry.common.hl7.profiles import DEFAULT
from tests.support.messages import segment

HEADER = "MSH|^~\\&|A|B\r"


def collected(*segments: str) -> CollectedAttributes:
    message, made = parse(HEADER + "\r".join(segments)), CollectedAttributes()
    requested_procedure(message.segments, message.first("PV1"), DEFAULT, made)
    return made


def test_pregnancy_transport_allergies_and_reason_have_their_places() -> None:
    made = collected(
        segment("PV1", {2: "I", 15: "A0~B6"}),
        segment("AL1", {3: "70618^Penicillin"}),
        segment("OBR", {13: "fell", 30: "WALK", 31: "I10^Trauma"}),
    )
    values = {name: element["Value"] for name, element in made.values.items()}
    assert values["001021C0"] == [3]
    assert values["00102110"] == ["Penicillin"]
    assert values["00380500"] == ["fell"]
    assert values["00401004"] == ["WALK"]
    assert values["00401002"] == ["Trauma"]
    assert made.problems == []


def test_a_requested_procedure_without_an_id_has_that_of_the_accession() -> None:
    made = collected(segment("OBR", {18: "A1"}))
    assert made.values["00401001"]["Value"] == ["A1"]


def test_the_authority_of_an_order_number_is_not_that_of_the_accession() -> None:
    assert not collected(segment("ORC", {3: "F1^RIS"})).has("IssuerOfAccessionNumberSequence")
    assert collected(segment("IPC", {1: "A1^RIS"})).has("IssuerOfAccessionNumberSequence")


def test_a_description_is_cut_and_an_identifier_is_not() -> None:
    made = collected(segment("OBR", {4: f"C^{'long ' * 30}^L"}))
    assert len(made.values["00321060"]["Value"][0]) <= 64
    made = collected(segment("OBR", {18: "A" * 17}))
    assert [str(problem.spot) for problem in made.problems] == ["OBR-18", "OBR-18"]


@pytest.mark.parametrize("field", ["TQ1-7", "ORC-7.4", "OBR-27.4", "OBR-36"])
def test_a_step_begins_when_one_of_several_fields_says(field: str) -> None:
    name, _, place = field.partition("-")
    number, _, component = place.partition(".")
    text = "^" * (int(component or 1) - 1) + "202611281030"
    message, made = parse(HEADER + segment(name, {int(number): text})), CollectedAttributes()
    scheduled_start(message.segments, DEFAULT, made)
    assert made.values["00400002"]["Value"] == ["20261128"]
    assert made.values["00400003"]["Value"] == ["1030"]


def test_a_step_without_a_modality_gets_no_station_by_modality() -> None:
    message, made = parse(HEADER + segment("OBR", {34: "1&KIND&EVA"})), CollectedAttributes()
    assert scheduled_step(message.segments, DEFAULT, made) == ""
    assert set(made.values) == {"00400006"}


def test_a_study_uid_is_made_only_where_none_is_said() -> None:
    made = CollectedAttributes()
    with_study("", made)
    assert made.values == {}
    with_study("A1", made)
    first = made.values["0020000D"]
    with_study("A2", made)
    assert made.values["0020000D"] == first
