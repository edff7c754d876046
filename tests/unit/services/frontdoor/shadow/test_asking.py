"""An association like the peer's own, and what is held of the objects that come over it."""

from __future__ import annotations

from gantry.common.ul import AcceptedContext
from gantry.services.frontdoor.shadow.asking import Likeness, Receiver
from gantry.services.frontdoor.shadow.overhearing import PassingDigest, Room
from tests.support.wire import CT, EXPLICIT, IMPLICIT, associate_rq


def likeness(count: int) -> Likeness:
    contexts = tuple((2 * number + 1, f"1.2.{number}", (EXPLICIT, IMPLICIT)) for number in range(count))
    accepted = {one: AcceptedContext(one, name, EXPLICIT) for one, name, _ in contexts}
    return Likeness(associate_rq(contexts=contexts), accepted, Room(1 << 20))


def test_beside_each_context_stands_one_with_what_was_agreed() -> None:
    assert likeness(2).contexts == [
        ("1.2.0", (EXPLICIT, IMPLICIT)),
        ("1.2.1", (EXPLICIT, IMPLICIT)),
        ("1.2.0", (EXPLICIT,)),
        ("1.2.1", (EXPLICIT,)),
    ]


def test_there_are_no_more_contexts_than_ids() -> None:
    assert [len(likeness(count).contexts) for count in (60, 100, 128)] == [120, 128, 128]


def test_objects_that_came_are_forgotten_with_the_room_that_they_had() -> None:
    room = Room(1 << 20)
    receiver = Receiver([CT], room)
    assert room.take(256)
    PassingDigest("1.2", EXPLICIT).put_into(receiver.objects)
    receiver.clear()
    assert (room.used, receiver.objects) == (0, {})
