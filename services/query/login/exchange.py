"""Requests to an identity provider, and its valid answers (RFC 6749, RFC 7636, OpenID Connect Core 1.0). Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gantry.common.access.introspection import basic
from gantry.common.access.sessions import Flow
from gantry.common.access.signatures import LONGEST
from gantry.common.config.secret_files import Secret, text_of
from gantry.common.errors import LoginRefused, NotUnderstood
from gantry.services.query.login.metadata import ProviderMetadata

CALLBACK, SIGNED_OUT = "/login/callback", "/login/out"
_REFUSALS: Mapping[str, str] = {
    "access_denied": "the sign-in was refused or cancelled there",
    "login_required": "it wants somebody to sign in first",
    "temporarily_unavailable": "it is not available just now",
    "server_error": "something went wrong there",
    "invalid_scope": "it does not know one of `login.scopes`",
    "unauthorized_client": "it does not let this archive ask: see the client's settings there",
    "invalid_request": "it did not understand the request: see the client's settings there",
}
"""RFC 6749 4.1.2.1; other error codes are not echoed."""


@dataclass(frozen=True, slots=True)
class OurClient:
    """The archive as the provider knows it; `url` is where browsers find it."""

    client_id: str
    url: str
    scopes: Sequence[str]
    secret: Secret = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class GivenTokens:
    """The tokens that the token endpoint returned; "" for those missing."""

    access: str = field(repr=False)
    identity: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


def authorization_url(provider: ProviderMetadata, client: OurClient, flow: Flow) -> str:
    """Where a browser is sent to sign in (OpenID Connect Core 1.0 3.1.2.1)."""
    # RFC 7636 4.2
    challenge = urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
    parameters = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.url + CALLBACK,
        "scope": " ".join(client.scopes),
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return _with_parameters(provider.authorization, parameters)


def code_of(query: Mapping[str, str], provider: ProviderMetadata, issuer: str) -> str:
    """The code that a browser brought back. Raises `LoginRefused`."""
    # RFC 9207 2.4: an answer of another provider is not an answer to our request.
    if query.get("iss", issuer if not provider.names_itself else "") != issuer:
        raise LoginRefused("issuer", 400, "The answer is from another identity provider than the one that was asked.")
    if "error" in query:
        words = _REFUSALS.get(query["error"], "the sign-in did not succeed there")
        raise LoginRefused("provider", 403, f"The identity provider says: {words}.")
    if not query.get("code"):
        raise LoginRefused("state", 400, "The address is not complete.")
    return query["code"]


def form_of_code(client: OurClient, code: str, flow: Flow) -> dict[str, str]:
    """RFC 6749 4.1.3, RFC 7636 4.5."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.url + CALLBACK,
        "code_verifier": flow.verifier,
    }


def form_of_refresh(refresh: str) -> dict[str, str]:
    """RFC 6749 6."""
    return {"grant_type": "refresh_token", "refresh_token": refresh}


def authenticated(
    form: Mapping[str, str], client: OurClient, provider: ProviderMetadata
) -> tuple[dict[str, str], dict[str, str]]:
    """A form and headers that authenticate us as the client (RFC 6749 2.3.1)."""
    secret = text_of(client.secret)  # as it is now: it may have been replaced
    if secret and provider.basic:
        return dict(form), {"Authorization": basic(client.client_id, secret)}
    return {**form, "client_id": client.client_id, **({"client_secret": secret} if secret else {})}, {}


def tokens_of(answer: bytes) -> GivenTokens:
    """The tokens of a successful answer (RFC 6749 5.1). Raises `NotUnderstood`."""
    try:
        document: Any = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or str(document.get("token_type", "")).lower() != "bearer":
        raise NotUnderstood("its answer has no bearer token")
    values = [document.get(name) or "" for name in ("access_token", "id_token", "refresh_token")]
    if not all(isinstance(value, str) and value.isascii() and len(value) <= LONGEST for value in values):
        raise NotUnderstood("its answer has tokens that are none")
    return GivenTokens(*values)


def check_id_token(claims: Mapping[str, Any], client: OurClient, issuer: str, nonce: str | None) -> None:
    """OpenID Connect Core 1.0 3.1.3.7, besides the checks of every token; `nonce` is None when a session is renewed.
    Raises `LoginRefused`."""
    if claims.get("iss") != issuer:
        raise LoginRefused("issuer", 400, "The ID token is from another identity provider than the one that was asked.")
    if claims.get("azp", client.client_id) != client.client_id:
        raise LoginRefused("token", 400, "The ID token was given to another client.")
    claim = claims.get("nonce")
    if nonce is not None and not (isinstance(claim, str) and hmac.compare_digest(claim.encode(), nonce.encode())):
        raise LoginRefused("nonce", 400, "The ID token is not for this login: it may be from an earlier one.")


def end_session_url(provider: ProviderMetadata, client: OurClient) -> str:
    """Where a browser is sent to sign out at the provider, too (OpenID Connect RP-Initiated Logout 1.0 2); our own page
    if it has no such endpoint. Without `id_token_hint`: a token must not be in an address, and the provider asks the
    user."""
    if not provider.end_session:
        return SIGNED_OUT
    parameters = {"client_id": client.client_id, "post_logout_redirect_uri": client.url + SIGNED_OUT}
    return _with_parameters(provider.end_session, parameters)


def _with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    # RFC 6749 3.1: an endpoint may have a query of its own.
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
