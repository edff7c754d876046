"""Proofs that the front door stated a client's address: HMAC-SHA256 with the key that door and services share.

A proof is 57 bytes: the version, the time in microseconds since 1970 (8, big-endian), a nonce (16), and the MAC (32)
over the kind of the claim, these 25 bytes, and the claim. It is valid once, near its time. Pure: key, time and nonce
are arguments.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum

from gantry.common.access.seen_nonces import SeenNonces
from gantry.common.errors import OriginRefused

NONCE_LENGTH = 16
PROOF_LENGTH = 57
SKEW_US = 30_000_000
"""How far the clocks of door and service may differ, including the transit time."""

_VERSION = b"\x01"
_STAMP = 1 + 8 + NONCE_LENGTH


class Claim(Enum):
    """The subject of a proof: one for a connection does not prove a request."""

    CONNECTION = b"gantry origin of a connection\n"
    REQUEST = b"gantry origin of a request\n"


def prove(key: bytes, kind: Claim, claim: bytes, now_us: int, nonce: bytes) -> bytes:
    """The proof of a claim; `nonce` is 16 random bytes that were never used before."""
    stamp = _VERSION + now_us.to_bytes(8, "big") + nonce
    return stamp + _mac(key, kind, stamp, claim)


def request_claim(method: str, target: str, forwarded: str, destination: str) -> bytes:
    """A door's claim about a request: its target as sent, X-Forwarded-For, and the ADDRESS:PORT that it was sent to.
    None of them contains a line end."""
    return "\n".join((method, target, forwarded, destination)).encode("utf-8", "surrogateescape")


class OriginJudge:
    """Decides which proofs are valid. One for all claims that a process gets, since it stores their nonces."""

    def __init__(self, skew_us: int = SKEW_US, remembered: int = 1 << 17) -> None:
        self._skew = skew_us
        self._seen = SeenNonces(skew_us, remembered)

    def judge(self, keys: Sequence[bytes], kind: Claim, claim: bytes, proof: bytes, now_us: int) -> None:
        """Returns if the proof was made with one of the keys, near this time, and is new. Raises `OriginRefused`."""
        if not proof:
            raise OriginRefused("missing", "no proof by the key of door.key_file")
        stamp, mac = proof[:_STAMP], proof[_STAMP:]
        if len(proof) != PROOF_LENGTH or stamp[:1] != _VERSION:
            raise OriginRefused("forged", "a proof in a form that is not known")
        # Every key is tried, whichever fits: the time taken reveals nothing about them.
        fits = [hmac.compare_digest(mac, _mac(key, kind, stamp, claim)) for key in keys]
        if not any(fits):
            raise OriginRefused("forged", "the proof is by another key, or of another claim")
        at_us, nonce = int.from_bytes(stamp[1:9], "big"), stamp[9:]
        if abs(now_us - at_us) > self._skew:
            apart = f"{(now_us - at_us) / 1e6:+.0f} s by our clock; {self._skew / 1e6:g} are allowed"
            raise OriginRefused("time", f"the proof is of another time: {apart}")
        if not self._seen.is_new(nonce, at_us, now_us):
            raise OriginRefused("replayed", "the proof was used before")


def _mac(key: bytes, kind: Claim, stamp: bytes, claim: bytes) -> bytes:
    return hmac.digest(key, kind.value + stamp + claim, "sha256")
