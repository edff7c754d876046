"""What is asked of an identity provider over HTTP: without redirections, and answers of a limited length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from gantry.common.config.access_sections import is_safe_url
from gantry.common.config.tls import usual
from gantry.common.errors import NotUnderstood

DISCOVERY = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0 4: behind the issuer's URL."""
_LONGEST = 1 << 18


def issuer_session(ca: Path | None) -> aiohttp.ClientSession:
    """A session for one errand; `ca` is a file of who signs the provider's certificate. Raises `OSError` where it
    cannot be read."""
    tls = None if ca is None else usual(ca)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls) if tls is not None else None)


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body of an answer 200. Raises `NotUnderstood` for any other answer, and what aiohttp raises."""
    async with session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response:
        if response.status != 200:
            raise NotUnderstood(f"answered {response.status}")
        return await body_of(response)


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """A body that is not too long, also once it is unpacked. Raises `NotUnderstood`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LONGEST:
            raise NotUnderstood(f"longer than {_LONGEST} bytes")
    return bytes(body)


async def discovered_place(session: aiohttp.ClientSession, issuer: str, name: str) -> str:
    """A URL that an issuer's own document names. Raises `NotUnderstood`, `ValueError`, and what aiohttp raises."""
    document: Any = json.loads(await get(session, issuer.rstrip("/") + DISCOVERY))
    # OpenID Connect Discovery 1.0 4.3: it must be the issuer's own.
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise NotUnderstood("what was discovered is of another issuer")
    url = document.get(name)
    if not isinstance(url, str) or not is_safe_url(url):
        raise NotUnderstood(f"what was discovered names no safe {name}")
    return url
