"""Frames out of bytes, however these come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.hl7.mllp import NEED_MORE, Frame, MllpDecoder, MllpError, framed

MESSAGES = st.lists(st.binary(max_size=60).map(lambda b: bytes(c for c in b if c not in (0x0B, 0x1C))), max_size=5)
LINE_ENDS = st.sampled_from([b"", b"\r", b"\r\n", b"\n\n"])


def frames(decoder: MllpDecoder) -> list[bytes]:
    messages = []
    while isinstance(frame := decoder.next(), Frame):
        messages.append(frame.message)
    return messages


@given(MESSAGES, LINE_ENDS)
def test_messages_come_out_as_they_went_in_fed_whole_and_byte_by_byte(messages: list[bytes], between: bytes) -> None:
    stream = b"".join(between + framed(message) for message in messages)
    whole, bytewise = MllpDecoder(60), MllpDecoder(60)
    whole.receive(stream)
    assert frames(whole) == messages
    contents = []
    for number in range(len(stream)):
        bytewise.receive(stream[number : number + 1])
        contents += frames(bytewise)
    assert contents == messages


@given(MESSAGES, st.binary(max_size=8).filter(lambda b: b"\x0b" not in b))
def test_a_little_garbage_between_frames_is_passed_over(messages: list[bytes], garbage: bytes) -> None:
    decoder = MllpDecoder(60)
    decoder.receive(b"".join(garbage + framed(message) for message in messages))
    assert frames(decoder) == messages


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes_are_frames_or_need_more_or_an_error(pieces: list[bytes]) -> None:
    decoder = MllpDecoder(100)
    try:
        for piece in pieces:
            decoder.receive(piece)
            assert all(len(message) <= 100 for message in frames(decoder))
            assert decoder.next() is NEED_MORE
    except MllpError:
        pass


@pytest.mark.parametrize(
    "stream", [b"GET / HTTP/1.1\r\nHost: archive.example\r\nUser-Agent: " + b"x" * 60, b"\x16" * 200]
)
def test_another_protocol_ends_the_connection(stream: bytes) -> None:
    decoder = MllpDecoder(1000)
    decoder.receive(stream)
    with pytest.raises(MllpError, match="not MLLP"):
        decoder.next()


def test_a_message_longer_than_the_limit_ends_it_before_it_is_whole() -> None:
    decoder = MllpDecoder(10)
    decoder.receive(b"\x0b" + b"x" * 10)
    assert decoder.next() is NEED_MORE
    assert decoder.inside
    decoder.receive(b"x")
    with pytest.raises(MllpError, match="more than 10 bytes"):
        decoder.next()


def test_a_message_that_its_sender_broke_off_gives_way_to_the_one_it_began_anew() -> None:
    decoder = MllpDecoder(1000)
    decoder.receive(b"\x0bMSH|broken" + framed(b"MSH|whole"))
    assert frames(decoder) == [b"MSH|whole"]
    decoder.receive(b"\x0b" + b"x" * 100 + framed(b"MSH|whole"))
    with pytest.raises(MllpError):
        decoder.next()
