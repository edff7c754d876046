"""Objects opened before their turn, within a budget of memory, so that a store's latency is paid once, not per object.

A store starts reading an object as soon as it is opened (`gantry.common.ports.blobs`), so opening it is reading ahead.
The peer's pace limits the reading: opened objects are sent in their turn, and only then is there budget for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gantry.common.net import Source
from gantry.common.ports.blobs import OPEN_AHEAD
from gantry.common.ports.index import Location
from gantry.common.ul import AcceptedContext
from gantry.services.retrieve.budget import Budget, Unavailable

Opened = tuple[Source, int]
"""A source and its length in bytes."""

Opener = Callable[[Location, AcceptedContext, bool], Awaitable[Opened]]
"""(location, context, ahead): opens an object, ahead of its turn or in it."""

_LEAST = 1 << 20
_LEAST_OF_LONG = 4 << 20


def cost(location: Location, context: AcceptedContext, budget: Budget, *, converts: bool = False) -> int:
    """Bytes that an object counts as in the budget: its length, with a minimum, since it also holds a file or a
    request; the minimum is higher for a long object, which occupies its connection to the store until it is read. The
    length of a converted object is unknown, and all associations share the worker processes: at most two at once.
    `converts`: every object is treated as a converted one."""
    if converts or context.transfer_syntax != location.transfer_syntax_uid:
        return budget.limit // 2
    length = location.data_set_length
    return max(length, _LEAST if length <= OPEN_AHEAD else _LEAST_OF_LONG)


class ReadAhead:
    """The objects that one association has opened ahead, by their place in the order."""

    def __init__(self, opener: Opener, budget: Budget, *, converts: bool = False) -> None:
        """`converts`: every object is converted when it is opened."""
        self._converts = converts
        self._opener = opener
        self._budget = budget
        self._opening: dict[int, tuple[asyncio.Future[Opened], int]] = {}

    def begin(self, place: int, location: Location, context: AcceptedContext) -> bool:
        """Begin to open an object; False if the budget has no room for it."""
        count = cost(location, context, self._budget, converts=self._converts)
        if not self._budget.take(count):
            return False
        self._opening[place] = asyncio.ensure_future(self._opener(location, context, True)), count
        return True

    async def take(self, place: int, location: Location, context: AcceptedContext) -> Opened:
        """The object whose turn it is, opened now if it was not opened ahead. Passes on the error of opening it."""
        if place not in self._opening:
            return await self._opener(location, context, False)
        opening, count = self._opening.pop(place)
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._abandon(opening, count)
            raise
        except Unavailable:
            # There was no room for it ahead of its turn; now its turn has come.
            self._budget.give_back(count)
            return await self._opener(location, context, False)
        except BaseException:
            self._budget.give_back(count)
            raise
        self._budget.give_back(count)
        return opened

    def close(self) -> None:
        """Close the objects that were opened and not taken, without waiting for a store that does not answer."""
        while self._opening:
            self._abandon(*self._opening.popitem()[1])

    def _abandon(self, opening: asyncio.Future[Opened], count: int) -> None:
        """Abandon an opening: it counts in the budget until it is complete and can be closed. Its error is ignored."""

        def end(done: asyncio.Future[Opened]) -> None:
            self._budget.give_back(count)
            if not done.cancelled() and done.exception() is None:
                task = asyncio.get_running_loop().create_task(_close(done.result()[0]))
                _closing.add(task)
                task.add_done_callback(_closing.discard)

        opening.add_done_callback(end)


_closing: set[asyncio.Task[None]] = set()


async def _close(source: Source) -> None:
    await source.close()
