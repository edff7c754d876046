"""Corrections of studies and patients: joining only adds, and what follows for a study is the same in any order."""

from __future__ import annotations

import functools
import operator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle import NOTHING, Correction, Corrections, Withdrawal


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def person(name: str) -> dict[str, dict[str, Any]]:
    return {"00100010": element("PN", {"Alphabetic": name})}


def made(id_: str, values: Any, into: str = "", series: str = "", at: int = 5) -> Corrections:
    return Corrections({id_: Correction(id_, at, "somebody", "", values, series, into)})


def withdrawn(id_: str, at: int = 9) -> Corrections:
    return Corrections(withdrawn={id_: Withdrawal(at, "somebody", "")})


_VALUES = st.one_of(st.none(), st.sampled_from([person("A"), person("B"), person("C")]))
_MADE = st.builds(lambda id_, at, values: made(id_, values, at=at), st.sampled_from("abc"), st.integers(0, 2), _VALUES)
_PARTS = st.lists(st.one_of(_MADE, st.builds(withdrawn, st.sampled_from("abc"), st.integers(0, 3))), max_size=6)


def join(parts: list[Corrections]) -> Corrections:
    return functools.reduce(operator.or_, parts, NOTHING)


@given(_PARTS, st.randoms())
def test_joining_is_the_same_in_any_order_and_any_number(parts: list[Corrections], random: Any) -> None:
    again = [*parts, *random.sample(parts, len(parts) // 2)]
    random.shuffle(again)
    assert join(parts) == join(again)
    assert join(parts).pack() == join(again).pack()


@given(_PARTS)
def test_corrections_are_read_as_they_were_packed(parts: list[Corrections]) -> None:
    assert Corrections.unpack(join(parts).pack()) == join(parts)
    assert Corrections.unpack(b"") == NOTHING


def test_what_was_erased_is_erased_whoever_still_has_the_values() -> None:
    assert (made("a", person("A")) | made("a", None)).standing() == []
    assert (made("a", None) | made("a", person("A"))).standing() == []
    assert (made("a", person("A")) | made("b", None) | withdrawn("a")).erasable == ["a"]


def test_what_stood_at_a_time_is_what_was_made_and_not_withdrawn_by_then() -> None:
    known = made("a", person("A"), at=5) | withdrawn("a", at=9)
    assert [bool(known.standing(until)) for until in (4, 5, 8, 9)] == [False, True, True, False]
    assert known.standing() == []
