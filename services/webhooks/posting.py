"""A post to an external receiver: one try, within a deadline, to the given address and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp


class Unreachable(Exception):
    """No answer: the text says why, in a word."""


class Poster:
    """Connections for posts, `limit` at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
        """The status of the answer, which comes within `timeout` seconds. Redirects and proxies of the environment are
        not followed, and cookies are not stored. Raises `Unreachable`."""
        deadline = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._connected().post(
                url, data=body, headers=headers, allow_redirects=False, timeout=deadline
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session
