"""`gantry.common.access.added_peers`: the fold of what administrators did to peers by the API."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.access.added_peers import AddedPeers, PeerChangeOutcome
from gantry.common.config.policy import Permission
from gantry.common.events import PeerRemoved, PeerSet


def entry(title: str, may: str = "store") -> str:
    return json.dumps({"ae_title": title, "host": "192.0.2.9", "may": [may]})


def set_(title: str, change: str, replaces: str = "", may: str = "store", text: str | None = None) -> PeerSet:
    text = entry(title, may) if text is None else text
    return PeerSet("default", "", title, change, replaces, text, "", "why", "ops", 1)


def removed(title: str, change: str, replaces: str) -> PeerRemoved:
    return PeerRemoved("default", "", title, change, replaces, "", "", "ops", 2)


def told(*events: PeerSet | PeerRemoved) -> tuple[AddedPeers, list[PeerChangeOutcome]]:
    added = AddedPeers()
    return added, [added.apply(event) for event in events]


def test_a_peer_is_there_after_it_was_set_and_gone_after_it_was_removed() -> None:
    added, verdicts = told(set_("CT9", "a"))
    assert verdicts == [PeerChangeOutcome.TAKEN]
    assert list(added.peers) == ["CT9"]
    assert added.peers["CT9"].may == {Permission.STORE}
    stands = added.of("CT9")
    assert stands is not None
    assert (stands.change, stands.by, stands.reason, stands.at) == ("a", "ops", "why", 1)
    assert added.apply(removed("CT9", "b", "a")) is PeerChangeOutcome.TAKEN
    assert (dict(added.peers), added.of("CT9"), added.version("CT9")) == ({}, None, "b")


def test_of_two_administrators_who_saw_the_same_the_first_on_the_log_is_right() -> None:
    added, verdicts = told(set_("CT9", "a"), set_("CT9", "b", "a", "find"), set_("CT9", "c", "a", "commit"))
    assert verdicts == [PeerChangeOutcome.TAKEN, PeerChangeOutcome.TAKEN, PeerChangeOutcome.OVERTAKEN]
    assert added.peers["CT9"].may == {Permission.FIND}


def test_two_who_add_the_same_title_at_once_are_not_both_right() -> None:
    assert told(set_("CT9", "a"), set_("CT9", "b", may="find"))[1] == [
        PeerChangeOutcome.TAKEN,
        PeerChangeOutcome.OVERTAKEN,
    ]


def test_an_event_that_comes_again_after_the_peer_was_removed_does_not_bring_it_back() -> None:
    added, verdicts = told(set_("CT9", "a"), removed("CT9", "b", "a"), set_("CT9", "a"))
    assert verdicts[-1] is PeerChangeOutcome.OVERTAKEN
    assert not added.peers
    assert added.apply(set_("CT9", "c", "b")) is PeerChangeOutcome.TAKEN


def test_what_a_newer_release_wrote_is_the_last_change_and_lets_nobody_in() -> None:
    newer = json.dumps({"ae_title": "CT9", "host": "192.0.2.9", "since_2031": 1})
    added, verdicts = told(set_("CT9", "a"), set_("CT9", "b", "a", text=newer))
    assert verdicts[-1] is PeerChangeOutcome.UNREADABLE
    assert not added.peers
    assert list(added.standing()) == ["CT9"]
    assert added.version("CT9") == "b"


def test_an_entry_under_another_title_lets_neither_in() -> None:
    added, verdicts = told(set_("CT9", "a", text=entry("CT8")))
    assert verdicts == [PeerChangeOutcome.UNREADABLE]
    assert not added.peers


def test_no_more_peers_are_taken_than_there_may_be_and_what_is_there_can_still_be_changed() -> None:
    added = AddedPeers(most_peers=2)
    assert [added.apply(set_(f"CT{n}", f"c{n}")) for n in range(3)] == [
        PeerChangeOutcome.TAKEN,
        PeerChangeOutcome.TAKEN,
        PeerChangeOutcome.TOO_MANY,
    ]
    assert added.apply(set_("CT0", "d", "c0", "find")) is PeerChangeOutcome.TAKEN
    assert added.apply(removed("CT1", "e", "c1")) is PeerChangeOutcome.TAKEN
    assert added.apply(set_("CT2", "f")) is PeerChangeOutcome.TAKEN


def test_titles_that_were_removed_are_bounded_too() -> None:
    added = AddedPeers(most_titles=1)
    assert added.apply(set_("CT1", "a")) is PeerChangeOutcome.TAKEN
    assert added.apply(removed("CT1", "b", "a")) is PeerChangeOutcome.TAKEN
    assert added.apply(set_("CT2", "c")) is PeerChangeOutcome.TOO_MANY
    assert added.apply(removed("CT2", "d", "")) is PeerChangeOutcome.OVERTAKEN
    assert added.apply(set_("CT1", "e", "b")) is PeerChangeOutcome.TAKEN


CHAIN = (
    set_("CT9", "a"),
    set_("CT9", "b", "a", "find"),
    removed("CT9", "c", "b"),
    set_("CT9", "d", "c", "commit"),
    set_("CT8", "e"),
)


@given(st.lists(st.integers(0, len(CHAIN) - 1), max_size=12))
def test_repetitions_anywhere_after_the_first_time_change_nothing(again: list[int]) -> None:
    """The log is read from its beginning; what was appended twice stands there twice."""
    added, _ = told(*CHAIN)
    before = dict(added.peers), added.version("CT9"), added.version("CT8")
    for number in again:
        added.apply(CHAIN[number])
    assert (dict(added.peers), added.version("CT9"), added.version("CT8")) == before
