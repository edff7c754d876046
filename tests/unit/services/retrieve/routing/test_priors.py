"""Which studies are priors for an order, and whose they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dimse import Command, Element
from gantry.common.lifecycle import Period
from gantry.common.orders import Order, StepState
from gantry.common.orders.model import ScheduledStep
from gantry.services.retrieve.routing.priors import (
    GET,
    OF_ORDER,
    FutureOrder,
    PriorRule,
    body_parts_of,
    future_order_of,
    identifier,
    is_same_patient,
    priors_in,
    shows,
    why_not,
)

TODAY = date(2026, 11, 28)
CLASSES = 0x00080062
ID, ISSUER, BORN, STUDY, DAY, TIME, MODALITIES, COUNT = (
    *(0x00100020, 0x00100021, 0x00100030, 0x0020000D, 0x00080020, 0x00080030, 0x00080061, 0x00201208),
)
WANTED = FutureOrder("P1", "HOSP", "19700101", frozenset(["1.9"]), frozenset(["CT"]), frozenset(["C1", "C1^LOCAL"]), "")
RULE = PriorRule("r", ("OLD",))


def answer(uid: str, **fields: Any) -> dict[int, list[str]]:
    values: dict[int, list[str]] = {
        ID: ["P1"], ISSUER: ["HOSP"], BORN: ["19700101"], STUDY: [uid], DAY: ["20240101"], MODALITIES: ["CT"],
        COUNT: ["7"],
    }  # fmt: skip
    tags = {
        "id": ID,
        "issuer": ISSUER,
        "born": BORN,
        "day": DAY,
        "time": TIME,
        "modalities": MODALITIES,
        "count": COUNT,
    }
    for name, value in fields.items():
        values[tags[name]] = value if isinstance(value, list) else [value]
    return values


def uids(rule: PriorRule, *answers: dict[int, list[str]]) -> list[str]:
    return [prior.study_instance_uid for prior in priors_in(rule, WANTED, answers, TODAY)]


def order(*steps: ScheduledStep, **attributes: str) -> Order:
    tags = {"id": ID, "issuer": ISSUER, "born": BORN, "study": STUDY}
    values = {tags[name]: [value] for name, value in attributes.items()}
    values[0x00321064] = [{0x00080100: ["C1"], 0x00080102: ["LOCAL"]}]  # type: ignore[list-item]  # items of a sequence
    return Order("default", "A1", values, {step.id: step for step in steps}, linked={"1.8": "c"})


CT = ScheduledStep("S1", {0x00080060: ["CT"], 0x00400002: ["20261201"], 0x00400008: [{0x00080100: ["P7"]}]})
MR = ScheduledStep("S2", {0x00080060: ["MR"], 0x00400002: ["20261203"]})


def test_an_order_wants_priors_for_the_steps_that_are_to_come() -> None:
    states = {"S1": StepState.SCHEDULED, "S2": StepState.COMPLETED}
    wanted = future_order_of(order(CT, MR, id="P1 ", issuer="HOSP", born="19700101", study="1.9"), states)
    assert wanted is not None
    assert (wanted.patient_id, wanted.issuer, wanted.birth_date) == ("P1", "HOSP", "19700101")
    assert (wanted.studies, wanted.modalities, wanted.begins) == ({"1.9", "1.8"}, {"CT"}, "20261201")
    assert wanted.codes == {"C1", "C1^LOCAL", "P7", "P7^"}


@pytest.mark.parametrize("patient", ["", " ", "*", "P?", "P1\\P2"])
def test_an_order_that_does_not_say_whose_it_is_wants_none(patient: str) -> None:
    assert future_order_of(order(CT, id=patient), {"S1": StepState.SCHEDULED}) is None


@pytest.mark.parametrize("state", [StepState.STARTED, StepState.COMPLETED, StepState.CANCELLED])
def test_an_order_of_which_nothing_is_to_come_wants_none(state: StepState) -> None:
    assert future_order_of(order(CT, id="P1"), {"S1": state}) is None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RULE, True),
        (replace(RULE, modalities=frozenset(["CT", "MR"])), True),
        (replace(RULE, modalities=frozenset(["MR"])), False),
        (replace(RULE, codes=frozenset(["C1"])), True),
        (replace(RULE, codes=frozenset(["C1^LOCAL"])), True),
        (replace(RULE, codes=frozenset(["C1^OTHER"])), False),
        (replace(RULE, codes=frozenset(["C1"]), modalities=frozenset(["MR"])), False),
    ],
)
def test_a_rule_is_for_modalities_and_codes(rule: PriorRule, expected: bool) -> None:
    assert rule.applies(WANTED) is expected


def test_the_question_names_the_patient_id_and_asks_for_all_that_is_compared() -> None:
    keys = identifier(WANTED)
    assert keys[ID] == ["P1"]
    tags = {BORN, ISSUER, STUDY, DAY, TIME, MODALITIES, COUNT}
    assert {tag for tag, value in keys.items() if not value} == tags
    # What is only of use for the contexts of a C-GET is asked for that alone: an archive may refuse a key.
    assert {tag for tag, value in identifier(WANTED, GET).items() if not value} == {*tags, CLASSES}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({}, True),
        ({"id": "P1 "}, True),
        ({"id": "p1"}, False),
        ({"id": "P11"}, False),
        ({"id": []}, False),
        ({"issuer": "OTHER"}, False),
        ({"born": "19700102"}, False),
        ({"issuer": []}, True),
        ({"born": []}, True),
        ({"issuer": [], "born": []}, False),
    ],
)
def test_a_patient_is_the_same_by_id_and_by_issuer_or_birth_date_and_nothing_that_differs(
    fields: dict[str, Any], same: bool
) -> None:
    assert is_same_patient(WANTED, answer("1.1", **fields)) is same


def test_an_order_without_issuer_and_birth_date_has_no_priors() -> None:
    assert not is_same_patient(replace(WANTED, issuer="", birth_date=""), answer("1.1"))


def test_the_newest_come_first_and_each_once() -> None:
    several = [answer(f"1.{day}", day=f"202401{day}") for day in (10, 30, 20)]
    assert uids(RULE, *several, several[0]) == ["1.30", "1.20", "1.10"]
    same_day = answer("1.1", time="080000"), answer("1.2", time="170000")
    assert uids(RULE, *same_day) == ["1.2", "1.1"]


def test_what_is_the_orders_own_is_no_prior_nor_what_has_no_uid() -> None:
    assert uids(RULE, answer("1.9"), answer("../etc"), answer("1.1")) == ["1.1"]


def test_priors_are_of_the_modalities_that_are_wanted() -> None:
    rule = replace(RULE, prior_modalities=frozenset(["CR", "DX"]))
    assert uids(rule, answer("1.1"), answer("1.2", modalities=["SR", "DX "]), answer("1.3", modalities=[])) == ["1.2"]


@pytest.mark.parametrize(
    ("day", "young"), [("20211129", True), ("20211128", False), ("", False), ("yesterday", False), ("2024.01.01", True)]
)
def test_priors_are_no_older_than_the_rule_says(day: str, young: bool) -> None:
    rule = replace(RULE, within=Period(years=5))
    assert bool(uids(rule, answer("1.1", day=day))) is young
    assert uids(RULE, answer("1.1", day=day)) == ["1.1"]


@pytest.mark.parametrize(("said", "count"), [("7", 7), ([], None), ("many", None), ("-1", None)])
def test_how_many_there_are_is_what_the_archive_says(said: Any, count: int | None) -> None:
    (prior,) = priors_in(RULE, WANTED, [answer("1.1", count=said)], TODAY)
    assert prior.instances == count


def test_the_sop_classes_of_a_prior_are_those_it_says_that_are_uids() -> None:
    (prior,) = priors_in(RULE, WANTED, [answer("1.1") | {CLASSES: ["1.2.3 ", "", "CT", "1.2.4"]}], TODAY)
    assert prior.sop_classes == ("1.2.3", "1.2.4")


@pytest.mark.parametrize(
    ("listed", "of_order", "wanted"),
    [
        ([], ["CHEST"], []),
        (["CHEST"], ["KNEE"], ["CHEST"]),
        ([OF_ORDER], ["KNEE"], ["KNEE"]),
        ([OF_ORDER, "CHEST"], ["KNEE"], ["CHEST", "KNEE"]),
        ([OF_ORDER, "CHEST"], [], ["CHEST"]),
        ([OF_ORDER], [], []),
    ],
)
def test_body_parts_are_those_of_the_rule_and_of_the_order(
    listed: list[str], of_order: list[str], wanted: list[str]
) -> None:
    rule = replace(RULE, body_parts=frozenset(listed))
    assert body_parts_of(rule, replace(WANTED, body_parts=frozenset(of_order))) == frozenset(wanted)


def test_an_order_says_body_parts_itself_and_by_its_steps_that_are_to_come() -> None:
    steps = [
        replace(step, attributes={**step.attributes, 0x00180015: [part]})
        for step, part in ((CT, "chest "), (MR, "KNEE"))
    ]
    placed = order(*steps, id="P1")
    placed = replace(placed, attributes={**placed.attributes, 0x00180015: ["Thorax"]})
    wanted = future_order_of(placed, {"S1": StepState.SCHEDULED, "S2": StepState.COMPLETED})
    assert wanted is not None
    assert wanted.body_parts == {"CHEST", "THORAX"}


@pytest.mark.parametrize(
    ("wanted", "said", "shown"),
    [
        (["CHEST"], ["CHEST", "ABDOMEN"], True),
        (["CHEST"], ["KNEE"], False),
        (["CHEST"], [], True),
        ([], ["KNEE"], True),
    ],
)
def test_a_study_that_says_no_body_part_is_a_prior_of_each(wanted: list[str], said: list[str], shown: bool) -> None:
    assert shows(frozenset(wanted), frozenset(said)) is shown


def final(status: int, failed: int = 0, warned: int = 0) -> Command:
    return Command(
        {
            Element.STATUS: status,
            Element.FAILED_SUB_OPERATIONS: failed,
            Element.WARNING_SUB_OPERATIONS: warned,
        }
    )


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (final(0x0000), ""),
        (final(0x0000, failed=1), "did not send 1 object of a prior"),
        (final(0xB000, warned=3), ""),
        (final(0xB000, failed=2, warned=3), "to C-GET: 2 objects of a prior failed"),
        (final(0xB000), "answered B000H"),
        (final(0xA702, failed=7), "7 objects of a prior failed"),
        (final(0xA900), "answered A900H"),
        (None, "gave no final response to C-GET"),
    ],
)
def test_why_a_fetch_is_no_success_is_what_the_archive_answered(response: Command | None, words: str) -> None:
    why = why_not(response, "C-GET")
    assert words in why
    assert bool(words) is bool(why)


@given(
    st.lists(st.dictionaries(st.sampled_from([ID, ISSUER, BORN, STUDY, DAY, COUNT]), st.lists(st.text(max_size=12))))
)
def test_whatever_is_answered_nothing_of_another_patient_is_a_prior(answers: list[dict[int, list[str]]]) -> None:
    for prior in priors_in(replace(RULE, within=Period(years=5)), WANTED, answers, TODAY):
        assert any(
            prior.study_instance_uid == match[STUDY][0].strip() and match[ID][0].strip() == "P1" for match in answers
        )
