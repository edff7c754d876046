"""`gantry.services.frontdoor.shadow.spooling.waiting`."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.services.frontdoor.shadow.spooling.waiting import WaitingLines


@dataclass
class Line:
    name: str
    can_be_sent: bool = True


def lines(*names: str) -> tuple[WaitingLines[Line], list[Line]]:
    waiting: WaitingLines[Line] = WaitingLines()
    made = [Line(name) for name in names]
    for line in made:
        waiting.add(line)
    return waiting, made


def test_the_line_that_came_first_is_next_until_nothing_of_it_is_left() -> None:
    waiting, (a, b) = lines("a", "b")
    waiting.add(a)
    assert [waiting.next(0.0), waiting.next(0.0)] == [a, a]
    a.can_be_sent = False
    assert waiting.next(0.0) is b
    a.can_be_sent = True
    assert waiting.next(0.0) is b
    b.can_be_sent = False
    assert waiting.next(0.0) is None
    waiting.add(a)
    assert waiting.next(0.0) is a


def test_a_line_that_was_put_off_comes_from_its_moment_on_and_behind_the_others() -> None:
    waiting, (a, b) = lines("a", "b")
    waiting.put_off(a, 5.0)
    waiting.put_off(a, 1.0)  # as it was
    waiting.add(a)
    assert [waiting.next(0.0), waiting.next(4.9), waiting.next(5.0)] == [b, b, b]
    waiting.put_off(b, 9.0)
    assert waiting.next(5.0) is a
    waiting.put_off(a, 7.0)
    assert waiting.next(6.9) is None
    assert waiting.next(9.0) is a


def test_a_line_of_which_nothing_is_left_by_then_does_not_come_again() -> None:
    waiting, (a,) = lines("a")
    waiting.put_off(a, 5.0)
    a.can_be_sent = False
    assert waiting.next(5.0) is None
    a.can_be_sent = True
    assert waiting.next(6.0) is None
    waiting.add(a)
    assert waiting.next(6.0) is a
