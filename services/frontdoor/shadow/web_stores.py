"""STOW-RS in shadow mode: a request that stores is repeated at the other archive after Gantry has answered it.

The body waits in memory, or in the spool, until there is an answer: a request that Gantry forbids must not be repeated
at the other archive with the door's own token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import aiohttp
from yarl import URL

from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.errors import HttpProblem
from gantry.services.frontdoor.shadow.overhearing import SPOOL_FULL, TOO_LONG, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.catching_up import MOST_TRIES, Away
from gantry.services.frontdoor.shadow.spooling.heads import About, Head
from gantry.services.frontdoor.shadow.spooling.spool import HALF_WRITTEN, Line, ShadowSpool, SpoolEntry
from gantry.services.frontdoor.shadow.stow_answers import (
    ANSWERED,
    AWAY,
    BUSY,
    STOW,
    StowAnswer,
    compare_stow,
    read_stow,
)
from gantry.services.frontdoor.shadow.web import CALLING, TooLong, WebShadow, unnoticed
from gantry.services.frontdoor.shadow.web_answers import WebAnswer

logger = get_logger("shadow")
_PIECE = 1 << 18
_MOST_ANSWER = 1 << 20
"""Bytes of an answer that are held even without room, if the body is in the spool."""
_COPIED = ("Content-Type", "Content-Encoding")


@dataclass(frozen=True, slots=True)
class StowHead:
    """The head of a request: its path below the base, its headers, and Gantry's answer."""

    target: str
    headers: Mapping[str, str]
    answer: StowAnswer
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form for the spool."""
        return {**asdict(self), "answer": self.answer.to_json()}

    @staticmethod
    def of(head: Head) -> StowHead:
        """Raises `ValueError`."""
        target, headers, seconds = head.get("target"), head.get("headers"), head.get("seconds")
        if not isinstance(target, str) or not target.startswith("/") or not isinstance(seconds, int | float):
            raise ValueError("a head without a target")
        if not isinstance(headers, dict) or any(name not in _COPIED for name in headers):
            raise ValueError("a head without headers")
        fields = {name: str(value) for name, value in headers.items()}
        return StowHead(target, fields, StowAnswer.of(head.get("answer")), float(seconds))


class _Body(Protocol):
    """A readable body."""

    async def readinto(self, buffers: list[memoryview]) -> int:
        """Fill the buffers. Returns the number of bytes, 0 at the end."""


class WebStore:
    """The mirror of one request. Its methods never raise and never wait, so that the caller is not affected."""

    def __init__(
        self, stores: WebStores, target: str, headers: Mapping[str, str], room: Room, begun: float, *, put_off: bool
    ) -> None:
        """`put_off`: nothing is held in memory, the body goes to the spool."""
        self._stores = stores
        self.target = target
        self.headers = {name: headers[name] for name in _COPIED if name in headers}
        self.room = room
        self.begun = begun
        self._put_off = put_off
        self.body = bytearray()
        self.line: Line | None = None
        self.entry: SpoolEntry | None = None
        self._why = ""
        self._is_whole = self._has_ended = False
        self._head: tuple[int, str, bool] | None = None
        self._answer = bytearray()
        self._answer_held = 0

    def observe_request_bytes(self, data: bytes) -> None:
        """The next bytes of the request's body."""
        with unnoticed():
            self._hold_request_bytes(data)

    def end_request(self) -> None:
        """The request's body is complete."""
        self._is_whole = True

    def _hold_request_bytes(self, data: bytes) -> None:
        if self._why or self._has_ended:
            return
        if self.entry is None and not self._put_off and self.room.has(len(data), self.room.most // 2):
            self.room.take(len(data))
            self.body += data
        elif self.entry is not None or self.spill():
            assert self.entry is not None
            if not self.entry.write(data):
                self._why = self.entry.why
        else:
            self._why = self._stores.why_not
            self.give_back()

    def spill(self) -> bool:
        """Move the held bytes to the spool; False if that is not possible."""
        self.line, self.entry = self._stores.begin()
        if self.entry is None:
            return False
        held, self.body = self.body, bytearray()
        return not held or self.entry.write(held, self.room)

    def give_back(self) -> None:
        """Release the room of the body."""
        self.room.give(len(self.body))
        self.body = bytearray()

    def began(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of Gantry's answer."""
        with unnoticed():
            is_gzip = headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
            self._head = status, headers.get("Content-Type", ""), is_gzip

    def observe_response_bytes(self, data: bytes) -> None:
        """The next bytes of its body."""
        with unnoticed():
            if self._why:
                return
            # A body that is in the spool is not given up because its short answer has no room.
            if self.entry is not None and len(self._answer) + len(data) <= _MOST_ANSWER:
                self._answer += data
            elif self.room.take(len(data)):
                self._answer += data
                self._answer_held += len(data)
            else:
                self._why = TOO_LONG

    def ended(self, *, whole: bool) -> None:
        """The answer has ended; `whole` is False if it was broken off. Only the first call counts."""
        if not self._has_ended:
            self._has_ended = True
            with unnoticed():
                self._ended(whole and self._is_whole)

    def _ended(self, whole: bool) -> None:
        why = self._why or ("" if whole and self._head is not None else "unanswered")
        if why or self._head is None:
            self._stores.gave_up(self, why)
            return
        seconds = self._stores.monotonic() - self.begun
        status, kind, is_gzip = self._head
        if status not in ANSWERED:
            self._stores.passed_over(self)
            return
        try:
            answer = read_stow(WebAnswer(status, kind, bytes(self._answer), is_gzip))
        except (NotUnderstood, HttpProblem):
            self._stores.gave_up(self, "unreadable")
            return
        self.room.give(self._answer_held)
        self._answer, self._answer_held = bytearray(), 0
        self._stores.take(self, StowHead(self.target, self.headers, answer, seconds))


class WebStores:
    """Stores in the other archive; also a `LineSender` of the spool."""

    def __init__(
        self, web: WebShadow, settings: ShadowSettings, room: Room, recorder: Recorder, spool: ShadowSpool | None
    ):
        self._web = web
        self._settings = settings
        self._room = room
        self._recorder = recorder
        self._spool = spool
        self._owed = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def mirror(self, target: str, headers: Mapping[str, str], begun: float) -> WebStore | None:
        """The mirror of a new request; None if it is not mirrored. `target` is its path below the base. Never
        raises."""
        with unnoticed():
            return self._mirror(target, headers, begun)
        return None

    def _mirror(self, target: str, headers: Mapping[str, str], begun: float) -> WebStore | None:
        if "store" not in self._settings.asks:
            self._recorder.not_mirrored(STOW)
            return None
        self._owed += self._settings.share
        if self._owed < 1.0:
            return None
        self._owed -= 1.0
        busy = len(self._tasks) >= self._settings.associations
        if busy and (self._spool is None or not self._spool.is_open):
            self._recorder.given_up("busy", CALLING)
            return None
        if busy:
            self._recorder.put_off("busy", CALLING)
        room = Room(self._settings.memory << 20, self._room)
        return WebStore(self, target, headers, room, begun, put_off=busy)

    async def close(self) -> None:
        """End what is in progress; with a spool it goes there."""
        await end_tasks(*self._tasks)

    def monotonic(self) -> float:
        """Seconds of a monotonic clock."""
        return self._web.clock.monotonic()

    @property
    def why_not(self) -> str:
        """The reason if a body has room neither in memory nor in a spool."""
        return TOO_LONG if self._spool is None or not self._spool.is_open else SPOOL_FULL

    def begin(self) -> tuple[Line | None, SpoolEntry | None]:
        """Begin an object in the spool; (None, None) without a spool."""
        if self._spool is None or not self._spool.is_open:
            return None, None
        line = self._spool.line(About("http", "other"))
        return line, line.begin(0)

    def gave_up(self, store: WebStore, why: str) -> None:
        """Record that a request is neither sent nor compared."""
        self._drop(store, why)
        if store.entry is None or not store.entry.is_told:
            self._recorder.given_up(why, CALLING, STOW)

    def passed_over(self, store: WebStore) -> None:
        """Gantry refused the request, for this caller or for now, so it is not sent to the other archive."""
        self._drop(store, "not_mirrored")
        self._recorder.not_mirrored(STOW)

    def take(self, store: WebStore, head: StowHead) -> None:
        """Send a request, in a task now, or later from the spool."""
        if store.entry is not None and store.line is not None:
            store.entry.finish(head.to_json())
            store.line.end()
            store.room.close()
            return
        task = asyncio.get_running_loop().create_task(self._send_now(store, head))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop(self, store: WebStore, why: str) -> None:
        if store.entry is not None and store.line is not None:
            store.entry.drop(why)
            store.line.end()
        store.room.close()

    # ---- sending

    async def _send_now(self, store: WebStore, head: StowHead) -> None:
        why, words = "", STOW
        try:
            body = _Held(store.body)
            await self._sent(head, body, len(store.body), store.room)
        except asyncio.CancelledError:
            self._later(store, head, "shutdown", words)
            raise
        except Away as away:
            why, words = away.reason, str(away)
        except (NotUnderstood, GantryError, HttpProblem) as error:
            self._recorder.given_up("unreadable", CALLING, str(error))
        except Exception as error:
            logger.error("shadow failed", error=error)
            self._recorder.given_up("fault", CALLING)
        finally:
            if why:
                self._later(store, head, why, words)
            store.room.close()

    def _later(self, store: WebStore, head: StowHead, why: str, words: str) -> None:
        if store.spill() and store.entry is not None and store.line is not None:
            store.entry.finish(head.to_json())
            store.line.end()
            self._recorder.put_off(why, CALLING, words)
        else:
            self._drop(store, why)
            self._recorder.given_up(why, CALLING, words)

    async def send(self, line: Line) -> None:
        """Send a request of the spool. Raises `Away` if it is to be tried again later."""
        entry = line.head()
        if entry is None or self._spool is None:
            return
        try:
            head = StowHead.of(await self._spool.head_of(entry) or {})
            opened = await self._spool.opened(entry)
            if opened is None:
                raise ValueError("a file that cannot be read")
        except ValueError as error:
            entry.drop(HALF_WRITTEN)
            self._recorder.given_up(HALF_WRITTEN, CALLING, str(error))
            return
        source, length = opened
        room = Room(self._settings.memory << 20, self._room)
        try:
            await self._sent(head, source, length, room)
            entry.drop("sent")
        except Away as away:
            entry.tries += not away.everywhere
            if entry.tries >= MOST_TRIES:
                entry.drop(away.reason)
                self._recorder.given_up(away.reason, CALLING, str(away))
            raise
        except (NotUnderstood, GantryError, HttpProblem) as error:
            entry.drop("unreadable")  # it was accepted, but the result is unknown
            self._recorder.given_up("unreadable", CALLING, str(error))
        finally:
            room.close()
            await source.close()

    async def _sent(self, head: StowHead, body: _Body, length: int, room: Room) -> None:
        """Send, and compare. Raises `Away`, and the errors of an answer that cannot be read."""
        url = URL(self._settings.url_of(head.target), encoded=True)
        fields = {"Accept": "application/dicom+json", "Content-Length": str(length), **head.headers}
        try:
            fields |= await asyncio.to_thread(self._web.authorization)
        except NotUnderstood as error:
            raise Away(str(error), everywhere=True, reason="unreadable") from error
        seconds = self._settings.timeout
        loop = asyncio.get_running_loop()
        started = self.monotonic()
        try:
            async with asyncio.timeout(seconds) as limit:

                async def pieces() -> AsyncIterator[bytes]:
                    buffer = bytearray(_PIECE)
                    while count := await body.readinto([memoryview(buffer)]):
                        yield bytes(buffer[:count])
                        limit.reschedule(loop.time() + seconds)

                request = self._web.session().post(url, headers=fields, data=pieces(), allow_redirects=False)
                async with request as response:
                    answer = await self._web.whole(response, room)
        except TimeoutError:
            raise Away("no answer in time", everywhere=False, reason="timeout") from None
        except aiohttp.ClientConnectorError as error:
            self._recorder.reached(False)
            raise Away(str(error.os_error or error), everywhere=True, reason="unreachable") from error
        except aiohttp.ClientError as error:
            raise Away(type(error).__name__, everywhere=False, reason="aborted") from error
        except TooLong:
            raise NotUnderstood("an answer that is too long") from None
        self._recorder.reached(True)
        if answer.status in AWAY:
            # The status comes from the server or its gateway. BUSY concerns all that waits, and counts as no try.
            raise Away(f"status {answer.status}", everywhere=answer.status in BUSY, reason="rejected")
        took = {"gantry": head.seconds, "other": self.monotonic() - started}
        self._recorder.compared(STOW, CALLING, compare_stow(head.answer, read_stow(answer)), took)


class _Held:
    """A body in memory."""

    def __init__(self, data: bytearray) -> None:
        self._left = memoryview(data)

    async def readinto(self, buffers: list[memoryview]) -> int:
        piece = self._left[: len(buffers[0])]
        buffers[0][: len(piece)] = piece
        self._left = self._left[len(piece) :]
        return len(piece)
