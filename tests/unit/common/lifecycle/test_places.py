"""Relocations come to the same in any order and any repetition."""

from __future__ import annotations

from functools import reduce
from operator import or_

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle.places import HOT, NEVER_MOVED, Place

_PLACES = st.builds(Place, st.integers(0, 5), st.sampled_from([HOT, "cold", "glacier"]))


@given(st.lists(_PLACES, min_size=1), st.data())
def test_places_join_to_the_latest_in_any_order(places: list[Place], data: st.DataObject) -> None:
    again = data.draw(st.permutations(places + places[:2]))
    assert reduce(or_, again) == reduce(or_, places)
    assert reduce(or_, places).at == max(place.at for place in places)


def test_of_two_at_the_same_time_one_is_chosen_and_what_never_moved_is_hot() -> None:
    assert Place(3, "cold") | Place(3, "glacier") == Place(3, "glacier") | Place(3, "cold") == Place(3, "glacier")
    assert NEVER_MOVED.store == HOT
    assert NEVER_MOVED | Place(1, "cold") == Place(1, "cold")
