"""What an event says goes into an object and comes back the same, and other bytes are not taken for it."""

from __future__ import annotations

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.events import encode
from gantry.common.orders import ValuedEvent, is_apart, values_in, with_values, without_values
from tests.support.orders import attributes, cancelled, changed, created, placed, set_

VALUED = [placed(), changed(attributes(PatientName="Doe^Joan"), {"S1": None}), created(), set_()]


@pytest.mark.parametrize("event", VALUED, ids=lambda event: type(event).__name__)
def test_an_event_names_nobody_and_its_object_brings_all_of_it_back(event: ValuedEvent) -> None:
    content = values_in(event)
    apart = without_values(event, "order-values/default/0190000/x.msgpack", content)
    assert is_apart(apart)
    assert not is_apart(event)
    assert b"Doe" not in encode(apart)
    assert b"P1" not in encode(apart)
    whole = with_values(apart, content)
    assert not is_apart(whole)
    assert values_in(whole) == content
    assert (apart.values_size, whole.values_key) == (len(content), apart.values_key)


def test_other_bytes_are_not_what_an_event_said() -> None:
    content = values_in(placed())
    apart = without_values(placed(), "key", content)
    with pytest.raises(NotUnderstood, match="not the values"):
        with_values(apart, content[:-1] + b"?")


def test_an_event_that_says_nothing_of_anybody_is_never_apart() -> None:
    assert not is_apart(cancelled())
