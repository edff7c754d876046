"""The responses to our own requests, each delivered to its waiting caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from gantry.common.dimse import Command, DataReceived, DimseError
from gantry.common.errors import PeerTimeout
from gantry.common.net.sinks import MemorySink

Answer = tuple[Command, bytes]
"""A response and its data set, empty if it has none."""


class Inbox:
    """The responses to one request that wait for their caller. It uses a bare future and a timer: `asyncio.wait_for`
    would create a task for the response to every object that is sent."""

    __slots__ = ("_arrived", "_lost", "_waiter")

    def __init__(self) -> None:
        self._arrived: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    def put(self, answer: Answer) -> None:
        """Add a response."""
        self._arrived.append(answer)
        self._wake()

    def lost(self) -> None:
        """The association has ended: no more responses will arrive."""
        self._lost = True
        self._wake()

    async def next(self, timeout: float) -> Answer | None:
        """The next response, in order; None if the association has ended. `PeerTimeout` after `timeout` seconds."""
        if not self._arrived and not self._lost:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(timeout, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._arrived:
            return self._arrived.popleft()
        if self._lost:
            return None
        raise PeerTimeout(f"no response within {timeout:g} s")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Responses:
    """All inboxes of one association."""

    def __init__(self) -> None:
        self._waiting: dict[int, Inbox] = {}
        self._with_data: tuple[Command, MemorySink] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def expected(self, message_id: int) -> Iterator[Inbox]:
        """The inbox for the responses to a request, until the end of the block."""
        inbox = self._waiting[message_id] = Inbox()
        try:
            yield inbox
        finally:
            self._waiting.pop(message_id, None)

    def take(self, command: Command) -> None:
        """A response command was received; its data set follows, if it has one."""
        if command.has_data_set:
            self._with_data = command, MemorySink()
            return
        self._answer(command, b"")

    def take_data(self, message: DataReceived) -> None:
        """A piece of the response's data set. Raises `DimseError` if no response preceded it."""
        if self._with_data is None:
            raise DimseError("a data set without its command", 5)
        command, sink = self._with_data
        sink.write(message.views)
        if message.is_end:
            self._with_data = None
            self._answer(command, bytes(sink.data))

    def lost(self) -> None:
        """The association has ended: wake every waiting caller."""
        for inbox in self._waiting.values():
            inbox.lost()

    def _answer(self, command: Command, data: bytes) -> None:
        inbox = self._waiting.get(command.responds_to)
        if inbox is not None:
            inbox.put((command, data))
