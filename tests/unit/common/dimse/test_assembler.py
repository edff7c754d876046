"""Fragments become messages; what fits nothing ends the association."""

import pytest

from gantry.common.dimse import Assembler, CommandReceived, DataReceived, DimseError
from gantry.common.ul import Fragment
from tests.support.wire import echo_command, store_command


def fragment(context_id: int, data: bytes, *, command: bool = False, end: bool = True) -> Fragment:
    return Fragment(context_id, command, end, memoryview(data))


def test_command_then_data_then_the_next_message() -> None:
    assembler = Assembler({1, 3})
    indications = assembler.feed(
        [
            fragment(1, store_command()[:20], command=True, end=False),
            fragment(1, store_command()[20:], command=True),
            fragment(1, b"ab", end=False),
            fragment(1, b"cd"),
            fragment(3, echo_command(2), command=True),
        ]
    )
    assert [type(f) for f in indications] == [CommandReceived, DataReceived, CommandReceived]
    assert b"".join(bytes(v) for v in indications[1].views) == b"abcd"
    assert indications[1].is_end
    assert assembler.between_messages


@pytest.mark.parametrize(
    "fragments",
    [
        [fragment(1, b"xx")],
        [fragment(7, store_command(), command=True)],
        [fragment(1, store_command(), command=True), fragment(3, b"xx")],
        [fragment(1, store_command(), command=True), fragment(1, echo_command(), command=True)],
        [fragment(1, store_command()[:9], command=True, end=False), fragment(3, b"x", command=True)],
        [fragment(1, store_command()[:9], command=True, end=False), fragment(1, b"x")],
        [fragment(1, store_command()[:-3], command=True)],
        [fragment(1, b"\xff" * 30, command=True)],
        [fragment(1, bytes(60000), command=True, end=False)] * 2,
        [fragment(3, echo_command(), command=True), fragment(3, b"data that no command announced")],
    ],
    ids=[
        "data before a command",
        "a context that is not in use",
        "data in another context",
        "a command within a data set",
        "a command in two contexts",
        "data within a command",
        "a truncated command",
        "a garbage command",
        "a command without end",
        "data where the command says none",
    ],
)
def test_peer_errs_when_it_sends(fragments: list[Fragment]) -> None:
    with pytest.raises(DimseError):
        Assembler({1, 3}).feed(fragments)


def test_half_a_message_is_known_as_such() -> None:
    assembler = Assembler({1})
    assembler.feed([fragment(1, store_command(), command=True)])
    assert not assembler.between_messages
