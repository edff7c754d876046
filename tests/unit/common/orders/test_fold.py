"""The fold of an order's events: what is accepted, what is refused, and that all who read them agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import ERASED, Order, OrderEvent, Verdict, fold_order, values_in, without_values
from tests.support.orders import attributes, cancelled, changed, erased, linked, order, placed, step, unlinked

PATIENT_ID, LOCATION = TAGS["PatientID"], TAGS["ScheduledProcedureStepLocation"]
STEP_ID, STEPS = TAGS["ScheduledProcedureStepID"], TAGS["ScheduledProcedureStepSequence"]


def fold_all(events: Sequence[OrderEvent]) -> Verdict[Order]:
    verdict: Verdict[Order] = Verdict(False, "nothing happened", None)
    for event in events:
        verdict = fold_order(verdict.state, event)
    return verdict


def standing(*events: OrderEvent) -> Order:
    verdict = fold_all(events)
    assert verdict.accepted, verdict.reason
    assert verdict.state is not None
    return verdict.state


def refused(*events: OrderEvent) -> str:
    verdict = fold_all(events)
    assert not verdict.accepted
    assert verdict.state == fold_all(events[:-1]).state  # nothing was changed
    return verdict.reason


def test_an_order_replaces_what_was_placed_under_its_key() -> None:
    after = standing(placed(), changed(attributes(PatientID="P2")), placed(order(step("S9"), AdmissionID="X"), "c9"))
    assert list(after.steps) == ["S9"]
    assert after.attributes[PATIENT_ID] == ["P1"]


def test_a_cancelled_order_can_be_placed_again() -> None:
    assert not standing(placed(), cancelled(), placed(change="c9")).cancelled


def test_an_order_needs_a_key_and_each_step_an_id_of_its_own() -> None:
    assert "is needed" in refused(placed(key=""))
    assert refused(placed(order(step("S1"), step("S1")))) == "two steps have the scheduled procedure step id S1"
    assert refused(placed(order(step("")))) == "a step without a scheduled procedure step id"
    assert refused(placed({STEPS: ["S1"]})) == "a step without a scheduled procedure step id"


def test_a_change_sets_what_it_names_and_leaves_the_rest() -> None:
    after = standing(placed(), changed(attributes(PatientID="P2") | {TAGS["RequestedProcedureID"]: None}))
    assert after.attributes[PATIENT_ID] == ["P2"]
    assert TAGS["RequestedProcedureID"] not in after.attributes
    assert after.attributes[TAGS["AccessionNumber"]] == ["A1"]


def test_steps_are_changed_added_and_removed_by_their_id() -> None:
    room = attributes(ScheduledProcedureStepLocation="Room 2")
    after = standing(placed(order(step("S1"), step("S2"))), changed(steps={"S1": room, "S2": None, "S3": room}))
    assert list(after.steps) == ["S1", "S3"]
    assert after.steps["S1"].attributes[LOCATION] == ["Room 2"]
    assert after.steps["S1"].attributes[TAGS["Modality"]] == ["CT"]
    assert after.steps["S3"].attributes[STEP_ID] == ["S3"]


def test_what_is_not_there_cannot_be_changed_or_cancelled() -> None:
    assert refused(changed(attributes(PatientID="P2"))) == "there is no such order"
    assert refused(cancelled()) == "there is no such order"
    assert refused(placed(), changed(steps={"S9": None})) == "there is no step S9"
    assert refused(placed(), cancelled("S9")) == "there is no step S9"


def test_a_step_keeps_its_id_and_is_not_changed_among_the_attributes() -> None:
    assert "another scheduled procedure step id" in refused(placed(), changed(steps={"S1": {STEP_ID: ["S2"]}}))
    assert "by their scheduled procedure step id" in refused(placed(), changed({STEPS: []}))


def test_what_is_cancelled_is_neither_changed_nor_cancelled_again() -> None:
    assert "is cancelled" in refused(placed(), cancelled(), changed(attributes(PatientID="P2")))
    assert "is cancelled" in refused(placed(), cancelled(), cancelled(change="c9"))
    assert refused(placed(), cancelled("S1"), cancelled("S1", change="c9")) == "step S1 is cancelled already"
    assert refused(placed(), cancelled("S1"), changed(steps={"S1": {}})) == "step S1 is cancelled"


def test_one_step_is_cancelled_and_the_other_is_not() -> None:
    after = standing(placed(order(step("S1"), step("S2"))), cancelled("S2"))
    assert [planned_step.cancelled for planned_step in after.steps.values()] == [False, True]
    assert not after.cancelled
    assert standing(placed(), cancelled()).reason == "patient did not come"


def test_an_event_that_cannot_be_read_is_refused() -> None:
    assert refused(replace(placed(), attributes=b"\xc1")) == "packed attributes cannot be read"
    assert refused(placed(), replace(changed(), step_attributes=b"\x90")) == "packed attributes are no attributes"


_STEP_IDS = st.sampled_from(["S1", "S2", "S3"])
_EVENTS = st.one_of(
    st.lists(_STEP_IDS, max_size=3).map(lambda ids: placed(order(*map(step, ids)))),
    st.dictionaries(_STEP_IDS, st.none() | st.just(attributes(Modality="MR")), max_size=2).map(
        lambda steps: changed(attributes(PatientID="P2"), steps)
    ),
    st.lists(_STEP_IDS, max_size=2).map(lambda ids: cancelled(*ids)),
)


@given(st.lists(_EVENTS, max_size=12))
def test_whatever_comes_an_order_stays_one(events: list[OrderEvent]) -> None:
    order_before: Order | None = None
    for event in events:
        verdict = fold_order(order_before, event)
        assert verdict == fold_order(order_before, event)  # the same for everybody who reads it
        assert verdict.accepted == (verdict.reason == "")
        assert verdict.accepted or verdict.state == order_before
        if verdict.state is not None:
            assert all(planned_step.id == id_ for id_, planned_step in verdict.state.steps.items())
            assert all(planned_step.attributes[STEP_ID] == [id_] for id_, planned_step in verdict.state.steps.items())
        if order_before is not None and order_before.cancelled and verdict.accepted:
            assert verdict.state is not None
            assert not verdict.state.cancelled  # only by placing it again
        order_before = verdict.state


@given(st.lists(_EVENTS, max_size=8), st.integers(0, 8))
def test_folding_may_stop_and_go_on_anywhere(events: list[OrderEvent], at: int) -> None:
    half = fold_all(events[:at]).state
    for event in events[at:]:
        half = fold_order(half, event).state
    assert half == fold_all(events).state


def test_a_study_is_linked_once_and_until_it_is_unlinked() -> None:
    assert standing(placed(), linked()).linked == {"1.2.9": "k1"}
    assert refused(placed(), linked(), linked(change="c9")) == "the study is linked to this order already"
    assert standing(placed(), linked(), linked("1.2.8"), unlinked()).linked == {"1.2.8": "k1"}
    assert refused(placed(), unlinked()) == "the study is not linked to this order"
    assert refused(linked()) == refused(unlinked()) == "there is no such order"


def test_links_survive_what_a_scheduling_system_sends_anew() -> None:
    assert standing(placed(), linked(), placed(order(PatientID="P2"), "c9")).linked == {"1.2.9": "k1"}
    assert standing(placed(), linked(), changed(attributes(PatientID="P2"))).linked == {"1.2.9": "k1"}


def test_a_cancelled_order_gets_no_study_and_gives_back_those_that_it_has() -> None:
    assert "is cancelled" in refused(placed(), cancelled(), linked())
    assert standing(placed(), linked(), cancelled(), unlinked()).linked == {}


def test_an_erased_order_is_nothing_and_can_be_placed_anew() -> None:
    state = fold_order(None, placed()).state
    verdict = fold_order(state, erased())
    assert (verdict.accepted, verdict.state) == (True, None)
    assert fold_order(None, erased()).accepted
    assert fold_order(None, changed(attributes(PatientID="P2"))).reason == "there is no such order"
    assert fold_order(None, placed()).accepted


def test_an_event_whose_values_are_gone_changes_nothing() -> None:
    state = fold_order(None, placed()).state
    for event in (placed(), changed(attributes(PatientID="P2"))):
        apart = without_values(event, "key", values_in(event))
        assert fold_order(state, apart) == Verdict(False, ERASED, state)  # type: ignore[arg-type]
