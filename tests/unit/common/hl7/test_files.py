"""Messages in files."""

from __future__ import annotations

import pytest

from gantry.common.hl7.files import messages_in

ONE, TWO = b"MSH|^~\\&|A\rPID|1\r", b"MSH|^~\\&|B\rPID|2\r"


@pytest.mark.parametrize(
    "data",
    [
        ONE + TWO,
        ONE.replace(b"\r", b"\n") + b"\n\n" + TWO.replace(b"\r", b"\r\n"),
        b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\r",
        b"\xef\xbb\xbf" + ONE + TWO + b"\0\n",
    ],
)
def test_messages_are_found_with_any_line_ends_and_frames(data: bytes) -> None:
    assert messages_in(data) == [ONE, TWO]


def test_what_is_no_message_is_one_that_will_be_refused() -> None:
    assert messages_in(b"hello\n") == [b"hello\r"]
    assert messages_in(b"FHS|^~\\&|A\n" + ONE) == [b"FHS|^~\\&|A\r", ONE]
    assert messages_in(b"MSH|^~\\&|A\rNTE|1|MSH in a text\r") == [b"MSH|^~\\&|A\rNTE|1|MSH in a text\r"]
