"""A DICOMweb server as a source: QIDO-RS lists, WADO-RS fetches each instance as it is stored (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
from pydicom.datadict import tag_for_keyword

from gantry.cli.files import DicomFile, Skipped, look
from gantry.cli.http_words import words_of
from gantry.cli.importing.model import ATTRIBUTES, Instance, Instances, Study, Withheld, in_portions
from gantry.common.dicom.encoding.values import whole_number
from gantry.common.errors import ConnectionFailed, PeerError
from gantry.common.ids import is_uid
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import MultipartParser, PartBegan, PartEnded

_PAGE = 500
_MOST_PAGES = 100_000
_AT_ONCE = 4
_PORTION = 50
_LATER = (429, 502, 503, 504)
"""Answers of a server that is temporarily away or overloaded."""
_SOON = 600
"""Longest Retry-After in seconds; beyond it the object is not available in this run, for example if it is archived."""
_COUNT = "NumberOfStudyRelatedInstances"
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_Json = Mapping[str, Mapping[str, Any]]


class NotGiven(PeerError):
    """A DICOMweb server refused, or sent something other than was requested."""


class DicomWeb:
    """The server at `url` (the base of its studies service); `keys` select studies."""

    def __init__(self, url: str, timeout: float, keys: Sequence[str] = (), token: str = "") -> None:
        self._url = url.rstrip("/")
        self._keys = [key.partition("=")[::2] for key in keys]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)
        self._session = aiohttp.ClientSession(headers=headers, timeout=limits)

    async def studies(self) -> AsyncIterator[Study]:
        """See `Source`."""
        also = [("includefield", name) for name in (*ATTRIBUTES, _COUNT)]
        async for match in self._pages("/studies", [*self._keys, *also], "StudyInstanceUID"):
            count = _text(match, _COUNT)
            attributes = {name: _text(match, name) for name in ATTRIBUTES if _tag(name) in match}
            yield Study(_text(match, "StudyInstanceUID"), attributes, whole_number(count))

    async def instances(self, study: str) -> Instances:
        """See `Source`."""
        by_uid: dict[str, Instance] = {}
        async for match in self._pages(f"/studies/{study}/instances", [], "SOPInstanceUID"):
            place = Instance(_text(match, "SeriesInstanceUID"), _text(match, "SOPClassUID"))
            if is_uid(place.series):
                by_uid[_text(match, "SOPInstanceUID")] = place
        return by_uid

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """See `Source`."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def receive(uid: str) -> DicomFile | Withheld:
            path = folder / f"{uid}.dcm"
            try:
                async with limit:
                    await self._retrieve(f"/studies/{study}/series/{wanted[uid].series}/instances/{uid}", path)
            except NotGiven as error:
                return Withheld(uid, str(error))
            file = look(path)
            if isinstance(file, DicomFile) and file.sop_instance_uid == uid:
                return file
            return Withheld(uid, file.reason if isinstance(file, Skipped) else "it sent another instance")

        for portion in in_portions(list(wanted), _PORTION):
            came = await asyncio.gather(*map(receive, portion), return_exceptions=True)
            away = None
            for error in came:
                if isinstance(error, ConnectionFailed):
                    away = error
                elif isinstance(error, BaseException):
                    raise error
            yield [file for file in came if not isinstance(file, BaseException)]
            if away is not None:
                raise away

    async def close(self) -> None:
        """See `Source`."""
        await self._session.close()

    async def _pages(self, path: str, query: Sequence[tuple[str, str]], unique: str) -> AsyncIterator[_Json]:
        """All matches, page by page. It ends when a server that ignores `offset` returns the first page again."""
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            page = await self._search(path, [*query, ("limit", str(_PAGE)), ("offset", str(len(seen)))])
            # The server's value becomes part of a URL and of a file name.
            new = [match for match in page if is_uid(uid := _text(match, unique)) and uid not in seen]
            seen.update(_text(match, unique) for match in new)
            for match in new:
                yield match
            if not new:
                return

    async def _search(self, path: str, query: Sequence[tuple[str, str]]) -> list[_Json]:
        try:
            headers = {"Accept": "application/dicom+json"}
            async with self._get(path, headers, query) as response:
                if response.status == 204:
                    return []
                self._need(response)
                matches = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _failure(path, error) from None
        if not isinstance(matches, list):
            raise NotGiven(f"{path}: no list of matches")
        return [match for match in matches if isinstance(match, dict)]

    async def _retrieve(self, path: str, to: Path) -> None:
        try:
            async with self._get(path, {"Accept": _AS_STORED}) as response:
                self._need(response)
                with to.open("wb") as file:
                    await _write_first_part(response, file)
        except (aiohttp.ClientError, TimeoutError, HttpProblem) as error:
            to.unlink(missing_ok=True)  # noqa: ASYNC240 - a moment
            raise _failure(path, error) from None

    def _get(
        self, path: str, headers: Mapping[str, str], query: Sequence[tuple[str, str]] = ()
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # No redirects: objects must come from the named server, and only it may see the query.
        return self._session.get(self._url + path, params=list(query), headers=headers, allow_redirects=False)

    def _need(self, response: aiohttp.ClientResponse) -> None:
        if 300 <= response.status < 400:
            raise NotGiven(f"{response.url.path}: the server redirects to another address: give that one")
        if response.status in _LATER and (whole_number(response.headers.get("Retry-After", "")) or 0) <= _SOON:
            raise ConnectionFailed(f"{response.url.path}: the server answered {response.status}")
        if response.status != 200:
            advice = " (give --from-token-file?)" if response.status in (401, 403) else ""
            raise NotGiven(f"{response.url.path}: the server answered {response.status}{advice}")


def _failure(path: str, error: Exception) -> PeerError:
    """The error as that of a server that is away, or that refuses the request."""
    if isinstance(error, aiohttp.InvalidURL):
        return NotGiven(f"not the URL of a server: {error}")
    slow = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError)
    away = isinstance(error, aiohttp.ClientConnectionError) and not slow
    return (ConnectionFailed if away else NotGiven)(
        words_of(error) if isinstance(error, aiohttp.ClientConnectorError) else f"{path}: {words_of(error)}"
    )


async def _write_first_part(response: aiohttp.ClientResponse, file: BinaryIO) -> None:
    if response.content_type == "application/dicom":
        async for chunk in response.content.iter_chunked(1 << 18):
            file.write(chunk)
        return
    boundary = _boundary(response.headers.get("Content-Type", ""))
    parser, parts = MultipartParser(boundary), 0
    async for chunk in response.content.iter_chunked(1 << 18):
        for event in parser.feed(chunk):
            if isinstance(event, PartBegan):
                parts += 1
            elif not isinstance(event, PartEnded) and parts == 1:
                file.write(event)
    parser.finish()


def _boundary(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            return value.strip('"')
    raise NotGiven("an answer that is neither application/dicom nor multipart/related")


def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


def _text(match: _Json, keyword: str) -> str:
    """The first value as text; a name as its component groups."""
    values = match.get(_tag(keyword), {}).get("Value") or [""]
    value = values[0]
    if isinstance(value, dict):
        groups = [str(value.get(name, "")) for name in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return str(value) if value is not None else ""
