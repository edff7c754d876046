"""`gantry.services.query.login.exchange`: questions to a provider, and its answers."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gantry.common.access.sessions import Flow
from gantry.common.config.secret_files import SecretFile
from gantry.common.errors import LoginRefused, NotUnderstood
from gantry.services.query.login.exchange import (
    OurClient,
    authenticated,
    authorization_url,
    check_id_token,
    code_of,
    end_session_url,
    form_of_code,
    tokens_of,
)
from gantry.services.query.login.metadata import ProviderMetadata

ISSUER = "https://sso.example"
PROVIDER = ProviderMetadata(f"{ISSUER}/auth?tenant=1", f"{ISSUER}/token", f"{ISSUER}/out")
NAMING = ProviderMetadata(f"{ISSUER}/auth", f"{ISSUER}/token", names_itself=True)
CLIENT = OurClient("gantry", "https://archive.example", ("openid", "profile"))
# RFC 7636 Appendix B
FLOW = Flow("st", "no", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "/", 0.0)


def test_browser_is_sent_with_a_challenge_and_without_its_verifier() -> None:
    url = authorization_url(PROVIDER, CLIENT, FLOW)
    fields = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert fields == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "gantry",
        "redirect_uri": "https://archive.example/login/callback",
        "scope": "openid profile",
        "state": "st",
        "nonce": "no",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    assert FLOW.verifier not in url


@pytest.mark.parametrize(
    ("provider", "query", "kind"),
    [
        (PROVIDER, {"code": "c", "iss": "https://evil.example"}, "issuer"),
        (NAMING, {"code": "c"}, "issuer"),
        (PROVIDER, {"error": "access_denied"}, "provider"),
        (PROVIDER, {"error": "<script>"}, "provider"),
        (PROVIDER, {}, "state"),
    ],
)
def test_answer_that_brings_no_code_is_refused(provider: ProviderMetadata, query: dict[str, str], kind: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        code_of(query, provider, ISSUER)
    assert refused.value.kind == kind
    assert "<" not in refused.value.reason


def test_code_is_what_the_right_provider_brings() -> None:
    assert code_of({"code": "c"}, PROVIDER, ISSUER) == "c"
    assert code_of({"code": "c", "iss": ISSUER}, NAMING, ISSUER) == "c"


def test_client_shows_its_secret_as_the_provider_wants_it() -> None:
    form = form_of_code(CLIENT, "c", FLOW)
    assert authenticated(form, CLIENT, PROVIDER) == ({**form, "client_id": "gantry"}, {})
    known = OurClient("gan try", CLIENT.url, CLIENT.scopes, "s:é")
    assert authenticated(form, known, PROVIDER)[1] == {"Authorization": "Basic Z2FuK3RyeTpzJTNBJUMzJUE5"}
    posting = ProviderMetadata("", "", basic=False)
    assert authenticated(form, known, posting)[0]["client_secret"] == "s:é"
    assert "s:é" not in repr(known)


def test_a_secret_that_was_replaced_is_shown_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old\n")
    known = OurClient("gantry", CLIENT.url, CLIENT.scopes, SecretFile(file, "login.client_secret_file"))
    posting, form = ProviderMetadata("", "", basic=False), form_of_code(CLIENT, "c", FLOW)
    assert authenticated(form, known, posting)[0]["client_secret"] == "old"
    file.write_text("the new one\n")
    assert authenticated(form, known, posting)[0]["client_secret"] == "the new one"


def test_tokens_are_read() -> None:
    tokens = tokens_of(json.dumps({"token_type": "Bearer", "access_token": "a", "id_token": "i"}).encode())
    assert (tokens.access, tokens.identity, tokens.refresh) == ("a", "i", "")
    assert "'a'" not in repr(tokens)


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"token_type": "mac"}', b'{"token_type": "Bearer", "access_token": 1}', b"[" * 100_000],
)
def test_answer_without_tokens_is_refused(answer: bytes) -> None:
    with pytest.raises(NotUnderstood):
        tokens_of(answer)


@pytest.mark.parametrize(
    ("changed", "nonce", "kind"),
    [
        ({"iss": "https://evil.example"}, "no", "issuer"),
        ({"azp": "another"}, "no", "token"),
        ({"nonce": "other"}, "no", "nonce"),
        ({"nonce": 5}, "no", "nonce"),
        ({"nonce": None}, "no", "nonce"),
    ],
)
def test_id_token_of_something_else_is_refused(changed: dict[str, object], nonce: str, kind: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        check_id_token({"iss": ISSUER, "azp": "gantry", "nonce": "no", **changed}, CLIENT, ISSUER, nonce)
    assert refused.value.kind == kind


def test_id_token_of_this_login_passes_and_one_of_a_refresh_needs_no_nonce() -> None:
    check_id_token({"iss": ISSUER, "azp": "gantry", "nonce": "no"}, CLIENT, ISSUER, "no")
    check_id_token({"iss": ISSUER}, CLIENT, ISSUER, None)


def test_signing_out_names_the_client_and_no_token() -> None:
    url = end_session_url(PROVIDER, CLIENT)
    assert parse_qs(urlsplit(url).query) == {
        "client_id": ["gantry"],
        "post_logout_redirect_uri": ["https://archive.example/login/out"],
    }
    assert end_session_url(NAMING, CLIENT) == "/login/out"
