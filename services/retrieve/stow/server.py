"""One attempt to send objects to a web server by STOW-RS: a few in each request, the answer read per instance."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import aiohttp

from gantry.common.config.tls import trusting
from gantry.common.config.web_destination_sections import WebDestinationSettings
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import Archived, ConfigError, DependencyUnavailable, GantryError, NotDeidentified, PeerError
from gantry.common.ports.index import Location
from gantry.common.statuses import PROCESSING_FAILURE, UNABLE_TO_PERFORM_SUB_OPERATIONS, is_warning
from gantry.common.telemetry.logs import get_logger
from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.dimse.moving import MoveJob
from gantry.services.retrieve.dimse.suboperations import Counters, Deidentifies
from gantry.services.retrieve.opening import Opened, Openings
from gantry.services.retrieve.sources import BytesSource, JoinedSource
from gantry.services.retrieve.stow.answers import SendingOutcome, answer_of
from gantry.services.retrieve.stow.body import StowBody

_LONGEST_ANSWER = 8 << 20
"""Bytes; some 10,000 instances."""
logger = get_logger("routing")


class WebDestination:
    """A server. Files of tokens and certificates are read for each attempt, so that they can be renewed."""

    def __init__(self, settings: WebDestinationSettings, openings: Openings) -> None:
        self.host = settings.host
        self._settings = settings
        self._openings = openings
        self._url = f"{settings.url.rstrip('/')}/studies"

    def check(self) -> None:
        """Raises `ConfigError` if a file that the settings name cannot be used now."""
        try:
            _credentials(self._settings)
        except PeerError as error:
            raise ConfigError("routing.servers", None, f"{self._settings.name}: {error}") from None

    async def send(self, locations: Sequence[Location], job: MoveJob) -> str:
        """Send objects while they are wanted. Each object that was sent, or cannot be sent, is counted;
        `job.counters.why` says what is wrong with the server, in which case the rest was not tried. Returns why
        instances were refused, in words; "" if none was."""
        try:
            headers, context = await asyncio.to_thread(_credentials, self._settings)
        except PeerError as error:
            job.counters.why = f"{self._settings.name}: {error}"
            return ""
        # Redirects, cookies and proxies of the environment are never followed: objects go to this server alone.
        async with aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=1, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._settings.connect_timeout),
        ) as session:
            return await _Attempt(self._settings, self._openings, self._url, session, job).run(list(locations))


@dataclass(slots=True)
class _Attempt:
    settings: WebDestinationSettings
    openings: Openings
    url: str
    session: aiohttp.ClientSession
    job: MoveJob
    words: str = ""

    async def run(self, left: list[Location]) -> str:
        alone = 0
        while left and self.job.is_wanted() and not self.job.counters.why:
            async with AsyncExitStack() as opened:
                group = await self._group(left, opened, 1 if alone else self.settings.most)
                if not group:
                    continue
                body = StowBody(group)
                answer = await self._post(body, [self._uid(part.location) for part in group])
            alone = max(0, alone - 1)
            if body.broken is not None:
                # The other objects of the request are sent again without it.
                location, error = body.broken
                self._unsent(location, error)
                left.remove(location)
            elif answer.away:
                self.job.counters.why = f"{self.settings.name} {answer.away}"
            elif answer.refused and len(group) > 1:
                # Sent one by one, to find out which of them it refuses.
                alone = len(group)
            else:
                self._count([part.location for part in group], answer)
                del left[: len(group)]
            await self.job.progressed()
        return self.words

    async def _group(self, left: list[Location], opened: AsyncExitStack, most: int) -> list[Opened]:
        """The objects of the next request: the first of those left, without any that cannot be opened."""
        group: list[Opened] = []
        uids: set[str] = set()
        size = 0
        while len(group) < min(most, len(left)):
            location = left[len(group)]
            uid = self._uid(location)
            # An answer names instances by their UID: two objects with one UID go in two requests.
            if group and (size + location.data_set_length > self.settings.max_request or uid in uids):
                break
            try:
                part = await self._opened(location, ahead=bool(group))
            except GantryError as error:
                if group and isinstance(error, Unavailable):
                    break
                self._unsent(location, error)
                del left[len(group)]
                continue
            opened.push_async_callback(part.source.close)
            group.append(part)
            uids.add(uid)
            size += part.size
        return group

    async def _opened(self, location: Location, *, ahead: bool) -> Opened:
        syntax = self.settings.transfer_syntax or location.transfer_syntax_uid
        client, through = f"{self.settings.name} {self.settings.host}", self.job.through
        if through is None:
            return await self.openings.part10(location, syntax, client, ahead=ahead)
        part = await self.openings.data_set(location, syntax, client, ahead=ahead)
        part = await through.deidentified(part, client, ahead=ahead)
        meta = file_meta(location.sop_class_uid, self._uid(location), syntax)
        return replace(part, size=len(meta) + part.size, source=JoinedSource([BytesSource(meta), part.source]))

    async def _post(self, body: StowBody, uids: Iterable[str]) -> SendingOutcome:
        headers = {
            "Content-Type": body.content_type,
            "Content-Length": str(body.length),
            "Accept": "application/dicom+json",
        }
        seconds = self.settings.response_timeout + body.length / self.settings.least_rate
        try:
            async with (
                asyncio.timeout(seconds),
                self.session.post(self.url, data=body.pieces(), headers=headers, allow_redirects=False) as response,
            ):
                content = await _read(response)
                return answer_of(response.status, content, tuple(uids))
        except TimeoutError:
            return SendingOutcome(away=f"has not answered after {seconds:.0f} s")
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError) as error:
            return SendingOutcome(away=f"cannot be reached: {str(error) or type(error).__name__}")

    def _count(self, locations: Sequence[Location], answer: SendingOutcome) -> None:
        counters = self.job.counters
        for location in locations:
            status = answer.statuses.get(self._uid(location), PROCESSING_FAILURE)
            counters.count(location, status)
            if status and not is_warning(status) and not self.words:
                self.words = answer.refused or f"{status:04X}H"

    def _unsent(self, location: Location, error: GantryError) -> None:
        """The object was not sent, through no fault of the server."""
        self.words = self.words or str(error)
        _note(self.job.counters, location, error)
        logger.warning("object not sent", error=str(error), object_key=location.object_key)

    def _uid(self, location: Location) -> str:
        return _uid_of(self.job.through, location)


def _uid_of(through: Deidentifies | None, location: Location) -> str:
    return location.sop_instance_uid if through is None else through.uid(location.sop_instance_uid)


def _note(counters: Counters, location: Location, error: GantryError) -> None:
    if isinstance(error, NotDeidentified):
        counters.withheld[location.sop_instance_uid] = str(error)
    if isinstance(error, DependencyUnavailable | Archived):
        # This is temporary: opening an object in an archive tier requests its restoration.
        counters.unable = counters.unable or str(error)
    counters.count(location, error.dicom_status or UNABLE_TO_PERFORM_SUB_OPERATIONS)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises `ValueError` where it is longer than any answer."""
    content = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        content += piece
        if len(content) > _LONGEST_ANSWER:
            raise ValueError("its answer is too long")
    return bytes(content)


def _credentials(settings: WebDestinationSettings) -> tuple[dict[str, str], ssl.SSLContext | bool]:
    """Headers, and how the server is trusted. Raises `PeerError`, which contains no token."""
    headers: dict[str, str] = {}
    try:
        if settings.token_file is not None:
            token = settings.token_file.read_bytes().strip()
            # RFC 6750 2.1: visible characters.
            if not token or any(not 0x21 <= sign <= 0x7E for sign in token):
                raise PeerError(f"{settings.token_file} holds no bearer token")
            headers["Authorization"] = f"Bearer {token.decode('ascii')}"
        if settings.plain and settings.url.startswith("http:"):
            return headers, True
        context = trusting(settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        return headers, context
    except (OSError, ConfigError) as error:
        raise PeerError(f"its files cannot be used: {error}") from None
