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
    401: "the archive does not accept this caller: give the token of an administrator with --token-file",
    403: "not permitted: add the token to `http.may_operate`, or the verb `operate` to its role in `access.roles`",
}


class NotReached(ConnectionFailed):
    """No archive answered."""


class RefusedByArchive(Conflicting):
    """The archive refused; `status` is the HTTP status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer, and the entity tag of its subject, "" without one."""

    body: dict[str, Any]
    etag: str


class PeersApi:
    """Calls of the API. Each raises `NotReached` or `RefusedByArchive`, with a message for a person."""

    def __init__(self, url: str, token_file: Path | None, ca: str | None, timeout: float) -> None:
        """`url` is that of the archive's page, or of its DICOMweb. Raises `NotReached` for an invalid URL or token."""
        base = url.rstrip("/").removesuffix(_BASE)
        if not base.startswith(("http://", "https://")):
            raise NotReached(f"{url!r} is not the address of an archive: https://HOST or http://HOST:PORT")
        self.url = base
        self._operations = f"{base}{_BASE}/operations"
        self._headers = {"Accept": "application/json"}
        try:
            token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else ""
            self._tls = usual(ca)
        except (OSError, ValueError) as error:
            raise NotReached(f"token or certificates cannot be read: {error}") from None
        if not (token.isascii() and token.isprintable()):
            raise NotReached("the token file does not hold a token: one line of ASCII is expected")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    def listed(self) -> list[dict[str, Any]]:
        """All peers in force."""
        peers = self._call("GET", "policy").body.get("peers")
        if not isinstance(peers, list):
            raise NotReached("the answer is not from a Gantry archive with this API")
        return [peer for peer in peers if isinstance(peer, dict)]

    def peer(self, ae_title: str) -> ApiAnswer:
        """One peer."""
        return self._call("GET", _path(ae_title))

    def add(self, ae_title: str, entry: Mapping[str, Any], reason: str) -> ApiAnswer:
        """Add a new peer."""
        return self._call("PUT", _path(ae_title), entry, {"If-None-Match": "*"}, reason)

    def replace(self, ae_title: str, entry: Mapping[str, Any], etag: str, reason: str) -> ApiAnswer:
        """Replace the whole entry of a peer if it still has this `etag`."""
        return self._call("PUT", _path(ae_title), entry, {"If-Match": etag}, reason)

    def remove(self, ae_title: str, etag: str, reason: str) -> ApiAnswer:
        """Remove a peer if it still has this `etag`."""
        return self._call("DELETE", _path(ae_title), None, {"If-Match": etag}, reason)

    def echo(self, ae_title: str) -> ApiAnswer:
        """Let the archive send C-ECHO to a peer."""
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
                f"no connection: {words_of(error)}. Is the address right, does a firewall block it?"
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
                allow_redirects=False,  # no redirects: the token is for this address only
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
            raise NotReached("the answer is too long for a Gantry archive")
    return parts.decode("utf-8", "replace")


def _object(answer: str) -> dict[str, Any]:
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise NotReached("the answer is not from a Gantry archive: is the address right?")
    return body


def _words(status: int, answer: str) -> str:
    """The message for a person. If something other than an archive answered, that may be a page of HTML."""
    if status < 400:
        return f"it answers {status} and redirects to another address: give the archive's own"
    line = "".join(c if c.isprintable() else " " for c in answer[:_LONGEST_WORDS]).strip()
    if line.startswith("<"):
        line = ""
    words = _ADVICE.get(status) or line or "no reason is given"
    return f"{words} ({status})"
