"""`gantry.common.access.signatures`: only an issuer's key, and only by an algorithm that was allowed (RFC 8725)."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from gantry.common.access.signatures import LONGEST, key_for, keys_in, presented, verified
from gantry.common.errors import NotUnderstood, TokenRefused

RSA = RSAKey.generate_key(2048, {"kid": "a", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "b"})
CLAIMS = {"iss": "https://sso.example", "sub": "u"}


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


KEYS = keys_in(document(RSA.as_dict(private=False), EC.as_dict(private=False)))
ALLOWED = ("RS256", "PS256", "ES256")


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def check(token: str, allowed: tuple[str, ...] = ALLOWED) -> Any:
    header = presented(token)
    key = key_for(header, KEYS, allowed)
    assert key is not None
    return verified(header, key, allowed)


def kind_of(token: str, allowed: tuple[str, ...] = ALLOWED) -> str:
    with pytest.raises(TokenRefused) as refused:
        check(token, allowed)
    return refused.value.kind


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
def test_token_of_the_issuer_is_taken(algorithm: str, key: Any) -> None:
    token = jwt.encode({"alg": algorithm, "kid": key.kid}, dict(CLAIMS), key, [algorithm])
    assert check(token) == CLAIMS
    head, _, signature = token.split(".")
    assert kind_of(f"{head}.{part({**CLAIMS, 'sub': 'admin'})}.{signature}") == "signature"
    assert kind_of(f"{head}.{token.split('.')[1]}.") == "signature"


def test_public_key_is_no_secret() -> None:
    """RFC 8725 2.1: signed with HMAC, by the bytes of the public key."""
    signed = f"{part({'alg': 'HS256', 'kid': 'a'})}.{part(CLAIMS)}"
    token = f"{signed}.{part(hmac.digest(RSA.as_pem(private=False), signed.encode(), 'sha256'))}"
    assert kind_of(token) == "algorithm"
    assert kind_of(token, ("RS256", "HS256")) == "algorithm"  # even if somebody could allow it


def test_unsigned_token_is_refused() -> None:
    token = f"{part({'alg': 'none', 'kid': 'a'})}.{part(CLAIMS)}."
    assert kind_of(token) == "algorithm"
    assert kind_of(token, (*ALLOWED, "none")) == "algorithm"


def test_algorithm_that_is_not_allowed_or_not_of_the_key_is_refused() -> None:
    token = jwt.encode({"alg": "RS512", "kid": "a"}, dict(CLAIMS), RSA, ["RS512"])
    assert kind_of(token) == "algorithm"
    mixed = jwt.encode({"alg": "RS256", "kid": "b"}, dict(CLAIMS), RSA, ["RS256"])
    assert kind_of(mixed) == "algorithm"


def test_key_of_the_token_itself_is_not_asked() -> None:
    other = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "kid": "b", "jwk": other.as_dict(private=False)}
    assert kind_of(jwt.encode(header, dict(CLAIMS), other, ["ES256"])) == "signature"


def test_parameter_that_nobody_knows_is_passed_over() -> None:
    header = part({"alg": "ES256", "kid": "b", "nonce": "n", "com.example": [1]})
    signed = f"{header}.{part(CLAIMS)}"
    # joserfc writes no such header: the signature is made by its key.
    signature = JWSRegistry.algorithms["ES256"].sign(signed.encode(), EC)
    assert check(f"{signed}.{part(signature)}") == CLAIMS


def test_token_without_a_key_id_means_the_only_key_of_its_kind() -> None:
    token = jwt.encode({"alg": "ES256"}, dict(CLAIMS), EC, ["ES256"])
    assert check(token) == CLAIMS
    two = keys_in(document(EC.as_dict(private=False), ECKey.generate_key("P-256", {"kid": "c"}).as_dict()))
    assert key_for(presented(token), two, ALLOWED) is None
    assert key_for(presented(jwt.encode({"alg": "ES256", "kid": "z"}, {}, EC, ["ES256"])), KEYS, ALLOWED) is None


@pytest.mark.parametrize(
    "token",
    [
        *("", "..", "a.b.c", "é.b.c", "a.b", "[[[.x.y"),
        f"{part([])}.{part({})}.x",
        f"{part({'alg': 5})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'kid': 5})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'typ': 5})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'typ': 'logout+jwt'})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'crit': ['exp'], 'exp': 1})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'b64': False})}.{part({})}.x",
        f"{part({'alg': 'RS256'})}.{part([])}.x",
        f"{part({'alg': 'RS256'})}.{part(b'{')}.x",
        f"{part({'alg': 'RS256'})}.{part(b'[' * 9000)}.x",
        "x" * (LONGEST + 1),
    ],
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        presented(token)
    assert refused.value.kind == "malformed"


def test_keys_that_do_not_sign_are_left_out() -> None:
    usable = RSA.as_dict(private=False)
    with pytest.warns(match="2048"):
        short = RSAKey.generate_key(1024, {"kid": "short"}).as_dict(private=False)
    others = [
        short,
        OctKey.generate_key(256, {"kid": "secret"}).as_dict(),
        {**usable, "kid": "enc", "use": "enc"},
        {"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "x"},
        {**usable, "kid": "torn", "n": "!"},
        {**usable, "kid": 5},
        "text",
    ]
    with pytest.warns(match="2048"):
        assert [key.kid for key in keys_in(document(*others, usable))] == ["a"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b"\xff"])
def test_what_is_no_set_of_keys_is_refused(text: bytes) -> None:
    with pytest.raises(NotUnderstood):
        keys_in(text)


def test_key_for_one_algorithm_signs_by_no_other() -> None:
    keys = keys_in(document({**RSA.as_dict(private=False), "alg": "PS256"}))
    token = presented(jwt.encode({"alg": "RS256", "kid": "a"}, dict(CLAIMS), RSA, ["RS256"]))
    with pytest.raises(TokenRefused):
        verified(token, keys[0], ALLOWED)
