"""Data that a browser stores for us but cannot read or change: sealed (encrypted) JSON, as JWE (RFC 7516, `dir` with
A256GCM). Pure.

Each use has a key of its own, derived (HKDF, RFC 5869) from a secret, the use and the place. So data sealed for one use
cannot be opened for another, nor can that of another installation, even with copied secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from gantry.common.errors import NotUnderstood

SHORTEST_SECRET = 32
"""Characters of a secret."""
LONGEST = 4096
"""Most characters of sealed data: browsers do not store longer cookies (RFC 6265 6.1)."""
_ALGORITHMS = ["dir", "A256GCM"]


class Seal:
    """The first of the secrets seals, and any of them opens."""

    def __init__(self, secrets: Sequence[bytes], use: str, place: str, longest: int = LONGEST) -> None:
        """`place` is the URL of this installation; sealed data has at most `longest` characters."""
        self._longest = longest
        keys = [_derived(secret, use, place) for secret in secrets]
        self._keys = {_name(key): OctKey.import_key(key) for key in keys}
        self._first = _name(keys[0])

    def seal(self, content: Mapping[str, Any]) -> str:
        """Seal the content for a cookie. Raises `NotUnderstood` if it is too long for one."""
        plain = json.dumps(content, separators=(",", ":")).encode()
        header = {"alg": "dir", "enc": "A256GCM", "kid": self._first}
        sealed = jwe.encrypt_compact(header, plain, self._keys[self._first], algorithms=_ALGORITHMS)
        if len(sealed) > self._longest:
            raise NotUnderstood("too long for a cookie")
        return sealed

    def open(self, sealed: str) -> Mapping[str, Any] | None:
        """Open sealed content; None if it was not sealed here for this use."""
        if len(sealed) > self._longest:
            return None
        try:
            content = json.loads(jwe.decrypt_compact(sealed, self._key, algorithms=_ALGORITHMS).plaintext or b"")
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def _key(self, sealed: Any) -> OctKey:
        return self._keys[sealed.headers()["kid"]]


def secrets_of(text: str) -> Sequence[bytes]:
    """The secrets of a file, a line each; # begins a comment. Raises `NotUnderstood`."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise NotUnderstood("no secret in it: `openssl rand -base64 32` makes one")
    if any(len(line) < SHORTEST_SECRET for line in lines):
        raise NotUnderstood(
            f"a secret has fewer than {SHORTEST_SECRET} characters: `openssl rand -base64 32` makes one"
        )
    return [line.encode() for line in lines]


def _derived(secret: bytes, use: str, place: str) -> bytes:
    return HKDF(SHA256(), 32, None, f"gantry {use}\n{place}".encode()).derive(secret)


def _name(key: bytes) -> str:
    return hashlib.sha256(b"name" + key).hexdigest()[:8]
