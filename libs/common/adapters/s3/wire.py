"""Signed requests with a deadline and retries: the hot path."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import aiohttp

from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.errors import DEPENDENCY, S3Refusal, refusal, translated
from gantry.common.adapters.s3.signing import EMPTY, Credentials, query_string, signed
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import OPEN_AHEAD, Buffer
from gantry.common.telemetry.spans import step

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 3.0
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 15.0
"""A server that is silent for this time is asked again, while the deadline lasts."""
_HASH_OFF_THE_LOOP = 256 << 10
_SENT_WHOLE = 64 << 10
_ERROR_BODY = 16 << 10


class SignedRequests:
    """One connection pool to one bucket."""

    def __init__(self, bucket: S3Bucket, clock: Clock, credentials: Callable[[], Awaitable[Credentials]]) -> None:
        self.bucket = bucket
        self._clock = clock
        self._credentials = credentials
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=bucket.connections, keepalive_timeout=20, ssl=bucket.tls or True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            read_bufsize=OPEN_AHEAD // 2,  # aiohttp stops reading at twice that
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def put(self, key: str, parts: Sequence[Buffer], query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """Upload an object or a part of one. Returns its ETag. The bytes must not change until this returns."""
        size = sum(map(len, parts))
        if size > _HASH_OFF_THE_LOOP:
            digest = await asyncio.get_running_loop().run_in_executor(None, _sha256, parts)
        else:
            digest = _sha256(parts)
        headers = {**headers, "content-length": str(size)}

        async def attempt() -> str:
            body = _body(parts, size)
            async with await self._request("PUT", key, query, headers, digest, body) as response:
                if response.status != 200:
                    raise refusal(response.status, await response.content.read(_ERROR_BODY))
                await response.read()
                return response.headers.get("ETag", "")

        return await self.persist(attempt)

    async def get(self, key: str, first: int, last: int | None) -> aiohttp.ClientResponse:
        """The open answer to a ranged GET; the caller closes it. `S3Refusal` 416: the range is past the end."""
        headers = {"range": f"bytes={first}-{'' if last is None else last}"}

        async def attempt() -> aiohttp.ClientResponse:
            response = await self._request("GET", key, {}, headers, EMPTY, None)
            if response.status not in (200, 206, 416):
                async with response:
                    raise refusal(response.status, await response.content.read(_ERROR_BODY))
            return response

        return await self.persist(attempt)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, which is repeated with growing, jittered pauses while its fault is temporary and the
        deadline lasts. Raises a `GantryError`."""
        pause, last = _FIRST_PAUSE, "no answer"
        try:
            async with asyncio.timeout(self.bucket.deadline):
                while True:
                    try:
                        return await attempt()
                    except S3Refusal as error:
                        if not error.passing:
                            raise translated(error) from error
                        last = translated(error).args[0].removeprefix(f"{DEPENDENCY} unavailable: ")
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        last = _reason_of(error)
                    await self._clock.sleep(pause * random.random())
                    pause = min(_LONGEST_PAUSE, pause * 2)
        except TimeoutError as error:
            raise DependencyUnavailable(DEPENDENCY, f"{last}, for {self.bucket.deadline:g} s") from error

    async def _request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        digest: str,
        body: bytes | AsyncIterator[memoryview] | None,
    ) -> aiohttp.ClientResponse:
        from yarl import URL

        path = self.bucket.path(key)
        all_headers = signed(
            await self._credentials(),
            self.bucket.region,
            self._clock.now_us(),
            method,
            path,
            query,
            {"host": self.bucket.host, **headers},
            digest,
        )
        url = f"{self.bucket.base}{path}{'?' if query else ''}{query_string(query)}"
        with step(f"S3 {method}") as fields:
            response = await self._session.request(
                method, URL(url, encoded=True), headers=all_headers, data=body, allow_redirects=False
            )
            fields["status"] = response.status
            return response


def _sha256(parts: Sequence[Buffer]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _body(parts: Sequence[Buffer], size: int) -> bytes | AsyncIterator[memoryview]:
    if size <= _SENT_WHOLE or len(parts) > 64:
        return b"".join(parts)
    return _streamed(parts)


async def _streamed(parts: Sequence[Buffer]) -> AsyncIterator[memoryview]:
    for part in parts:
        view = memoryview(part).cast("B")
        for at in range(0, len(view), 1 << 20):
            yield view[at : at + (1 << 20)]


def _reason_of(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, TimeoutError):
        return "the server is silent"
    return "the connection was cut"
