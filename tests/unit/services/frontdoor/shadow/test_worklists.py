"""What differs between two worklists."""

from __future__ import annotations

from typing import Any

from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind, FindAnswer
from gantry.services.frontdoor.shadow.worklists import compare_worklists
from tests.unit.services.frontdoor.shadow.test_comparing import at_once

Match = dict[str, Any]
ASKED_OF_STEPS = ("00400001", "00400009", "00080060")


def of(**values: str) -> Match:
    return {tag[1:]: {"vr": "LO", "Value": [value] if value else []} for tag, value in values.items()}


def step(uid: str, step_id: str, station: str = "CT1", accession: str = "A1", **more: str) -> Match:
    item = of(_00400001=station, _00400009=step_id, _00080060="CT", _00400006="Doe^Jo")
    top = of(_0020000D=uid, _00080050=accession, _00100010="Shadow^Sue", **more)
    return {**top, "00400100": {"vr": "SQ", "Value": [item]}}


QUESTION = {
    **of(_0020000D="", _00080050="", _00100010=""),
    "00400100": {"vr": "SQ", "Value": [of(**{f"_{tag}": "" for tag in ASKED_OF_STEPS})]},
}


def compared(
    gantry: list[Match], other: list[Match], *may_differ: str, question: Match = QUESTION
) -> list[AnswerDifference]:
    return at_once(compare_worklists(question, FindAnswer(0, gantry), FindAnswer(0, other), may_differ))


def test_the_same_steps_in_another_order_are_the_same() -> None:
    assert compared([step("1.1", "S1"), step("1.1", "S2")], [step("1.1", "S2"), step("1.1", "S1")]) == []


def test_steps_are_told_apart_by_their_id_and_their_study() -> None:
    assert compared([step("1.1", "S1"), step("1.2", "S1")], [step("1.1", "S1"), step("1.1", "S2")]) == [
        AnswerDifference(DifferenceKind.ONLY_GANTRY, 1, "", ("1.2",)),
        AnswerDifference(DifferenceKind.ONLY_OTHER, 1, "", ("1.1",)),
    ]


def test_where_one_of_them_has_no_study_the_accession_number_tells_them_apart_and_is_told_to_nobody() -> None:
    mine, theirs = step("1.1", "S1", accession="A1"), step("", "S1", accession="A1")
    differences = compared([mine], [theirs])
    assert differences == [AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "StudyInstanceUID")]
    assert compared([mine], [step("", "S1", accession="A2")]) == [
        AnswerDifference(DifferenceKind.ONLY_GANTRY, 1, "", ()),
        AnswerDifference(DifferenceKind.ONLY_OTHER, 1, "", ()),
    ]


def test_what_differs_within_the_step_is_named() -> None:
    (difference,) = compared([step("1.1", "S1", "CT1")], [step("1.1", "S1", "CT2")])
    assert difference == AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "ScheduledStationAETitle", ("1.1",))
    assert compared([step("1.1", "S1", "CT1")], [step("1.1", "S1", "CT2")], "00400001") == []


def test_what_was_not_asked_for_does_not_count() -> None:
    other = step("1.1", "S1", _00101010="044Y")
    other["00400100"]["Value"][0]["00400006"]["Value"] = ["Roe^Al"]
    assert compared([step("1.1", "S1")], [other]) == []


def test_an_item_without_attributes_asks_for_the_whole_step() -> None:
    other = step("1.1", "S1", "CT2")
    for items in ([], [{}]):
        question = {**of(_0020000D=""), "00400100": {"vr": "SQ", "Value": items}}
        (difference,) = compared([step("1.1", "S1")], [other], question=question)
        assert difference == AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "ScheduledStationAETitle", ("1.1",))
