"""A statement: the digests of segments, under one root, signed, with the digest of the statement before.

It lies in the bucket as a JSON object: `statement`, a JWS in compact form (RFC 7515, Ed25519 after RFC 9864), and
`segments`, what the root in it is of. So whoever keeps the digest of one statement can tell, years later, whether
any segment of it or of an earlier one was changed, removed or added to, with tools that are not ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from gantry.common.errors import ConfigError, Corrupt
from gantry.common.evidence.merkle import root_of

ROOT = "evidence"
"""Where statements lie in the bucket."""
_ALGORITHM = "Ed25519"
_TYPE = "gantry-evidence"


@dataclass(frozen=True, slots=True)
class StatedSegment:
    """A sealed segment: its key, how many bytes it has, and their SHA-256 in hexadecimal digits."""

    key: str
    size: int
    sha256: str

    def leaf(self) -> bytes:
        """What of it goes into the tree."""
        return f"{self.key}\n{self.size}\n{self.sha256}".encode()


def stated(key: str, content: bytes) -> StatedSegment:
    """The segment that lies under `key`."""
    return StatedSegment(key, len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Statement:
    """What was sealed up to `until_ms` (milliseconds since the epoch) and in no statement before. `previous` is the
    digest of that one, empty for the first, and `number` one more than its number. `at` is in microseconds."""

    number: int
    at: int
    until_ms: int
    previous: str
    segments: tuple[StatedSegment, ...]

    @property
    def root(self) -> str:
        """The root over the segments, in hexadecimal digits."""
        return root_of([segment.leaf() for segment in self.segments]).hex()


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement that its key has signed. `digest` (SHA-256 of the JWS) is what the next one names, and what an
    auditor notes."""

    statement: Statement
    digest: str
    key_id: str


def keys_in(text: str, where: str) -> list[OKPKey]:
    """The keys of a PEM file, private or public, several one after the other. Raises `ConfigError`."""
    blocks = [f"{block}-----END{rest}" for block, rest in _blocks(text)]
    try:
        keys = [OKPKey.import_key(block) for block in blocks]
    except (JoseError, ValueError, TypeError) as error:
        raise ConfigError(where, None, "no key of the kind Ed25519 in PEM form") from error
    if not keys or any(key.curve_name != "Ed25519" for key in keys):
        raise ConfigError(where, None, "no key of the kind Ed25519 in PEM form")
    return keys


def _blocks(text: str) -> list[tuple[str, str]]:
    blocks = []
    for part in text.split("-----BEGIN")[1:]:
        body, end, after = part.partition("-----END")
        if end:
            blocks.append((f"-----BEGIN{body}", f"{after.partition('KEY-----')[0]}KEY-----\n"))
    return blocks


def sign(statement: Statement, key: OKPKey) -> tuple[bytes, SignedStatement]:
    """A statement as it lies in the bucket, and as it is read. `key` is private."""
    body = {
        "at": statement.at,
        "number": statement.number,
        "previous": statement.previous,
        "root": statement.root,
        "segments": len(statement.segments),
        "until_ms": statement.until_ms,
    }
    header = {"alg": _ALGORITHM, "kid": key.thumbprint(), "typ": _TYPE}
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    token = jws.serialize_compact(header, payload, key, algorithms=[_ALGORITHM])
    rows = [[segment.key, segment.size, segment.sha256] for segment in statement.segments]
    content = json.dumps({"statement": token, "segments": rows}, separators=(",", ":")).encode()
    return content, SignedStatement(statement, digest_of(token), key.thumbprint())


def digest_of(token: str) -> str:
    """The digest of a signed statement."""
    return hashlib.sha256(token.encode()).hexdigest()


def read(content: bytes, keys: Sequence[OKPKey]) -> SignedStatement:
    """A statement that one of `keys` signed, and whose root is that of its segments. Raises `Corrupt` in words."""
    try:
        whole = json.loads(content)
        token = str(whole["statement"])
        segments = tuple(StatedSegment(str(key), int(size), str(digest)) for key, size, digest in whole["segments"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("it is no statement") from error
    key_id, payload = _verified(token, keys)
    try:
        body = json.loads(payload)
        statement = Statement(
            int(body["number"]), int(body["at"]), int(body["until_ms"]), str(body["previous"]), segments
        )
        root, count = body["root"], body["segments"]
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("what is signed is no statement") from error
    if root != statement.root or count != len(segments):
        raise Corrupt("its list of segments is not the one that was signed")
    return SignedStatement(statement, digest_of(token), key_id)


def _verified(token: str, keys: Sequence[OKPKey]) -> tuple[str, bytes]:
    for key in keys:
        try:
            signed = jws.deserialize_compact(token, key, algorithms=[_ALGORITHM])
        except (JoseError, ValueError):
            continue
        if signed.headers().get("typ") == _TYPE:
            return key.thumbprint(), signed.payload
    raise Corrupt("none of the keys has signed it")
