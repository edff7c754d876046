"""What was coerced of one receipt on the way in: values that rules put in the place of what the object says (pure).

They are computed once, when the object is received, and lie in its own file meta information (PS3.10 7.1, Private
Information): they come back with the object from the bucket, and go with it. The event carries a copy, which is taken
out where events are kept for ever, as its header is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgpack
from blake3 import blake3

from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.corrections import Values
from gantry.common.lifecycle.patients import Attributes, values_of

_CHECK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Coercion:
    """`values` are what a receipt is shown with, by the `rules` of these names, since `at` (microseconds since the
    epoch). `before` is what the object itself says of these attributes, as an index holds them: with it an index knows
    both (`undone`); empty where nobody has indexed it yet."""

    at: int
    rules: tuple[str, ...]
    values: Values
    before: Mapping[int, Any] = field(default_factory=dict)

    def indexed(self, own: Mapping[int, Any]) -> Coercion:
        """The same with what an object that says `own` said before."""
        tags = sorted(int(name, 16) for name in self.values)
        return replace(self, before={tag: own[tag] for tag in tags if tag in own})

    def applied(self, own: Mapping[int, Any]) -> Attributes:
        """The attributes of an object that says `own`, as they are shown."""
        attributes = {tag: values for tag, values in own.items() if f"{tag:08X}" not in self.values}
        for name in sorted(self.values):
            if values := values_of(self.values[name]):
                attributes[int(name, 16)] = values
        return attributes

    def undone(self, shown: Mapping[int, Any]) -> Attributes:
        """What the object itself says, of attributes as they are shown. Needs `before`."""
        return {tag: values for tag, values in shown.items() if f"{tag:08X}" not in self.values} | dict(self.before)

    def pack(self) -> bytes:
        """As bytes; the same coercion is the same bytes."""
        values = {tag: dict(self.values[tag]) for tag in sorted(self.values)}
        before = [[tag, self.before[tag]] for tag in sorted(self.before)]
        body: bytes = msgpack.packb([self.at, self.rules, values, before])
        packed: bytes = msgpack.packb([body, _check_of(body)])
        return packed


@lru_cache(maxsize=256)
def unpack_coercion(packed: bytes) -> Coercion | None:
    """The other way round; None for b"". A byte of padding behind it is passed over. Raises `NotUnderstood` for what
    `Coercion.pack` did not make, or what has changed since: file meta information is in no digest."""
    if not packed:
        return None
    try:
        unpacker = msgpack.Unpacker(max_buffer_size=len(packed))
        unpacker.feed(packed)
        body, check = unpacker.unpack()
        if check != _check_of(body):
            raise ValueError
        at, rules, values, before = msgpack.unpackb(body, strict_map_key=False)
        return Coercion(at, tuple(rules), values, dict(before))
    except (ValueError, TypeError, msgpack.UnpackException):
        raise NotUnderstood("not what was coerced of an object, or damaged") from None


def _check_of(body: bytes) -> bytes:
    return blake3(body).digest(length=_CHECK_BYTES)
