"""The signature of a post: HMAC-SHA256 (RFC 2104) over the time and the body, under a secret of both sides. Pure.

Gantry-Signature: t=1700000000,v1=HEX
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "Gantry-Signature"


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The value of the header; `at` in seconds since the epoch."""
    return f"t={at},v1={_digest(secret, at, body)}"


def _digest(secret: bytes, at: int, body: bytes) -> str:
    return hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
