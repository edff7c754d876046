"""DICOMweb in shadow mode: a request that reads is repeated at the other archive after the caller has the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import aiohttp
from yarl import URL

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.routes import BASE, Match
from gantry.services.frontdoor.shadow.again import in_turns
from gantry.services.frontdoor.shadow.comparing import AnswerDifference
from gantry.services.frontdoor.shadow.looks import MOST_LOOKS, gather_both
from gantry.services.frontdoor.shadow.overhearing import TOO_LONG, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.web_answers import SEARCH, WebAnswer, compare_web, operation_of

logger = get_logger("shadow")
Again = Callable[[], Awaitable[aiohttp.ClientResponse]]
"""Repeats the request at Gantry."""
CALLING = "HTTP"
_CHUNK = 1 << 18


class WebMirror:
    """The mirror of one request. Its methods never raise and never wait, so that the caller is not affected."""

    def __init__(
        self, shadow: WebShadow, operation: str, target: str, accept: str, again: Again, room: Room, begun: float
    ) -> None:
        self._shadow = shadow
        self.operation, self.target, self.accept, self.again = operation, target, accept, again
        self.room = room
        self.begun = begun
        self.seconds = 0.0
        self.answer: WebAnswer | None = None
        self._head: tuple[int, str, bool] | None = None
        self._body = bytearray()
        self._why = ""

    def began(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of Gantry's answer."""
        with unnoticed():
            self._began(status, headers)

    def _began(self, status: int, headers: Mapping[str, str]) -> None:
        is_gzip = headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
        self._head = status, headers.get("Content-Type", ""), is_gzip

    def observe_response_bytes(self, data: bytes) -> None:
        """The next bytes of its body."""
        with unnoticed():
            self._hold_response_bytes(data)

    def _hold_response_bytes(self, data: bytes) -> None:
        if self._why:
            return
        if self.room.take(len(data)):
            self._body += data
        else:
            self._why = TOO_LONG
            self._body = bytearray()
            self.room.give(self.room.used)

    def ended(self, *, whole: bool) -> None:
        """The answer has ended; `whole` is False if Gantry or the caller broke it off."""
        with unnoticed():
            self._ended(whole)

    def _ended(self, whole: bool) -> None:
        self.seconds = self._shadow.clock.monotonic() - self.begun
        if self._why or not whole or self._head is None:
            self.room.close()
            self._shadow.gave_up(self, self._why or "unanswered")
            return
        status, kind, is_gzip = self._head
        self.answer = WebAnswer(status, kind, bytes(self._body), is_gzip)
        self._body = bytearray()
        self._shadow.ask(self)


class WebShadow:
    """The other archive's DICOMweb."""

    def __init__(
        self,
        settings: ShadowSettings,
        may_differ: frozenset[str],
        room: Room,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._may_differ = may_differ
        self._room = room
        self._recorder = recorder
        self.clock = clock
        self._owed = 0.0
        self._asking = 0
        """Requests that wait for the first answer or its comparison, not those that wait for a second look."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def mirror(
        self, method: str, match: Match, target: str, headers: Mapping[str, str], again: Again, begun: float
    ) -> WebMirror | None:
        """The mirror of a request whose answer begins; None if it is not mirrored. `target` is its path with its query,
        `begun` when it arrived. Never raises."""
        with unnoticed():
            return self._mirror(method, match, target, headers, again, begun)
        return None

    def _mirror(
        self, method: str, match: Match, target: str, headers: Mapping[str, str], again: Again, begun: float
    ) -> WebMirror | None:
        operation = ""
        if method == "GET" and target.startswith(f"{BASE}/"):
            operation = operation_of(match.resource.name, count=match.count, headers=headers)
        if not operation:
            self._recorder.not_mirrored("HTTP")
            return None
        self._owed += self._settings.share
        if self._owed < 1.0:
            return None
        self._owed -= 1.0
        if self._asking >= self._settings.associations:
            self._recorder.given_up("busy", CALLING)
            return None
        room = Room(self._settings.memory << 20, self._room)
        return WebMirror(self, operation, target.removeprefix(BASE), headers.get("Accept", ""), again, room, begun)

    def gave_up(self, mirror: WebMirror, why: str) -> None:
        """Record that a request is not compared."""
        self._recorder.given_up(why, CALLING, mirror.operation)

    def ask(self, mirror: WebMirror) -> None:
        """Repeat the request at the other archive, and compare, in a task."""
        self._asking += 1
        task = asyncio.get_running_loop().create_task(self._compare(mirror))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is in progress."""
        await end_tasks(*self._tasks)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _compare(self, mirror: WebMirror) -> None:
        why, words = "", mirror.operation
        try:
            try:
                differences, seconds, status = await self._first_look(mirror)
            finally:
                self._asking -= 1
            if differences and self._may_look_again(mirror, status):
                differences = await self._second_look(mirror)
            self._recorder.compared(mirror.operation, CALLING, differences, seconds)
        except asyncio.CancelledError:
            why = "shutdown"
            raise
        except TimeoutError:
            why = "timeout"
        except aiohttp.ClientConnectorError as error:
            why, words = "unreachable", str(error.os_error or error)
            self._recorder.reached(False)
        except aiohttp.ClientError as error:
            why, words = "aborted", type(error).__name__
        except TooLong:
            why = TOO_LONG
        except (NotUnderstood, GantryError) as error:
            why, words = "unreadable", str(error)
        except Exception as error:
            logger.error("shadow failed", error=error)
            why = "fault"
        finally:
            mirror.room.close()
            if why:
                self._recorder.given_up(why, CALLING, words)

    async def _first_look(self, mirror: WebMirror) -> tuple[list[AnswerDifference], dict[str, float], int]:
        """The differences, the times of both, and the other archive's status."""
        assert mirror.answer is not None
        begun = self.clock.monotonic()
        other = await self._ask_other(mirror)
        self._recorder.reached(True)
        seconds = {"gantry": mirror.seconds, "other": self.clock.monotonic() - begun}
        differences = await self._differences(mirror, mirror.answer, other)
        mirror.answer = None
        mirror.room.give(mirror.room.used)
        return differences, seconds, other.status

    def _may_look_again(self, mirror: WebMirror, status: int) -> bool:
        late = mirror.operation == SEARCH or status == 404
        return late and self._settings.again_after > 0 and len(self._tasks) - self._asking <= MOST_LOOKS

    async def _differences(self, mirror: WebMirror, gantry: WebAnswer, other: WebAnswer) -> list[AnswerDifference]:
        return await in_turns(compare_web(mirror.operation, mirror.target, gantry, other, self._may_differ))

    async def _second_look(self, mirror: WebMirror) -> list[AnswerDifference]:
        """Repeat the request at both archives at the same time, after a delay. Raises like the first look."""
        await self.clock.sleep(self._settings.again_after)
        gantry, other = await gather_both(self._gantry(mirror), self._ask_other(mirror))
        return await self._differences(mirror, gantry, other)

    async def _gantry(self, mirror: WebMirror) -> WebAnswer:
        async with asyncio.timeout(self._settings.timeout), await mirror.again() as response:
            return await self.whole(response, mirror.room)

    async def _ask_other(self, mirror: WebMirror) -> WebAnswer:
        url = URL(self._settings.url_of(mirror.target), encoded=True)
        headers = {"Accept": mirror.accept or "*/*", **await asyncio.to_thread(self.authorization)}
        async with (
            asyncio.timeout(self._settings.timeout),
            self.session().get(url, headers=headers, allow_redirects=False) as response,
        ):
            return await self.whole(response, mirror.room)

    def authorization(self) -> dict[str, str]:
        """The header of the door's own token. Reads a file. Raises `NotUnderstood`."""
        file = self._settings.token_file
        try:
            return {} if file is None else {"Authorization": f"Bearer {file.read_text().strip()}"}
        except OSError as error:
            raise NotUnderstood(f"door.shadow.token_file cannot be read: {error.strerror}") from error

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session with the other archive."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout)
            # No cookies, and no proxies from the environment: requests go only to this server.
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, timeout=timeout
            )
        return self._session

    async def whole(self, response: aiohttp.ClientResponse, room: Room) -> WebAnswer:
        """Read a whole answer, while there is room. Raises `TooLong`."""
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            if not room.take(len(chunk)):
                raise TooLong
            body += chunk
        is_gzip = response.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
        return WebAnswer(response.status, response.headers.get("Content-Type", ""), bytes(body), is_gzip)


@contextmanager
def unnoticed() -> Iterator[None]:
    """Logs all errors of the block, so that they do not affect the caller's answer."""
    try:
        yield
    except Exception as error:
        logger.error("shadow failed", error=error)


class TooLong(Exception):
    """An answer for which there is no room."""
