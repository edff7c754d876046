"""Events without headers: what lies somewhere for ever names no patient.

The header of an object (`InstanceStored.header`), and what was coerced of it, are copies of what stands in the object
itself. A copy that nobody removes when the object is deleted would keep the patient's name for ever.
"""

from __future__ import annotations

from typing import Any

import msgpack


def without_header(payload: bytes) -> bytes:
    """An encoded event less its header and what was coerced of it, those of a dead letter included: both are read from
    the object then. Fields that this release does not know stay. What is no event holds nobody knows what, and comes
    back empty."""
    stripped = _stripped(payload)
    return b"" if stripped is None else stripped


def has_header(payload: bytes) -> bool:
    """Whether `without_header` takes something away."""
    return without_header(payload) != payload


def _stripped(payload: bytes) -> bytes | None:
    """The same bytes where there is nothing to take away; None for what is no event."""
    try:
        name, version, body = msgpack.unpackb(payload)
        if not isinstance(name, str) or not isinstance(body, dict):
            return None
    except Exception:  # msgpack raises what it likes for bytes that are none of its own
        return None
    changed = _changes(name, body)
    if not changed:
        return payload
    packed: bytes = msgpack.packb([name, version, {**body, **changed}])
    return packed


def _changes(name: str, body: dict[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {"header": None} if body.get("header") is not None else {}
    if body.get("coercion"):
        taken["coercion"] = None
    if taken:
        return taken
    inner = body.get("payload")
    if name == "DeadLetter" and isinstance(inner, bytes) and inner and has_header(inner):
        return {"payload": without_header(inner)}
    return {}
