"""What a dead letter is called."""

from __future__ import annotations

from blake3 import blake3

from gantry.common.events.headers import without_header
from gantry.common.events.schema import DeadLetter

_DIGITS = 12


def letter_id(letter: DeadLetter) -> str:
    """The name of a dead letter: 12 hexadecimal digits, the same in every process, for a letter that is appended twice,
    and for one that is restored from a sealed segment, where what is no event is empty."""
    digest = blake3(without_header(letter.payload))
    for part in (letter.group, letter.topic, str(letter.offset)):
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()[:_DIGITS]
