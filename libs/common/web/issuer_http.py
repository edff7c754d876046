"""HTTP requests to an identity provider: without redirections, and with answers of limited length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from gantry.common.config.access_sections import is_safe_url
from gantry.common.config.tls import usual
from gantry.common.errors import NotUnderstood

DISCOVERY = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0 4: appended to the issuer's URL."""
_LONGEST = 1 << 18


def issuer_session(ca: Path | None) -> aiohttp.ClientSession:
    """A client session for one task; `ca` is a file with the authorities for the provider's certificate. Raises
    `OSError` if it cannot be read."""
    tls = None if ca is None else usual(ca)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls) if tls is not None else None)


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body of a 200 answer. Raises `NotUnderstood` for any other answer, and aiohttp's errors."""
    async with session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response:
        if response.status != 200:
            raise NotUnderstood(f"answered {response.status}")
        return await body_of(response)


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """A body that is not too long, even after decompression. Raises `NotUnderstood`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LONGEST:
            raise NotUnderstood(f"longer than {_LONGEST} bytes")
    return bytes(body)


async def discovered_place(session: aiohttp.ClientSession, issuer: str, name: str) -> str:
    """A URL that an issuer's own document names. Raises `NotUnderstood`, `ValueError`, and aiohttp's errors."""
    document: Any = json.loads(await get(session, issuer.rstrip("/") + DISCOVERY))
    # OpenID Connect Discovery 1.0 4.3: it must be the issuer's own.
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise NotUnderstood("what was discovered is of another issuer")
    url = document.get(name)
    if not isinstance(url, str) or not is_safe_url(url):
        raise NotUnderstood(f"what was discovered names no safe {name}")
    return url
