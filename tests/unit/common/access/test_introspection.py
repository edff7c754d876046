"""What an issuer is asked about a token, and what it may answer (RFC 7662)."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.access.introspection import answered, as_claims, basic, question
from gantry.common.errors import NotUnderstood

URL = "https://sso.example"


def test_client_shows_its_secret_quoted() -> None:
    assert b64decode(basic("a b", "s:1/").removeprefix("Basic ")) == b"a+b:s%3A1%2F"
    assert question("t") == {"token": "t", "token_type_hint": "access_token"}


def test_active_is_a_truth_value_and_nothing_else() -> None:
    assert answered(b'{"active": false, "sub": "u"}') is None
    assert answered(b'{"active": true, "sub": "u"}') == {"active": True, "sub": "u"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"active": "true"}', b'{"active": 1}', b"[" * 100_000, b"\xff"])
def test_other_answers_are_none(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        answered(body)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        assert answered(body) is None or json.loads(body)["active"]
    except NotUnderstood:
        pass


def test_what_is_left_out_is_the_client_s() -> None:
    filled = as_claims({"active": True, "client_id": "viewer", "username": "jdoe", "aud": None}, URL)
    assert {name: filled[name] for name in ("iss", "aud", "sub", "preferred_username")} == {
        "iss": URL,
        "aud": "viewer",
        "sub": "viewer",
        "preferred_username": "jdoe",
    }
    assert filled["exp"] > 4_102_444_800


def test_what_is_said_counts() -> None:
    answer = {"iss": "https://other", "aud": ["x"], "sub": "u", "exp": 5, "client_id": "viewer"}
    assert {name: as_claims(answer, URL)[name] for name in answer} == answer
