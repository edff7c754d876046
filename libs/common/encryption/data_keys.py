"""Data keys as they lie beside the objects: wrapped by a key that never lies there.

A data key lies under `state/keys/ID.GENERATION`. To wrap it anew, the next generation is written and the ones before
are removed; a reader takes the latest that is there. An id begins with the time at which the key was made: they are
listed in that order.
"""

from __future__ import annotations

import json
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass

from gantry.common.encryption.form import KEY_ID
from gantry.common.errors import Corrupt

ROOT = "state/keys/"
LENGTH = 32
"""Bytes of a data key."""
LONGEST = 16 << 10
"""Bytes of a wrapped data key as it lies there."""
_NAME = re.compile(rf"{ROOT}([0-9a-f]{{{2 * KEY_ID}}})\.(\d{{1,9}})")
_VERSION, _TIME = 1, 8


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key that only its key service opens. `wrapping_key` names the key that wraps it there."""

    id: bytes
    generation: int
    wrapping_key: str
    wrapped: bytes

    @property
    def place(self) -> str:
        """The key of the object that holds it."""
        return place_of(self.id, self.generation)

    def encoded(self) -> bytes:
        """The content of that object."""
        fields = {
            "version": _VERSION,
            "wrapping_key": self.wrapping_key,
            "wrapped": b64encode(self.wrapped).decode(),
        }
        return json.dumps(fields).encode()


def new_id(now_us: int) -> bytes:
    """The id of a data key that is made now."""
    return now_us.to_bytes(_TIME, "big") + secrets.token_bytes(KEY_ID - _TIME)


def made_us(key_id: bytes) -> int:
    """When a data key was made, in microseconds since 1970, UTC."""
    return int.from_bytes(key_id[:_TIME], "big")


def place_of(key_id: bytes, generation: int) -> str:
    """The key of the object that holds a data key."""
    return f"{ROOT}{key_id.hex()}.{generation}"


def read_place(place: str) -> tuple[bytes, int] | None:
    """Id and generation of a data key by the key of the object that holds it; None for another object."""
    match = _NAME.fullmatch(place)
    return (bytes.fromhex(match[1]), int(match[2])) if match else None


def read_wrapped(place: str, content: bytes) -> WrappedKey:
    """What `WrappedKey.encoded` wrote. Raises `Corrupt`."""
    named = read_place(place)
    try:
        fields = json.loads(content)
        if named is None or fields["version"] != _VERSION:
            raise ValueError
        return WrappedKey(*named, str(fields["wrapping_key"]), b64decode(fields["wrapped"], validate=True))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Corrupt(f"{place} holds no data key that this release reads") from error
