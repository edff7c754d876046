"""What a reader may forget of a log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle.held_back import HeldBack


@given(
    st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from([None, "a", "b", "c"])), max_size=30),
    st.lists(st.sampled_from("abc"), max_size=5),
)
def test_nothing_that_is_held_is_forgotten_and_all_before_it_is(
    records: list[tuple[str, str | None]], done: list[str]
) -> None:
    finished: set[str] = set()
    held = HeldBack[str](finished.__contains__)
    for offset, (place, holder) in enumerate(records):
        held.take((place, 0), offset, holder)
    forgotten: dict[str, int] = {}
    for finished_holder in [None, *done]:
        finished.update([finished_holder] if finished_holder else [])
        for (place, _), offset in held.forget():
            assert offset > forgotten.get(place, -1)
            forgotten[place] = offset
    for place in "pq":
        own = [(offset, holder) for offset, (where, holder) in enumerate(records) if where == place]
        first = next(
            (n for n, (_, holder) in enumerate(own) if holder is not None and holder not in finished), len(own)
        )
        assert forgotten.get(place, -1) == (own[first - 1][0] if first else -1)
