"""What the log says of a C-MOVE: before it begins, while it sends, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.matching import Condition, Single, UidList
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.events import RouteDelayed, RouteEnded, RouteProgressed, RouteRequested
from gantry.common.lifecycle.routes import CANCELLED, DELIVERED, MOVE, RouteLedger
from gantry.common.ports.index import Location
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.routing.unfinished import MOST_NAMED, RequestedMove, UnfinishedMove, begun

ASKED = RequestedMove("WS1", 7, "READING", "t")
STUDY: Mapping[int, Condition] = {STUDY_INSTANCE_UID: Single(("1.1",))}


def location(study: str, number: int, series: str = "1") -> Location:
    key = f"objects/default/2000000/{number:032x}.dcm"
    uid = f"{study}.{number % 100}"
    return Location(study, f"{study}.{series}", uid, "1.2.840.10008.5.1.4.1.1.2", "1.2", key, 0, 1, "d")


LOCATIONS = [location("1.1", 1), location("1.1", 3), location("1.2", 2)]


def routes(locations: list[Location], conditions: Mapping[int, Condition] = STUDY) -> list[RouteRequested]:
    made = begun(ASKED, conditions, locations, iter("abcdef"), 5, 9)
    assert made is not None
    return made


def under_way(locations: list[Location]) -> UnfinishedMove:
    return UnfinishedMove(routes(locations), locations, Counters(len(locations)))


def test_each_study_is_a_route_up_to_its_latest_receipt() -> None:
    first, other = routes(LOCATIONS)
    assert (first.study_instance_uid, first.route, first.kind, first.asked) == ("1.1", "a", MOVE, 2)
    assert (other.study_instance_uid, other.route, other.asked) == ("1.2", "b", 1)
    assert (first.first_receipt, first.last_receipt) == ("", f"{3:032x}")
    assert (first.requestor, first.message_id, first.destination, first.at, first.until) == ("WS1", 7, "READING", 5, 9)
    assert begun(ASKED, STUDY, [], iter("a"), 5, 9) == []


def test_a_route_names_the_series_and_instances_that_were_asked_for_if_they_are_not_too_many() -> None:
    (route, _) = routes(LOCATIONS, {SERIES_INSTANCE_UID: Single(("1.1.1",)), SOP_INSTANCE_UID: UidList(("1", "2"))})
    assert (route.series_instance_uids, route.sop_instance_uids) == (("1.1.1",), ("1", "2"))
    many: Mapping[int, Condition] = {SOP_INSTANCE_UID: UidList(tuple(str(n) for n in range(MOST_NAMED + 1)))}
    assert begun(ASKED, many, LOCATIONS, iter("ab"), 5, 9) is None


def test_what_was_taken_is_said_once_and_that_it_goes_on_if_that_is_due() -> None:
    move = under_way(LOCATIONS)
    assert move.progress(6, 10) == []
    move.counters.count(LOCATIONS[0], 0x0000)
    move.counters.count(LOCATIONS[1], 0xC000)
    assert move.progress(6, 10) == [RouteProgressed("default", "t", "1.1", "a", ("1.1.1",), 6, 10)]
    assert move.progress(7, 11) == []
    assert move.progress(8, 12, renewed=True) == [
        RouteProgressed("default", "t", "1.1", "a", (), 8, 12),
        RouteProgressed("default", "t", "1.2", "b", (), 8, 12),
    ]


def test_what_was_not_taken_is_left_and_a_study_that_was_has_ended() -> None:
    move = under_way(LOCATIONS)
    for place, status in ((0, 0x0000), (1, 0xC000), (2, 0xB000)):
        move.counters.count(LOCATIONS[place], status)
    assert move.left == 1
    assert move.end(6, 20, withdrawn=False) == [
        RouteProgressed("default", "t", "1.1", "a", ("1.1.1",), 6),
        RouteDelayed("default", "t", "1.1", "a", 1, "READING did not take 1 instances", 6, 20),
        RouteEnded("default", "t", "1.2", "b", DELIVERED, 1, 0, "", 6),
    ]


def test_what_nobody_tried_is_left_at_once() -> None:
    move = under_way(LOCATIONS[:2])
    move.counters.count(LOCATIONS[0], 0x0000)
    _, left = move.end(6, 20, withdrawn=False)
    assert isinstance(left, RouteDelayed)
    assert (left.attempts, left.again, "WS1" in left.why) == (0, 6, True)


def test_a_move_that_was_withdrawn_is_over() -> None:
    move = under_way(LOCATIONS[:2])
    move.counters.count(LOCATIONS[0], 0x0000)
    assert move.end(6, 20, withdrawn=True) == [
        RouteEnded("default", "t", "1.1", "a", CANCELLED, 1, 1, "C-CANCEL", 6, "WS1")
    ]


def test_that_one_of_two_instances_under_one_uid_was_taken_is_not_said() -> None:
    """It would be said of the other one, too, which then nobody sends."""
    twice = [location("1.1", 1), location("1.1", 101, series="2"), location("1.1", 2)]
    move = under_way(twice)
    for place in (twice[0], twice[2]):
        move.counters.count(place, 0x0000)
    assert move.progress(6, 10) == [RouteProgressed("default", "t", "1.1", "a", ("1.1.2",), 6, 10)]
    assert isinstance(move.end(7, 20, withdrawn=False)[0], RouteDelayed)


@given(
    st.lists(st.tuples(st.sampled_from([0x0000, 0xB000, 0xA700, 0xC000]), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_whatever_is_said_when_the_log_knows_what_was_taken_and_what_is_left(
    results: list[tuple[int, bool]], sent: int
) -> None:
    locations = [location(f"1.{number % 3}", number) for number in range(len(results))]
    move, ledger = under_way(locations), RouteLedger()
    for route in move.routes:
        ledger.take(route)
    taken: set[str] = set()
    for place, (status, is_told) in enumerate(results[:sent]):
        move.counters.count(locations[place], status)
        taken |= {locations[place].sop_instance_uid} if status in (0x0000, 0xB000) else set()
        for event in move.progress(6, 10) if is_told else []:
            ledger.take(event)
    for event in move.end(7, 20, withdrawn=False):
        ledger.take(event)
    left = {object_location.sop_instance_uid for object_location in locations} - taken
    assert sum(state.left or 0 for state in ledger.all()) == len(left) == move.left
    assert {uid for state in ledger.open() for uid in state.taken} <= taken
    assert all(state.left for state in ledger.open())
