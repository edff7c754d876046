"""Links for people outside: who is admitted, even if requests come twice or at once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.access.shares import (
    MOST_TRIES,
    MOST_WRONG,
    TRIES_WITHIN,
    Share,
    ShareRefusal,
    Shares,
    digest_of,
    token_of,
)
from gantry.common.events import Event, ShareCopied, ShareCreated, ShareOpened, ShareRevoked, ShareTried

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
DAY = 24 * 3600 * SECOND
DIGEST = digest_of("token")
MADE = ShareCreated("default", "", "s1", DIGEST, ("1.2",), NOW + DAY, 2, "", False, "to a clinic", "ris", NOW)


def opened(name: str, at: int = NOW, trial: str = "") -> ShareOpened:
    return ShareOpened("default", "", "s1", name, trial, at)


def tried(name: str, at: int = NOW) -> ShareTried:
    return ShareTried("default", "", "s1", name, at)


def told(*events: Event) -> Share:
    shares = Shares()
    for event in events:
        shares.apply(event)
    share = shares.named("s1")
    assert share is not None
    return share


def test_link_is_found_by_its_token_alone() -> None:
    shares = Shares()
    shares.apply(MADE)
    assert shares.of_token("token") is shares.named("s1")
    assert shares.of_token("token ") is shares.of_token("") is shares.of_token(MADE.token_digest) is None
    assert len(shares) == 1


def test_the_first_openings_on_the_log_are_let_in_and_no_more() -> None:
    share = told(MADE, opened("a"), opened("b"), opened("c"))
    assert list(share.openings) == ["a", "b"]
    assert share.refusal(NOW) is ShareRefusal.USED_UP


def test_link_without_a_number_opens_often_but_not_for_ever() -> None:
    share = told(replace(MADE, openings=0), *(opened(str(number)) for number in range(1100)))
    assert len(share.openings) == 1000


def test_link_that_was_revoked_or_is_over_lets_nobody_in() -> None:
    revoked = told(MADE, ShareRevoked("default", "", "s1", "", "ris", NOW + 1), opened("a", NOW + 2))
    assert (revoked.refusal(NOW + 2), revoked.openings, revoked.is_over(NOW + 2)) == (ShareRefusal.REVOKED, {}, True)
    over = told(MADE, opened("a", NOW + DAY - 1), opened("b", NOW + DAY))
    assert list(over.openings) == ["a"]
    assert (over.is_over(NOW + DAY - 1), over.is_over(NOW + DAY)) == (False, True)
    assert over.refusal(NOW + DAY) is ShareRefusal.EXPIRED


def test_link_to_copies_opens_once_they_are_there_and_what_was_tried_before_used_nothing_up() -> None:
    made = replace(MADE, openings=1, deidentified_by="teaching", copies_of=("1.9",))
    copied = ShareCopied("default", "", "s1", 3, 1, ("1 withheld: a document",), NOW + 1)
    assert told(made, opened("a")).refusal(NOW) is ShareRefusal.PREPARING
    share = told(made, opened("a"), copied, opened("b"), replace(copied, instances=9))
    assert (list(share.openings), share.refused) == (["b"], {"a"})
    assert share.copied == copied
    over = told(made, ShareRevoked("default", "", "s1", "", "ris", NOW + 1))
    assert over.refusal(NOW + 2) is ShareRefusal.REVOKED


def test_link_that_was_never_made_opens_for_nobody() -> None:
    share = told(opened("a"), tried("t"))
    assert share.refusal(NOW) is ShareRefusal.UNKNOWN
    assert share.is_over(NOW)
    assert not share.openings


LOCKED = replace(MADE, password="scrypt$…")


def test_link_with_a_password_opens_after_a_try_and_once_for_each() -> None:
    before = opened("a"), opened("b", trial="t")
    share = told(LOCKED, *before, tried("t"), opened("c", trial="t"), opened("d", trial="t"))
    assert list(share.openings) == ["c"]


def test_tries_at_once_are_no_more_than_there_may_be() -> None:
    share = told(LOCKED, *(tried(str(number)) for number in range(20)))
    assert len(share.tries) == MOST_TRIES
    assert 0 < share.waits_for(NOW) <= TRIES_WITHIN // SECOND + 1
    assert share.waits_for(NOW + TRIES_WITHIN) == 0
    # Who waits is not kept out for longer by whoever goes on trying.
    assert told(LOCKED, *(tried(str(n), NOW + n * SECOND) for n in range(800))).waits_for(NOW + TRIES_WITHIN) == 0


def test_right_password_is_no_wrong_one() -> None:
    events: list[Event] = [replace(LOCKED, openings=0)]
    for number in range(30):
        events += [tried(str(number)), opened(f"o{number}", trial=str(number))]
    share = told(*events)
    assert (len(share.openings), share.tries, share.waits_for(NOW)) == (30, {}, 0)


def test_link_is_closed_after_too_many_wrong_passwords_in_all() -> None:
    times = (NOW + number * TRIES_WITHIN // MOST_TRIES for number in range(MOST_WRONG + 20))
    made = replace(LOCKED, expires_at=NOW + 30 * DAY)
    share = told(made, *(tried(str(number), at) for number, at in enumerate(times)))
    assert len(share.tries) == MOST_WRONG
    assert share.refusal(NOW) is ShareRefusal.CLOSED


@given(st.lists(st.sampled_from(["o1", "o2", "o3", "t1", "t2", "p1", "p2", "r"]), max_size=20), st.data())
def test_what_comes_again_changes_nothing(words: list[str], data: st.DataObject) -> None:
    def event(word: str, at: int) -> Event:
        if word == "r":
            return ShareRevoked("default", "", "s1", "", "ris", at)
        kind, number = word
        if kind == "t":
            return tried(number, at)
        return opened(word, at, number if kind == "p" else "")

    made = data.draw(st.sampled_from([MADE, LOCKED]))
    # One name, one event: what comes again is the same.
    events = [made, *{word: event(word, NOW + place) for place, word in enumerate(words)}.values()]
    again = data.draw(st.integers(0, len(events)))
    assert told(*events, *events[:again]) == told(*events)


def test_link_is_forgotten_long_after_its_end_and_not_before() -> None:
    shares = Shares()
    shares.apply(MADE)
    shares.apply(ShareRevoked("default", "", "s1", "", "ris", NOW + 1))
    shares.forget(MADE.expires_at + 89 * DAY)
    assert shares.named("s1") is not None
    shares.forget(MADE.expires_at + 91 * DAY)
    assert shares.named("s1") is shares.of_token("token") is None
    assert shares.all() == []


def test_links_are_listed_with_the_latest_first() -> None:
    shares = Shares()
    for number in (1, 3, 2):
        shares.apply(replace(MADE, share=f"s{number}", token_digest=str(number), at=NOW + number))
    assert [share.created.share for share in shares.all() if share.created is not None] == ["s3", "s2", "s1"]


def test_token_has_256_bits_and_no_digest_of_it_stands_in_it() -> None:
    token = token_of(bytes(range(32)))
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()
    assert len(digest_of(token)) == 64
    assert digest_of(token) not in token
