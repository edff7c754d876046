"""What was sent on of a study, and who was told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.common.events import (
    Event,
    RouteDelayed,
    RouteEnded,
    RouteRequested,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
)
from gantry.services.whereabouts.account import Account
from gantry.services.whereabouts.onward import Onward, OnwardOf
from gantry.services.whereabouts.words import advice, history_lines

AT = 1_700_000_000_000_000
SECOND = 1_000_000
ROUTE = RouteRequested("default", "", "1.2.3", "r1", "chest", "READING", "a", "b", AT)
DELAYED = RouteDelayed("default", "", "1.2.3", "r1", 2, "it is away", AT + SECOND, AT + 60 * SECOND)
SUBSCRIBED = SubscriptionCreated("default", "", "s1", "sealed", "ehr.example", "o1", "ehr", 9 * AT, AT)
NOTED = SubscribedStudyNoted("default", "", "s1", "e1", "1.2.3", "created", AT + SECOND)


def ended(outcome: str, route: str = "r1", why: str = "") -> RouteEnded:
    return RouteEnded("default", "", "1.2.3", route, outcome, 3, 0, why, AT + 2 * SECOND)


def onward(*events: Event, study: str = "1.2.3") -> tuple[Onward, ...]:
    collector = OnwardOf([study])
    for event in events:
        collector.route(event)
        collector.subscription(event)
    return collector.of(study)


def test_what_waits_says_since_when_why_and_when_it_is_tried_again() -> None:
    (way,) = onward(ROUTE, DELAYED)
    assert (way.destination, way.kind, way.state, way.at) == ("READING", "objects", "waits", AT)
    assert (way.attempts, way.why, way.again, way.rule) == (2, "it is away", AT + 60 * SECOND, "chest")
    assert not way.tells


def test_objects_that_were_delivered_are_in_the_deliveries_and_what_was_told_is_not() -> None:
    notified = replace(ROUTE, route="r2", destination="RIS", kind="availability")
    (way,) = onward(ROUTE, notified, ended("delivered"), ended("delivered", "r2"))
    assert (way.destination, way.state, way.at, way.tells) == ("RIS", "delivered", AT + 2 * SECOND, True)


def test_what_failed_and_was_asked_for_again_is_told_by_what_came_of_it() -> None:
    again = replace(ROUTE, route="r3", at=AT + 9 * SECOND, by="anna")
    assert onward(ROUTE, ended("failed"), again, ended("delivered", "r3")) == ()
    (way,) = onward(ROUTE, ended("failed"), again)
    assert (way.route, way.state) == ("r3", "waits")
    # What came later is something else: that the first did not get there is still so.
    later = replace(ROUTE, route="r4", first_receipt="c", last_receipt="d")
    (way,) = onward(ROUTE, ended("failed"), later, ended("delivered", "r4"))
    assert (way.route, way.state) == ("r1", "failed")


def test_priors_for_an_order_of_the_study_are_not_sent_on() -> None:
    assert onward(replace(ROUTE, kind="prefetch", destination="OLD", requestor="A1")) == ()


def test_what_failed_is_shown_however_much_was_told() -> None:
    told_often = [replace(ROUTE, route=f"t{n}", destination=f"RIS{n}", kind="availability") for n in range(30)]
    outcomes = [ended("delivered", route.route) for route in told_often]
    lines = history_lines(
        Account("1.2.3", onward=onward(ROUTE, ended("failed", why="no room"), *told_often, *outcomes))
    )
    assert len([fact for kind, fact in lines if kind in ("told", "sent on")]) == 20
    assert any("failed at" in fact for kind, fact in lines if kind == "sent on")


def test_nothing_of_another_study_is_told() -> None:
    assert onward(ROUTE, SUBSCRIBED, NOTED, study="1.2.4") == ()


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_subscriber_is_told_when_he_accepted_it(is_accepted: bool) -> None:
    accepted = SubscriberNotified("default", "", "s1", "e1", AT + 3 * SECOND)
    (way,) = onward(SUBSCRIBED, NOTED, *([accepted] if is_accepted else []))
    assert (way.destination, way.kind) == ("ehr.example (ehr)", "FHIR created")
    assert way.state == ("accepted" if is_accepted else "waits")
    assert way.tells


def test_a_subscription_that_is_gone_is_not_named() -> None:
    assert onward(SUBSCRIBED, NOTED, SubscriptionDeleted("default", "", "s1", "ehr", AT)) == ()


def test_an_operator_reads_who_got_what_and_what_to_do_where_it_failed() -> None:
    notified = replace(ROUTE, route="r2", destination="RIS", kind="availability", rule="planner")
    account = Account("1.2.3", onward=onward(ROUTE, DELAYED, notified, ended("failed", "r2", "answered 0122H")))
    lines = history_lines(account)
    waits = "READING, objects by the rule chest: waits since 2023-11-14 22:13:20Z, tried 2 times, next at"
    assert ("sent on", f"{waits} 2023-11-14 22:14:20Z: it is away") in lines
    assert ("told", "RIS, availability by the rule planner: failed at 2023-11-14 22:13:22Z: answered 0122H") in lines
    (step,) = advice(account)
    assert step.endswith("gantry routes retry r2")


def test_where_all_went_on_there_is_nothing_to_do() -> None:
    notified = replace(ROUTE, route="r2", destination="RIS", kind="availability")
    assert advice(Account("1.2.3", onward=onward(ROUTE, notified, ended("delivered", "r2")))) == []
