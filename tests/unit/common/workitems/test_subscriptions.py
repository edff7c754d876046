"""`gantry.common.workitems.subscriptions`: who gets reports, by the last request of each subscriber."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import IdentifierError, NotUnderstood
from gantry.common.workitems import (
    SubscriptionEvent,
    Workitem,
    WorkitemRecipient,
    WorkitemState,
    WorkitemSubscription,
    fold_subscription,
    recipients_of,
)
from gantry.common.workitems.subscriptions import filter_of
from tests.support.workitems import AT, UID, subscribed, suspended, unsubscribed, workitem

EVERY, SOME = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
LIVER = {TAGS["WorklistLabel"]: ["LIVER"]}
MADE = Workitem("default", UID, WorkitemState.SCHEDULED, workitem(), created_at=AT)
LATER = replace(MADE, uid="1.2.9", created_at=AT + 1000)
BRAIN = replace(MADE, uid="1.2.8", attributes=workitem(WorklistLabel="BRAIN"))


def said(events: Iterable[SubscriptionEvent], known: Workitem = MADE) -> list[WorkitemSubscription]:
    standing: dict[tuple[str, str], WorkitemSubscription] = {}
    for event in events:
        key = event.subscriber, event.sop_instance_uid
        target = known if event.sop_instance_uid == known.uid else None
        verdict = fold_subscription(standing.get(key), event, target)
        assert verdict.accepted, verdict.reason
        if verdict.state is not None:
            standing[key] = verdict.state
    return list(standing.values())


def who(target: Workitem, *events: SubscriptionEvent) -> list[str]:
    return [notice.subscriber for notice in recipients_of(target, said(events))]


def test_of_one_workitem() -> None:
    assert who(MADE, subscribed()) == ["BOARD"]
    assert who(LATER, subscribed()) == []
    assert who(MADE, subscribed(), unsubscribed()) == []
    assert who(MADE, subscribed(), unsubscribed(), subscribed(at=AT + 30)) == ["BOARD"]


def test_of_all_there_are_and_will_be() -> None:
    assert who(MADE, subscribed(EVERY)) == who(LATER, subscribed(EVERY)) == ["BOARD"]
    assert who(MADE, subscribed(EVERY), unsubscribed(EVERY)) == []


def test_one_of_all_is_taken_out_and_a_new_word_on_all_brings_it_back() -> None:
    out = subscribed(EVERY), unsubscribed()
    assert who(MADE, *out) == []
    assert who(LATER, *out) == ["BOARD"]
    assert who(MADE, *out, subscribed(EVERY, at=AT + 30)) == ["BOARD"]


def test_who_takes_back_all_takes_back_each() -> None:
    assert who(MADE, subscribed(), unsubscribed(EVERY)) == []


def test_a_suspended_subscription_is_for_those_there_are() -> None:
    events = subscribed(EVERY), suspended(EVERY)
    assert (who(MADE, *events), who(LATER, *events)) == (["BOARD"], [])
    assert who(LATER, *events, subscribed(EVERY, at=AT + 30)) == ["BOARD"]
    assert who(MADE, suspended(EVERY)) == []


def test_a_filter_is_asked_of_each_workitem() -> None:
    events = (subscribed(SOME, keys=LIVER),)
    assert (who(MADE, *events), who(BRAIN, *events)) == (["BOARD"], [])


def test_the_newest_word_says_whether_it_is_kept_and_since_when() -> None:
    events = subscribed(EVERY, lock=True), subscribed(subscriber="OTHER"), subscribed(at=AT + 5)
    assert recipients_of(MADE, said(events)) == [
        WorkitemRecipient("BOARD", AT, False),
        WorkitemRecipient("OTHER", AT, False),
    ]
    assert recipients_of(LATER, said(events)) == [WorkitemRecipient("BOARD", AT, True)]


def test_who_subscribes_again_misses_nothing_and_who_had_left_begins_anew() -> None:
    again = subscribed(EVERY), subscribed(EVERY, at=AT + 30)
    assert recipients_of(MADE, said(again)) == [WorkitemRecipient("BOARD", AT, False)]
    left = subscribed(EVERY), unsubscribed(EVERY), subscribed(EVERY, at=AT + 30)
    assert recipients_of(MADE, said(left)) == [WorkitemRecipient("BOARD", AT + 30, False)]
    each = subscribed(), unsubscribed(EVERY), subscribed(at=AT + 30)
    assert recipients_of(MADE, said(each)) == [WorkitemRecipient("BOARD", AT + 30, False)]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (subscribed("1.2.404"), 0xC307),
        (unsubscribed("1.2.404"), 0xC307),
        (suspended(UID), 0xC314),
        (subscribed(SOME), 0x0115),
        (subscribed(EVERY, keys=LIVER), 0x0115),
        (subscribed(keys=LIVER), 0x0115),
        (replace(subscribed(SOME), attributes=b"", values_key="order-values/x"), 0x0110),
    ],
)
def test_what_is_refused(event: SubscriptionEvent, status: int) -> None:
    verdict = fold_subscription(None, event, MADE if event.sop_instance_uid == UID else None)
    assert (verdict.accepted, verdict.status, verdict.state) == (False, status, None)


def test_a_filter_has_its_keys_with_values_and_no_sequences() -> None:
    assert filter_of(Identifier({TAGS["WorklistLabel"]: ["LIVER"], TAGS["PatientID"]: [""]})) == LIVER
    code = TAGS["ScheduledWorkitemCodeSequence"]
    with pytest.raises(NotUnderstood):
        filter_of(Identifier({code: []}, items={code: Identifier({TAGS["CodeValue"]: ["SEG"]})}))
    with pytest.raises(IdentifierError):
        filter_of(Identifier({TAGS["ScheduledProcedureStepStartDateTime"]: ["soon"]}))


MOMENTS = some.integers(AT, AT + 50)
EVENTS = some.one_of(
    some.builds(lambda target, at: subscribed(target, at=at), some.sampled_from([UID, EVERY]), MOMENTS),
    some.builds(lambda target, at: unsubscribed(target, at=at), some.sampled_from([UID, EVERY]), MOMENTS),
    some.builds(lambda at: suspended(EVERY, at=at), MOMENTS),
)


@given(some.lists(EVENTS, max_size=12, unique_by=lambda event: event.at))
def test_for_what_is_there_the_last_word_counts_whatever_came_before(events: list[SubscriptionEvent]) -> None:
    """A suspension changes nothing for a workitem that was there before all of it."""
    events.sort(key=lambda event: event.at)
    words = [event for event in events if type(event).__name__ != "WorkitemSubscriptionSuspended"]
    wanted = ["BOARD"] if words and type(words[-1]).__name__ == "WorkitemSubscribed" else []
    assert who(MADE, *events) == wanted
