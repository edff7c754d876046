"""`gantry.services.query.login.metadata`: what a provider says of itself, and what of it is not believed."""

from __future__ import annotations

import json

import pytest

from gantry.common.errors import NotUnderstood
from gantry.services.query.login.metadata import metadata_of

ISSUER = "https://sso.example/realms/h"
GOOD: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "end_session_endpoint": f"{ISSUER}/out",
}


def test_endpoints_are_read() -> None:
    metadata = metadata_of(json.dumps(GOOD).encode(), ISSUER)
    assert (metadata.authorization, metadata.token, metadata.end_session) == (
        f"{ISSUER}/auth",
        f"{ISSUER}/token",
        f"{ISSUER}/out",
    )
    assert (metadata.revocation, metadata.names_itself, metadata.basic) == ("", False, True)
    more = GOOD | {
        "authorization_response_iss_parameter_supported": True,
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }
    metadata = metadata_of(json.dumps(more).encode(), ISSUER)
    assert (metadata.names_itself, metadata.basic) == (True, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://sso.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_what_is_not_safe_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood):
        metadata_of(json.dumps(GOOD | changed).encode(), ISSUER)


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(NotUnderstood):
        metadata_of(document, ISSUER)


def test_unsafe_place_to_sign_out_is_left_out() -> None:
    assert (
        metadata_of(json.dumps(GOOD | {"end_session_endpoint": "http://x.example"}).encode(), ISSUER).end_session == ""
    )
