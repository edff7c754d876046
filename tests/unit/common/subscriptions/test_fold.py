"""What became of each subscription: numbers, what waits, what the log has forgotten."""

from __future__ import annotations

import itertools

import pytest

from gantry.common.events import (
    Event,
    NotifierBegan,
    SubscribedStudyNoted,
    SubscriberNotified,
    SubscriptionCreated,
    SubscriptionDeleted,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
)
from gantry.common.subscriptions.fold import MOST_KEPT, Subscription, Subscriptions
from gantry.common.subscriptions.model import Status

CREATED = SubscriptionCreated("default", "", "s1", "sealed", "ehr.example", "o1", "ehr", 9_000, 1_000)


def noted(number: int, study: str = "1.2", kind: str = "created", name: str = "s1") -> SubscribedStudyNoted:
    return SubscribedStudyNoted("default", "", name, f"e{number}", study, kind, 2_000 + number)


def told(number: int) -> SubscriberNotified:
    return SubscriberNotified("default", "", "s1", f"e{number}", 3_000)


def became(status: Status, why: str = "") -> SubscriptionStatusChanged:
    return SubscriptionStatusChanged("default", "", "s1", status.value, why, "", 4_000)


def counted(event: int, number: int) -> SubscriptionEventsCounted:
    return SubscriptionEventsCounted("default", "", "s1", f"e{event}", number, 5_000)


def folded(*events: Event) -> Subscriptions:
    subscriptions = Subscriptions()
    for event in events:
        subscriptions.apply(event)
    return subscriptions


def one_of(*events: Event) -> Subscription:
    subscription = folded(CREATED, *events).named("s1")
    assert subscription is not None
    return subscription


def numbers(subscription: Subscription) -> list[tuple[int, str]]:
    return [(noted_.number, noted_.event) for noted_ in subscription.waiting(MOST_KEPT)]


def test_events_have_numbers_without_gaps_and_the_same_one_is_one() -> None:
    subscription = one_of(noted(1), noted(2), noted(1), noted(3), noted(3))
    assert numbers(subscription) == [(1, "e1"), (2, "e2"), (3, "e3")]
    assert subscription.number == 3


def test_what_was_accepted_waits_no_longer_and_earlier_news_changes_nothing() -> None:
    subscription = one_of(noted(1), noted(2), noted(3), told(2), told(1), told(9))
    assert numbers(subscription) == [(3, "e3")]
    assert [each.number for each in subscription.between(1, 2, 100)] == [1, 2]
    assert [each.number for each in subscription.between(1, 99, 2)] == [1, 2]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_topics_may_be_read_in_any_order(order: tuple[int, ...]) -> None:
    topics = [[CREATED, became(Status.ACTIVE)], [noted(1), told(1)], [NotifierBegan("default", "", "*", "n1", 1)]]
    subscriptions = folded(*(event for number in order for event in topics[number]))
    subscription = subscriptions.named("s1")
    assert subscription is not None
    assert (subscription.status, subscription.number, subscription.told, subscriptions.notifier) == (
        Status.ACTIVE,
        1,
        1,
        "n1",
    )


def test_subscription_that_was_removed_stays_removed() -> None:
    gone = SubscriptionDeleted("default", "", "s1", "ehr", 3_000)
    subscriptions = folded(CREATED, gone, noted(1), became(Status.ACTIVE), CREATED)
    assert subscriptions.named("s1") is None
    assert list(subscriptions.all()) == []


def test_what_is_told_of_a_subscription_that_nobody_made_is_none() -> None:
    subscriptions = folded(noted(1))
    assert (subscriptions.named("s1"), list(subscriptions.all())) == (None, [])


def test_subscriptions_of_an_owner_are_his() -> None:
    other = SubscriptionCreated("default", "", "s2", "sealed", "ehr.example", "o2", "ehr", 9_000, 1_000)
    assert folded(CREATED, other).of_owner("o2") == ["s2"]


def test_last_event_of_a_study_is_found() -> None:
    subscription = one_of(noted(1, "1.2"), noted(2, "1.3"), noted(3, "1.2", "deleted"))
    last = subscription.last_of("1.2")
    assert last is not None
    assert (last.number, last.kind) == (3, "deleted")
    assert subscription.last_of("1.4") is None


def test_only_so_many_events_are_remembered_and_numbers_go_on() -> None:
    subscription = one_of(*(noted(number) for number in range(1, MOST_KEPT + 3)))
    assert len(subscription.kept) == MOST_KEPT
    assert (subscription.waiting(1)[0].number, subscription.number) == (3, MOST_KEPT + 2)


def test_handshake_counts_until_it_is_requested_again() -> None:
    assert not one_of().greeted
    assert one_of(became(Status.ACTIVE), became(Status.ERROR)).greeted
    assert not one_of(became(Status.ERROR)).greeted
    assert not one_of(became(Status.ACTIVE), became(Status.OFF), became(Status.REQUESTED)).greeted


LOG = [
    *(noted(number) for number in range(1, 6)),
    told(4),
    counted(5, 5),
    *(noted(number) for number in range(6, 9)),
    told(7),
    counted(8, 8),
    noted(9),
    counted(8, 8),
    noted(10),
]


@pytest.mark.parametrize("forgotten", range(len(LOG) - 3))
def test_numbers_go_on_when_the_log_has_forgotten_what_was_counted(forgotten: int) -> None:
    """From wherever the log begins: once there was a count, the last number and those of what is remembered are those
    of a process that read everything."""
    whole, short = one_of(*LOG), one_of(*LOG[forgotten:])
    assert short.number == whole.number == 10
    for name, event in short.kept.items():
        assert event.number == whole.kept[name].number
    assert short.told >= whole.told
    assert numbers(short)[-2:] == [(9, "e9"), (10, "e10")]


def test_after_a_restore_numbers_go_on_where_the_restore_says_and_nothing_waits_twice() -> None:
    """The log has lost what was noted; how far the numbers were is not known, and told again changes nothing."""
    begun = SubscriptionEventsCounted("default", "", "s1", "restored", 86_400_000, 5_000)
    subscription = one_of(
        begun, noted(1), SubscriptionEventsCounted("default", "", "s1", "restored", 86_500_000, 6_000), told(1)
    )
    assert (subscription.number, subscription.told, numbers(subscription)) == (86_400_001, 86_400_001, [])
