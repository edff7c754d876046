"""`gantry.common.access.seen_nonces`: what was used once is not new, and memory is bounded."""

from __future__ import annotations

from gantry.common.access.seen_nonces import SeenNonces

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


def test_a_nonce_is_new_once() -> None:
    seen = SeenNonces(30 * SECOND, 10)
    assert seen.is_new(b"a", NOW, NOW)
    assert seen.is_new(b"b", NOW, NOW)
    assert not seen.is_new(b"a", NOW, NOW)


def test_a_nonce_is_remembered_for_as_long_as_its_proof_could_be_used() -> None:
    seen = SeenNonces(30 * SECOND, 10)
    ahead = NOW + 30 * SECOND
    assert seen.is_new(b"a", ahead, NOW)
    assert not seen.is_new(b"a", ahead, NOW + 60 * SECOND)
    assert len(seen) == 1


def test_what_cannot_be_used_any_more_is_forgotten() -> None:
    seen = SeenNonces(30 * SECOND, 10)
    for n in range(100):
        now = NOW + n * 10 * SECOND
        assert seen.is_new(n.to_bytes(16, "big"), now, now)
        assert len(seen) <= 4


def test_a_full_memory_refuses_what_it_had_to_forget() -> None:
    seen = SeenNonces(30 * SECOND, 3)
    for n in range(4):
        assert seen.is_new(bytes([n]), NOW + n * SECOND, NOW + 4 * SECOND)
    assert len(seen) == 3
    assert not seen.is_new(b"\0", NOW, NOW + 4 * SECOND)
    assert not seen.is_new(b"other", NOW, NOW + 4 * SECOND)
    assert not seen.is_new(b"\1", NOW + SECOND, NOW + 4 * SECOND)
    assert seen.is_new(b"later", NOW + 5 * SECOND, NOW + 5 * SECOND)


def test_a_full_memory_of_one_second_refuses_the_rest_of_it_and_no_more() -> None:
    seen = SeenNonces(30 * SECOND, 3)
    assert [seen.is_new(bytes([n]), NOW, NOW) for n in range(6)] == [True, True, True, True, False, False]
    assert seen.is_new(b"next", NOW + SECOND, NOW + SECOND)


def test_a_clock_that_is_set_back_refuses_nothing_new() -> None:
    seen = SeenNonces(30 * SECOND, 1)
    hour = 3600 * SECOND
    assert seen.is_new(b"a", NOW + hour, NOW + hour)
    assert seen.is_new(b"b", NOW + hour, NOW + hour)  # over its bound: that second is over
    assert seen.is_new(b"c", NOW, NOW)
