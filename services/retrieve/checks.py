"""Checks of objects that are sent in part: the digest covers the whole object, so all of it is read, before or
meanwhile.

An object of up to `BEFORE` bytes is read whole before its first part is sent, and again after some minutes. A longer
one is read while its first parts are sent; once damage is found, nothing more of it is sent. Clients request hundreds
of frames of one object: it is read once for all of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from gantry.common.ports.index import Location

BEFORE = 64 << 20
GOOD_FOR = 600.0
"""Seconds for which an object that was found intact is trusted."""
_REMEMBERED = 10_000
_BESIDE = 2
"""Long objects that are read at the same time; parts of others are sent meanwhile, and those objects are checked
later."""


class IntegrityChecks:
    """Which objects were found intact, and when; and those that are being read."""

    def __init__(self, read_through: Callable[[Location], Awaitable[None]], before: int = BEFORE) -> None:
        """`read_through` reads an object whole and raises `Damaged`; `before` is in bytes."""
        self._read_through = read_through
        self._before = before
        self._well: OrderedDict[str, float] = OrderedDict()
        self._reading: dict[str, asyncio.Task[None]] = {}

    def is_known(self, location: Location) -> bool:
        """Whether the object was found intact in the last minutes."""
        read = self._well.get(location.object_key)
        return read is not None and asyncio.get_running_loop().time() - read < GOOD_FOR

    def note(self, location: Location) -> None:
        """The object was read whole, and is intact."""
        self._well.pop(location.object_key, None)
        self._well[location.object_key] = asyncio.get_running_loop().time()
        while len(self._well) > _REMEMBERED:
            self._well.popitem(last=False)

    async def require(self, location: Location, *, suspect: bool) -> None:
        """Return when a part may be sent. A `suspect` object is read first, however long it is. Raises `Damaged`."""
        if suspect:
            self._well.pop(location.object_key, None)
        if self.is_known(location):
            return
        wait = suspect or location.data_set_length <= self._before
        task = self._reading.get(location.object_key)
        if task is None:
            if not wait and len(self._reading) >= _BESIDE:
                return
            task = self._reading[location.object_key] = asyncio.ensure_future(self._read(location))
            task.add_done_callback(_retrieve_exception)
        if wait:
            await asyncio.shield(task)  # others wait for it, too

    async def _read(self, location: Location) -> None:
        try:
            await self._read_through(location)
            self.note(location)
        finally:
            del self._reading[location.object_key]


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Damage was reported where it was found; the waiting callers get the error."""
    if not task.cancelled():
        task.exception()
