"""Which routes a study gets, and what became of each."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.events import (
    Event,
    InstancesDeleted,
    InstancesRestored,
    PatientCorrected,
    PatientCorrectionWithdrawn,
    PatientMerged,
    ReceiptReference,
    RouteDelayed,
    RouteEnded,
    RouteProgressed,
    RouteRequested,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionWithdrawn,
)
from gantry.common.ids import Receipt
from gantry.common.lifecycle.routes import (
    AVAILABILITY,
    CANCELLED,
    CHANGE,
    COMMITMENT,
    CORRECTION,
    DELIVERED,
    FAILED,
    STEP,
    STEP_EVENT,
    ChangedInstance,
    RouteLedger,
    RouteRule,
    change_requests,
    commitment_request,
    correction_requests,
    may_be_next,
    patient_requests,
    receipts_of,
    requests,
    taken_in_pieces,
)

COMPLETED = StudyCompleted("default", "", "1.2", "quiet", 2, 2, "a", "b", 5, ("CT1",))


def rule(name: str, *to: str, sources: tuple[str, ...] = ()) -> RouteRule:
    return RouteRule(name, Query("default", Level.STUDY), frozenset(sources), to)


def test_each_destination_gets_a_study_once_whatever_the_rules() -> None:
    routes = requests(COMPLETED, [rule("one", "A", "B"), rule("two", "B", "C")], 7)
    assert [(route.destination, route.rule) for route in routes] == [("A", "one"), ("B", "one"), ("C", "two")]
    assert all((route.first_receipt, route.last_receipt, route.at) == ("a", "b", 7) for route in routes)
    assert len({route.route for route in routes}) == 3


def test_nothing_is_sent_back_to_who_sent_it_but_it_may_be_told() -> None:
    assert requests(COMPLETED, [rule("loop", "CT1")], 7) == []
    (route,) = requests(COMPLETED, [RouteRule("told", Query("default", Level.STUDY), frozenset(), notify=("CT1",))], 7)
    assert (route.destination, route.kind) == ("CT1", AVAILABILITY)


def test_a_destination_may_get_objects_and_be_told_of_them() -> None:
    both = RouteRule("both", Query("default", Level.STUDY), frozenset(), to=("A",), notify=("A",))
    routes = requests(COMPLETED, [both, both], 7)
    assert [(route.destination, route.kind) for route in routes] == [("A", ""), ("A", AVAILABILITY)]
    assert len({route.route for route in routes}) == 2


def test_a_completion_that_is_read_twice_asks_for_the_same_routes() -> None:
    rules = [rule("one", "A", "B")]
    assert [route.route for route in requests(COMPLETED, rules, 7)] == [
        route.route for route in requests(COMPLETED, rules, 9)
    ]


def test_a_rule_with_sources_is_for_what_they_sent() -> None:
    assert rule("all", "A").may_apply(COMPLETED)
    assert rule("own", "A", sources=("CT1", "CT2")).may_apply(COMPLETED)
    assert not rule("others", "A", sources=("MR1",)).may_apply(COMPLETED)


def test_who_gets_a_study_by_a_rule_that_commits_is_asked_whichever_rule_comes_first() -> None:
    commits = replace(rule("deep", "A"), commits=True, notify=("A",))
    routes = requests(COMPLETED, [rule("one", "A", "B"), commits], 7)
    assert [(route.destination, route.kind, route.commits) for route in routes] == [
        ("A", "", True),
        ("B", "", False),
        ("A", AVAILABILITY, False),
    ]


def test_what_was_delivered_is_asked_for_by_a_route_of_its_own_that_is_always_the_same() -> None:
    (sent,) = requests(COMPLETED, [replace(rule("deep", "A"), commits=True)], 7)
    (asking,), (again,) = commitment_request(sent, 3, 9), commitment_request(sent, 3, 11)
    assert isinstance(asking, RouteRequested)
    assert (asking.kind, asking.asked, asking.at, asking.destination) == (COMMITMENT, 3, 9, "A")
    assert (asking.first_receipt, asking.last_receipt) == (sent.first_receipt, sent.last_receipt)
    assert asking.route == again.route != sent.route


def test_a_route_that_de_identifies_is_about_nothing_for_a_release_that_does_not_know_it() -> None:
    hidden = replace(rule("trial", "A"), deidentify="research")
    plain, (route,) = requests(COMPLETED, [rule("one", "B")], 7), requests(COMPLETED, [hidden], 7)
    assert (route.deidentify, receipts_of(route)) == ("research", ("a", "b"))
    assert not route.first_receipt <= "a" <= route.last_receipt
    assert (plain[0].deidentify, receipts_of(plain[0])) == ("", ("a", "b"))


def test_commitment_is_not_asked_of_what_was_withheld() -> None:
    (sent,) = requests(COMPLETED, [replace(rule("trial", "A"), commits=True, deidentify="research")], 7)
    asking, known = commitment_request(sent, 2, 9, ["1.9"])
    assert isinstance(asking, RouteRequested)
    assert isinstance(known, RouteProgressed)
    assert (asking.deidentify, receipts_of(asking), asking.until > 9) == ("research", ("a", "b"), True)
    assert (known.route, known.taken) == (asking.route, ("1.9",))
    ledger = RouteLedger()
    ledger.take(asking)
    ledger.take(known)
    assert ledger.routes[asking.route].left == 2


def test_what_was_withheld_is_known_with_its_reasons() -> None:
    ledger = RouteLedger()
    ledger.take(requested("x"))
    ledger.take(replace(ended("x", DELIVERED), withheld=3, withheld_uids=("1.8", "1.9"), withheld_why=("pdf", "text")))
    state = ledger.routes["x"]
    assert (state.withheld, state.reasons) == (3, {"1.8": "pdf", "1.9": "text"})


def test_a_delay_that_is_older_than_what_is_known_changes_nothing() -> None:
    ledger = RouteLedger()
    for event in (requested("x"), replace(delayed("x", 3), why="answered"), replace(delayed("x", 2), why="waits")):
        ledger.take(event)
    assert (ledger.routes["x"].attempts, ledger.routes["x"].why) == (3, "answered")


def test_of_what_was_taken_away_each_is_told_once_and_nobody_is_sent_anything() -> None:
    def rule(name: str, *notify: str) -> RouteRule:
        return RouteRule(name, Query("default", Level.STUDY), frozenset(), ("A",), notify)

    rules = [rule("one", "RIS", "HIS"), rule("two", "RIS")]
    names = ReceiptReference("1.2.1", "1.2.1.1", "r1"), ReceiptReference("1.2.1", "1.2.1.2", "r2")
    gone = InstancesDeleted("default", "t", "1.2", "d1", names[:1], "why", "anna", 5)
    instance = ChangedInstance("1.2.1", "1.2.840.1", "1.2.1.1")
    routes = change_requests(gone, [instance], rules, 7)
    assert [(route.destination, route.rule, route.kind) for route in routes] == [
        ("RIS", "one", CHANGE),
        ("HIS", "one", CHANGE),
    ]
    named = {(route.series_instance_uids, route.sop_class_uids, route.sop_instance_uids) for route in routes}
    assert named == {(("1.2.1",), ("1.2.840.1",), ("1.2.1.1",))}
    again = change_requests(gone, [instance], rules, 9)
    assert [route.route for route in again] == [route.route for route in routes]
    # The second event of the same deletion, and what is brought back in the same moment.
    others = replace(gone, receipts=names[1:]), InstancesRestored("default", "t", "1.2", ("d1",), names[:1], "", "", 5)
    more = [route.route for other in others for route in change_requests(other, [instance], rules, 7)]
    assert len({*more, *(route.route for route in routes)}) == 6


def requested(route: str, at: int = 1) -> RouteRequested:
    return RouteRequested("default", "", "1.2", route, "rule", "A", "a", "b", at)


def delayed(route: str, attempts: int) -> RouteDelayed:
    return RouteDelayed("default", "", "1.2", route, attempts, "away", 2, 9)


def ended(route: str, outcome: str) -> RouteEnded:
    return RouteEnded("default", "", "1.2", route, outcome, 2, 0, "", 3, "anna")


def progressed(route: str, *taken: str) -> RouteProgressed:
    return RouteProgressed("default", "", "1.2", route, taken, 2)


EVENTS = st.lists(
    st.one_of(
        st.builds(progressed, st.sampled_from("xy"), st.sampled_from("123")),
        st.builds(requested, st.sampled_from("xy")),
        st.builds(delayed, st.sampled_from("xy"), st.integers(1, 3)),
        st.builds(ended, st.sampled_from("xy"), st.sampled_from([DELIVERED, CANCELLED])),
    ),
    max_size=20,
)


def ledger(events: list[Event]) -> RouteLedger:
    made = RouteLedger()
    for event in events:
        made.take(event)
    return made


def test_a_route_is_open_until_it_ends() -> None:
    made = ledger([requested("x", 2), requested("y", 1), delayed("x", 1)])
    assert [(state.requested.route, state.attempts, state.why) for state in made.open()] == [
        ("y", 0, ""),
        ("x", 1, "away"),
    ]
    made.take(ended("x", CANCELLED))
    assert [state.requested.route for state in made.open()] == ["y"]
    assert [(state.outcome, state.by) for state in made.all()] == [("", ""), (CANCELLED, "anna")]


@given(EVENTS)
def test_what_ended_stays_as_it_ended(events: list[Event]) -> None:
    made, outcomes = RouteLedger(), dict[str, str]()
    for event in events:
        made.take(event)
        for name, state in made.routes.items():
            assert outcomes.setdefault(name, state.outcome) in ("", state.outcome)
            outcomes[name] = state.outcome


@given(EVENTS)
def test_events_that_come_twice_in_a_row_change_nothing(events: list[Event]) -> None:
    twice = [event for event in events for _ in range(2)]
    assert ledger(twice).routes == ledger(events).routes


def test_what_was_taken_is_known_until_a_route_is_delivered() -> None:
    request = replace(requested("x"), kind="move", asked=3)
    made = ledger([request, progressed("x", "1", "2"), progressed("x", "2"), progressed("y", "1")])
    (state,) = made.open()
    assert (sorted(state.taken), state.left) == (["1", "2"], 1)
    made.take(replace(ended("x", FAILED), failed=1))
    (state,) = made.all()
    assert (sorted(state.taken), state.left) == (["1", "2"], 1)
    whole = ledger([requested("x"), progressed("x", "1"), ended("x", DELIVERED)]).all()
    assert [(state.taken, state.left) for state in whole] == [(frozenset(), None)]


def test_many_that_were_taken_need_several_records() -> None:
    pieces = list(taken_in_pieces(requested("x"), [str(number) for number in range(9_000)], 5, 7))
    assert [len(piece.taken) for piece in pieces] == [4_000, 4_000, 1_000]
    assert len({uid for piece in pieces for uid in piece.taken}) == 9_000
    assert {(piece.route, piece.at, piece.until) for piece in pieces} == {("x", 5, 7)}
    assert list(taken_in_pieces(requested("x"), [], 5)) == []
    (none,) = taken_in_pieces(requested("x"), [], 5, even_none=True)
    assert none.taken == ()


def test_what_was_said_of_a_step_waits_for_what_was_said_of_it_before_and_for_nothing_else() -> None:
    step, other = (replace(requested("r"), study_instance_uid=uid, kind=STEP) for uid in ("1.2", "1.3"))
    objects, event = requested("r"), replace(step, kind=STEP_EVENT)
    assert may_be_next([step, step, objects, other, event, step, objects, other, event]) == [0, 2, 3, 4, 6]
    assert may_be_next([]) == []


def test_those_that_rules_tell_of_corrections_are_told_once_and_by_name() -> None:
    made = StudyCorrected("default", "t1", "1.2.3", "c1", "", "why", "anna", 5)
    first_rule = RouteRule("one", Query("default", Level.STUDY), frozenset(), notify=("RIS", "HIS"), corrected=("RIS",))
    rules = [first_rule, replace(first_rule, name="two", corrected=("HIS", "RIS")), replace(first_rule, corrected=())]
    routes = correction_requests(made, rules, 7)
    assert [(route.destination, route.rule, route.kind) for route in routes] == [
        ("RIS", "one", CORRECTION),
        ("HIS", "two", CORRECTION),
    ]
    # A release that does not know the kind finds nothing to send.
    assert {(route.first_receipt, route.last_receipt, receipts_of(route)) for route in routes} == {("", "", ("", ""))}
    assert [route.route for route in correction_requests(made, rules, 8)] == [route.route for route in routes]
    withdrawn = StudyCorrectionWithdrawn("default", "t1", "1.2.3", "c1", "why", "anna", 6)
    others = correction_requests(withdrawn, rules, 7)
    assert not {route.route for route in others} & {route.route for route in routes}


def test_patients_are_told_of_in_order_each_by_itself_and_a_replayed_event_is_one_route() -> None:
    first = PatientCorrected("default", "t", "patient-a", f"{1:012x}{'0' * 20}", "", "ehr", 5)
    merged = PatientMerged("default", "t", "patient-a", f"{2:012x}{'0' * 20}", "patient-b", False, "", "ehr", 6)
    renamed = replace(merged, correction=f"{3:012x}{'0' * 20}", patient="patient-c", renamed=True)
    withdrawn = PatientCorrectionWithdrawn("default", "t", "patient-a", first.correction, "", "ehr", 7)
    routes = [route for change in (first, merged, renamed, withdrawn) for route in patient_requests(change, ["RIS"], 9)]
    assert [route.kind for route in routes] == [
        *("patient correction", "patient merge", "patient identifier", "patient correction")
    ]
    assert len({route.route for route in routes}) == 4
    assert patient_requests(first, ["RIS"], 10)[0].route == routes[0].route
    assert routes[0].values_key == routes[3].values_key == Receipt(first.correction).values_key("default")
    assert may_be_next(routes) == [0, 2]
    assert patient_requests(first, [], 9) == []
