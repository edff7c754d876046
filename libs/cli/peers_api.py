"""The peers of a running archive, over its operations API (docs/operations.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from gantry.cli.http_words import words_of
from gantry.common.config.tls import usual
from gantry.common.errors import Conflicting, ConnectionFailed

_BASE = "/dicom-web"
_LONGEST_ANSWER = 64 << 20
_LONGEST_WORDS = 500
_ADVICE = {
    401: "the archive does not know who asks: give the token of an administrator with --token-file",
    403: "not permitted: have `http.may_operate` name the token, or `access.roles` give its role the verb `operate`",
}


class NotReached(ConnectionFailed):
    """There was no answer of an archive."""


class RefusedByArchive(Conflicting):
    """The archive answered no; `status` is that of HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer, and the entity tag of what it is about, "" where it has none."""

    body: dict[str, Any]
    etag: str


class PeersApi:
    """Each call raises `NotReached` or `RefusedByArchive`, in words for a person."""

    def __init__(self, url: str, token_file: Path | None, ca: str | None, timeout: float) -> None:
        """`url` is where the archive's page is, or its DICOMweb. Raises `NotReached` for what is no URL or token."""
        base = url.rstrip("/").removesuffix(_BASE)
        if not base.startswith(("http://", "https://")):
            raise NotReached(f"{url!r} is no address of an archive: https://HOST or http://HOST:PORT")
        self.url = base
        self._operations = f"{base}{_BASE}/operations"
        self._headers = {"Accept": "application/json"}
        try:
            token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else ""
            self._tls = usual(ca)
        except (OSError, ValueError) as error:
            raise NotReached(f"token or certificates cannot be read: {error}") from None
        if not (token.isascii() and token.isprintable()):
            raise NotReached("the token file holds no token: one line of ASCII is expected")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    def listed(self) -> list[dict[str, Any]]:
        """All peers in force."""
        peers = self._call("GET", "policy").body.get("peers")
        if not isinstance(peers, list):
            raise NotReached("the answer is none of a Gantry archive that has this API")
        return [peer for peer in peers if isinstance(peer, dict)]

    def peer(self, ae_title: str) -> ApiAnswer:
        """One peer."""
        return self._call("GET", _path(ae_title))

    def add(self, ae_title: str, entry: Mapping[str, Any], reason: str) -> ApiAnswer:
        """Add one that is not there."""
        return self._call("PUT", _path(ae_title), entry, {"If-None-Match": "*"}, reason)

    def replace(self, ae_title: str, entry: Mapping[str, Any], etag: str, reason: str) -> ApiAnswer:
        """Replace all of one that is as its `etag` says."""
        return self._call("PUT", _path(ae_title), entry, {"If-Match": etag}, reason)

    def remove(self, ae_title: str, etag: str, reason: str) -> ApiAnswer:
        """Remove one that is as its `etag` says."""
        return self._call("DELETE", _path(ae_title), None, {"If-Match": etag}, reason)

    def echo(self, ae_title: str) -> ApiAnswer:
        """Have the archive call a peer and verify."""
        return self._call("POST", f"{_path(ae_title)}/echo", {})

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> ApiAnswer:
        try:
            return asyncio.run(self._ask(method, path, body, {**self._headers, **(headers or {})}, reason))
        except TimeoutError:
            raise NotReached(f"no answer within {self._timeout.total:g} s; --timeout waits longer") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise NotReached(
                f"no connection: {words_of(error)}. Is the address right, does a firewall lie between?"
            ) from None

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], reason: str
    ) -> ApiAnswer:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=self._timeout) as session,
            session.request(
                method,
                f"{self._operations}/{path}",
                params={"reason": reason} if reason else {},
                json=body,
                ssl=self._tls,
                allow_redirects=False,  # the token is for this address
            ) as response,
        ):
            answer = await _text(response)
            if response.status >= 300:
                raise RefusedByArchive(response.status, _words(response.status, answer))
            return ApiAnswer(_object(answer), response.headers.get("ETag", ""))


def _path(ae_title: str) -> str:
    return f"peers/{quote(ae_title, safe='')}"


async def _text(response: aiohttp.ClientResponse) -> str:
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > _LONGEST_ANSWER:
            raise NotReached("the answer is too long for one of a Gantry archive")
    return parts.decode("utf-8", "replace")


def _object(answer: str) -> dict[str, Any]:
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise NotReached("the answer is none of a Gantry archive: is the address right?")
    return body


def _words(status: int, answer: str) -> str:
    """What to tell a person. An answer of something else than an archive may be a page of HTML."""
    if status < 400:
        return f"it answers {status} and sends on to another address: give the archive's own"
    line = "".join(c if c.isprintable() else " " for c in answer[:_LONGEST_WORDS]).strip()
    if line.startswith("<"):
        line = ""
    words = _ADVICE.get(status) or line or "no reason is given"
    return f"{words} ({status})"
