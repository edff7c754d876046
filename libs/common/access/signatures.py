"""Signatures of bearer tokens (RFC 7515, RFC 7519, RFC 8725): a token's own header, the keys of an issuer, and whether
one of them signed it. Pure.

Only asymmetric algorithms are known here. A key is taken from the issuer's set by its `kid`, never from the token, and
it must be of the kind that the algorithm is for: a public key must not serve as an HMAC secret (RFC 8725 2.1).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from gantry.common.errors import NotUnderstood, TokenRefused

LONGEST = 16_384
"""Characters of a token; no header field is longer by default."""
_MOST_KEYS = 64
_LEAST_BITS = 2048
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
TYPES = frozenset(("", "jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""Types of tokens that identify a person (RFC 9068 2.1); ID tokens have "JWT" or nothing."""
LOGOUT_TYPES = frozenset(("", "jwt", "logout+jwt", "application/jwt", "application/logout+jwt"))
"""OpenID Connect Back-Channel Logout 1.0 2.4."""

SigningKey = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token that is not verified yet: the key, algorithm and issuer that it states."""

    kid: str
    algorithm: str
    issuer: str
    signature: jws.CompactSignature


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key. `kid` is "" if the set does not name it, `algorithm` is "" if it may be used with any."""

    kid: str
    kind: str
    algorithm: str
    key: SigningKey


def is_signed(token: str) -> bool:
    """Whether a token has the three parts of a signed one (RFC 7515 7.1); other tokens are opaque."""
    return token.count(".") == 2


def presented(token: str, types: frozenset[str] = TYPES) -> PresentedToken:
    """The unverified statements of a token of one of these types. Raises `TokenRefused`."""
    if len(token) > LONGEST:
        raise TokenRefused("malformed", "it is too long")
    try:
        signature = jws.extract_compact(token.encode("ascii"))
        header, claims = signature.headers(), _object(signature.payload or b"")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise TokenRefused("malformed", "it is no signed token") from None
    kid, algorithm = header.get("kid", ""), header.get("alg")
    kind = header.get("typ", "")
    if not isinstance(kid, str) or not isinstance(algorithm, str) or not isinstance(kind, str):
        raise TokenRefused("malformed", "its header is not understood")
    # RFC 9068 4, RFC 7515 4.1.11: other kinds of token are not meant for us, and critical extensions are not supported.
    if kind.lower() not in types or header.keys() & {"crit", "b64"}:
        raise TokenRefused("malformed", "it is another kind of token")
    issuer = claims.get("iss")
    return PresentedToken(kid, algorithm, issuer if isinstance(issuer, str) else "", signature)


def verified(token: PresentedToken, key: IssuerKey, algorithms: Collection[str]) -> Mapping[str, Any]:
    """The claims, if the key signed them by one of the algorithms. Raises `TokenRefused`."""
    if not fits(token, key, algorithms):
        raise TokenRefused("algorithm", "its algorithm is not allowed")
    try:
        # Unknown header parameters are ignored (RFC 7515 4).
        registry = jws.JWSRegistry(algorithms=[token.algorithm], strict_check_header=False)
        valid = jws.validate_compact(token.signature, key.key, registry=registry)
    except (JoseError, ValueError):
        valid = False
    if not valid:
        raise TokenRefused("signature", "its signature is wrong")
    return _object(token.signature.payload or b"")


def fits(token: PresentedToken, key: IssuerKey, algorithms: Collection[str]) -> bool:
    """Whether a key may have signed a token, by the algorithms that both state."""
    allowed = token.algorithm in algorithms and _KEY_TYPES.get(token.algorithm[:2]) == key.kind
    return allowed and key.algorithm in ("", token.algorithm)


def key_for(token: PresentedToken, keys: Sequence[IssuerKey], algorithms: Collection[str]) -> IssuerKey | None:
    """The key that a token names. A token that names none may mean the only key of its kind."""
    if token.kid:
        return next((key for key in keys if key.kid == token.kid), None)
    possible = [key for key in keys if fits(token, key, algorithms)]
    return possible[0] if len(possible) == 1 else None


def keys_in(document: bytes) -> tuple[IssuerKey, ...]:
    """The signing keys of a JWK set (RFC 7517 5). Keys that are secret, short, for another use or not understood are
    left out. Raises `NotUnderstood` for anything but such a set, and if no key is left."""
    try:
        entries = _object(document).get("keys")
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise NotUnderstood("not a set of keys")
    keys = tuple(key for entry in entries[:_MOST_KEYS] if isinstance(entry, dict) and (key := _key(entry)) is not None)
    if not keys:
        raise NotUnderstood("no key in it can be used")
    return keys


def _key(entry: dict[str, Any]) -> IssuerKey | None:
    kid, kind, algorithm = (entry.get(name, "") for name in ("kid", "kty", "alg"))
    if not all(isinstance(value, str) for value in (kid, kind, algorithm)) or entry.get("use", "sig") != "sig":
        return None
    if kind not in _KEY_TYPES.values():
        return None
    try:
        key = JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(key, RSAKey | ECKey):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_BITS:
        return None
    return IssuerKey(kid, kind, algorithm, key)


def _object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
