"""The notifications of a study's events to a subscriber."""

import pytest

from gantry.common.events import (
    InstancesDeleted,
    InstancesMoved,
    StudyAccessed,
    StudyCompleted,
    SubscribedStudyNoted,
    SubscriptionCreated,
    encode,
)
from gantry.common.subscriptions.fold import Subscription
from gantry.services.webhooks.noticing import StudyNotice, happened_in, kind_for

CREATED = SubscriptionCreated("default", "", "s1", "sealed", "ehr.example", "o1", "ehr", 9_000, 1_000)


def subscription(*kinds: str) -> Subscription:
    """One that was told so of the study."""
    known = Subscription(CREATED)
    for number, kind in enumerate(kinds):
        known.note(SubscribedStudyNoted("default", "", "s1", f"e{number}", "1.2", kind, 2))
    return known


@pytest.mark.parametrize(
    ("before", "kind", "is_found", "all_seen", "expected"),
    [
        ((), "created", True, True, "created"),
        ((), "updated", True, True, "updated"),
        (("created",), "created", True, True, "updated"),
        ((), "", True, True, "updated"),
        (("created",), "", True, True, "updated"),
        (("created", "deleted"), "", True, True, "created"),
        (("created", "deleted"), "created", True, False, "created"),
        ((), "", False, True, "deleted"),
        (("created",), "", False, False, "deleted"),
        (("created", "deleted"), "", False, True, ""),
        # Nobody learns that there was a study of which he was never told.
        ((), "", False, False, ""),
        ((), "created", False, False, ""),
        ((), "created", False, True, ""),
    ],
)
def test_kind_of_an_event_is_what_it_is_to_its_subscriber(
    before: tuple[str, ...], kind: str, is_found: bool, all_seen: bool, expected: str
) -> None:
    happened = StudyNotice("e9", "1.2", kind, 5, "")
    assert kind_for(subscription(*before), happened, {} if is_found else None, all_seen=all_seen) == expected


def test_study_is_new_when_all_of_it_came_since_it_was_complete_last() -> None:
    first = StudyCompleted("default", "t", "1.2", "quiet", 3, 3, "r1", "r3", 5, ())
    more = StudyCompleted("default", "t", "1.2", "quiet", 1, 4, "r4", "r4", 6, ())
    kinds = [happening.kind for event in (first, more) for happening in happened_in(event, encode(event), 7)]
    assert kinds == ["created", "updated"]


def test_move_happens_to_both_studies_and_each_has_a_name_of_its_own() -> None:
    moved = InstancesMoved("default", "t", "1.2", "m1", (), "1.3", "1.3.1", "why", "ris", 5)
    happenings = list(happened_in(moved, encode(moved), 7))
    assert [happening.study for happening in happenings] == ["1.2", "1.3"]
    assert len({happening.event for happening in happenings}) == 2


def test_same_event_has_the_same_name_and_another_one_another() -> None:
    names = [
        next(happened_in(event, encode(event), 7)).event
        for event in (
            InstancesDeleted("default", "t", "1.2", deletion, (), "why", "ris", 5) for deletion in ("d1", "d1", "d2")
        )
    ]
    assert (names[0] == names[1], names[0] == names[2]) == (True, False)


def test_what_is_nobodys_news_is_not_told() -> None:
    read = StudyAccessed("default", "t", "1.2", 5)
    assert list(happened_in(read, encode(read), 7)) == []
