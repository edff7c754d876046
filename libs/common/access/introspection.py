"""Asking an issuer about a token (RFC 7662): the request, and its answer. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from gantry.common.errors import NotUnderstood

_FOR_EVER = 1 << 52
"""Seconds since the epoch."""


def basic(client_id: str, secret: str) -> str:
    """The Authorization header of a client with a secret (RFC 6749 2.3.1: both are quoted first)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def question(token: str) -> dict[str, str]:
    """The form that is sent (RFC 7662 2.1)."""
    return {"token": token, "token_type_hint": "access_token"}


def answered(body: bytes) -> Mapping[str, Any] | None:
    """The answer's data about the token (RFC 7662 2.2); None if it is not active. Raises `NotUnderstood`."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
        raise NotUnderstood("its answer about a token is none")
    return answer if answer["active"] else None


def as_claims(answer: Mapping[str, Any], issuer: str) -> Mapping[str, Any]:
    """The answer as the claims of a token. What RFC 7662 lets an issuer omit is filled in: it is the issuer's own
    token, for and from the client that got it, and is valid as long as it is active."""
    client = answer.get("client_id")
    filled = {
        "iss": issuer,
        "aud": client,
        "sub": client,
        "exp": _FOR_EVER,
        "preferred_username": answer.get("username"),
    }
    return {**filled, **{name: value for name, value in answer.items() if value is not None}}
