"""The metadata of an identity provider (OpenID Connect Discovery 1.0 3, RFC 8414, RFC 9207). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gantry.common.config.access_sections import is_safe_url
from gantry.common.errors import NotUnderstood


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """Endpoints, "" for those that it does not have. `names_itself`: its answers carry `iss`; `basic`: a client sends
    its secret in a header, else in the body."""

    authorization: str
    token: str
    end_session: str = ""
    revocation: str = ""
    names_itself: bool = False
    basic: bool = True


def metadata_of(document: bytes, issuer: str) -> ProviderMetadata:
    """The metadata of this issuer. Raises `NotUnderstood` if it belongs to another issuer, or names unsafe URLs."""
    try:
        metadata: Any = json.loads(document)
    except (ValueError, RecursionError):
        metadata = None
    # OpenID Connect Discovery 1.0 4.3: it must be the issuer's own.
    if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
        raise NotUnderstood("what was discovered is of another issuer")
    methods = metadata.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise NotUnderstood("it does not know PKCE with S256 (RFC 7636)")
    authentication = metadata.get("token_endpoint_auth_methods_supported")
    return ProviderMetadata(
        _place(metadata, "authorization_endpoint", needed=True),
        _place(metadata, "token_endpoint", needed=True),
        _place(metadata, "end_session_endpoint"),
        _place(metadata, "revocation_endpoint"),
        metadata.get("authorization_response_iss_parameter_supported") is True,
        # OpenID Connect Discovery 1.0 3: client_secret_basic if nothing is stated.
        not isinstance(authentication, list) or "client_secret_basic" in authentication,
    )


def _place(metadata: dict[str, Any], name: str, *, needed: bool = False) -> str:
    url = metadata.get(name)
    if isinstance(url, str) and is_safe_url(url):
        return url
    if needed:
        raise NotUnderstood(f"what was discovered names no safe {name}")
    return ""
