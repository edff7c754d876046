"""Trace identifiers: W3C Trace Context, the `traceparent` form (https://www.w3.org/TR/trace-context/#traceparent-header).

An object is one trace from its A-ASSOCIATE to its being searchable; every event carries it, and so does every log line.
"""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def new_trace() -> str:
    """A `traceparent` that begins a trace: version 00, random identifiers, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_of(trace: str) -> str:
    """The next span of `trace`; a new trace if that is not a traceparent (from outside, or empty)."""
    if not is_trace(trace):
        return new_trace()
    return f"{trace[:36]}{secrets.token_hex(8)}{trace[52:]}"


def trace_id(trace: str) -> str:
    """The 32 hexadecimal digits that all spans of a trace share; "" if it is not a traceparent."""
    return trace[3:35] if is_trace(trace) else ""


def is_trace(value: str) -> bool:
    """Whether `value` is a traceparent of version 00 with identifiers that are not all zero."""
    match = _TRACEPARENT.fullmatch(value)
    return match is not None and match[1].strip("0") != "" and match[2].strip("0") != ""
