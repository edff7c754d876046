"""What differs between two answers."""

from __future__ import annotations

from typing import Any

from gantry.common.dimse import Command, Element
from gantry.common.ul import AcceptedContext
from gantry.services.frontdoor.shadow.comparing import (
    AnswerDifference,
    DifferenceKind,
    FindAnswer,
    Steps,
    compare_associations,
    compare_matches,
    compare_statuses,
    compare_sub_operations,
)
from tests.support.wire import CT, EXPLICIT, IMPLICIT, VERIFICATION, associate_rq

Match = dict[str, dict[str, Any]]
QUESTION: Match = {
    "00080052": {"vr": "CS", "Value": ["STUDY"]},
    "0020000D": {"vr": "UI"},
    "00081030": {"vr": "LO"},
    "00080054": {"vr": "AE"},
}


def at_once(steps: Steps[list[AnswerDifference]]) -> list[AnswerDifference]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return list(end.value)


def study(uid: str, description: str = "Chest", **more: str) -> Match:
    tags = {"0020000D": uid, "00081030": description, **{f"{tag[1:]}": value for tag, value in more.items()}}
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in tags.items()}


def compared(gantry: list[Match], other: list[Match], *may_differ: str) -> list[AnswerDifference]:
    return at_once(compare_matches(QUESTION, FindAnswer(0, gantry), FindAnswer(0, other), may_differ))


def test_the_same_matches_in_another_order_are_the_same() -> None:
    assert compared([study("1.1"), study("1.2")], [study("1.2"), study("1.1")]) == []


def test_what_only_one_of_them_has_is_named_by_its_uid() -> None:
    assert compared([study("1.1"), study("1.2")], [study("1.2"), study("1.3")]) == [
        AnswerDifference(DifferenceKind.ONLY_GANTRY, 1, "", ("1.1",)),
        AnswerDifference(DifferenceKind.ONLY_OTHER, 1, "", ("1.3",)),
    ]


def test_other_values_are_told_by_the_names_of_their_attributes_alone() -> None:
    (difference,) = compared([study("1.1", "Chest")], [study("1.1", "Thorax")])
    assert difference == AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "StudyDescription", ("1.1",))
    assert "Thorax" not in repr(difference)


def test_what_was_not_asked_for_and_what_may_differ_does_not_count() -> None:
    mine, theirs = study("1.1", _00080054="GANTRY", _00100010="A"), study("1.1", _00080054="OLD", _00100010="B")
    assert compared([mine], [theirs], "00080054") == []
    (difference,) = compared([mine], [theirs])
    assert difference.words == "RetrieveAETitle"


def test_a_match_that_comes_twice_is_told() -> None:
    assert compared([study("1.1")], [study("1.1"), study("1.1")]) == [
        AnswerDifference(DifferenceKind.REPEATED, 1, "", ("1.1",))
    ]


def test_a_patient_id_is_told_to_nobody() -> None:
    question: Match = {"00080052": {"vr": "CS", "Value": ["PATIENT"]}, "00100020": {"vr": "LO"}}
    match: Match = {"00100020": {"vr": "LO", "Value": ["SECRET"]}}
    (difference,) = at_once(compare_matches(question, FindAnswer(0, [match]), FindAnswer(0), ()))
    assert difference == AnswerDifference(DifferenceKind.ONLY_GANTRY)


def test_what_stands_in_the_place_of_a_uid_and_is_none_is_not_told() -> None:
    assert compared([study("Doe^Jane"), study("1.1")], []) == [
        AnswerDifference(DifferenceKind.ONLY_GANTRY, 2, "", ("1.1",))
    ]


def test_statuses_differ_in_words() -> None:
    assert compare_statuses(0, 0) == []
    (difference,) = compare_statuses(0, 0xA700)
    assert (difference.kind, difference.words) == (
        DifferenceKind.STATUS,
        "Gantry 0000H success, other A700H out of resources",
    )


def test_sub_operations_that_failed_are_told_in_numbers() -> None:
    def final(failed: int, status: int = 0) -> Command:
        return Command({Element.STATUS: status, Element.FAILED_SUB_OPERATIONS: failed})

    assert compare_sub_operations(final(1), final(1)) == []
    (status, numbers) = compare_sub_operations(final(0), final(2, 0xB000))
    assert (status.kind, numbers.kind) == (DifferenceKind.STATUS, DifferenceKind.SUB_OPERATIONS)
    assert numbers.words == "Gantry 0 failed, 0 with a warning; other 2 failed, 0 with a warning"


def test_contexts_and_transfer_syntaxes_that_differ_are_told_apart() -> None:
    request = associate_rq()
    both = {1: AcceptedContext(1, CT, EXPLICIT), 3: AcceptedContext(3, VERIFICATION, IMPLICIT)}
    assert compare_associations(request, both, both) == []
    assert compare_associations(request, both, {1: AcceptedContext(1, CT, IMPLICIT)}) == [
        AnswerDifference(DifferenceKind.CONTEXTS, 1, VERIFICATION),
        AnswerDifference(DifferenceKind.SYNTAXES, 1, CT),
    ]


def test_patients_are_counted_and_never_named() -> None:
    question: Match = {"00080052": {"vr": "CS", "Value": ["PATIENT"]}, "00100020": {"vr": "LO"}}
    # A Patient ID may look like a UID.
    mine, theirs = ([{"00100020": {"vr": "LO", "Value": [value]}}] for value in ("1.2.3", "1.2.4"))
    differences = at_once(compare_matches(question, FindAnswer(0, mine), FindAnswer(0, theirs), ()))
    assert differences == [AnswerDifference(DifferenceKind.ONLY_GANTRY), AnswerDifference(DifferenceKind.ONLY_OTHER)]
