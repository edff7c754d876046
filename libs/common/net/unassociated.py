"""The limits on connections without an association."""

from __future__ import annotations

import asyncio
from typing import Protocol

_TIME_TO_ASK = 1.0


class GivesWay(Protocol):
    """A connection without an association."""

    def give_way(self) -> None:
        """Close: there are too many connections."""


class Unassociated:
    """Connections without an association; each holds only a descriptor. Silent connections must not shut others out, so
    the oldest is closed: that of an address with too many, if it had a second to request an association; else that of
    the address with the most."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._by_address: dict[str, dict[GivesWay, float]] = {}
        self._total = 0

    def enter(self, connection: GivesWay, address: str) -> None:
        """A connection was accepted."""
        now = asyncio.get_running_loop().time()
        theirs = self._by_address.setdefault(address, {})
        theirs[connection] = now
        self._total += 1
        if self._total > self._most:
            self._end_oldest(max(self._by_address, key=lambda known: len(self._by_address[known])))
        elif len(theirs) > self._most_of_one and now - next(iter(theirs.values())) > _TIME_TO_ASK:
            self._end_oldest(address)  # a burst of senders gets time to request associations

    def _end_oldest(self, address: str) -> None:
        oldest = next(iter(self._by_address[address]))
        self.leave(oldest, address)  # forget it now: closing it may take a while
        oldest.give_way()

    def leave(self, connection: GivesWay, address: str) -> None:
        """The connection has an association now, or has ended. May be called again."""
        theirs = self._by_address.get(address, {})
        if theirs.pop(connection, None) is not None:
            self._total -= 1
            if not theirs:
                del self._by_address[address]


class TlsHandshake:
    """A connection whose TLS handshake is in progress."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def give_way(self) -> None:
        self._task.cancel()
