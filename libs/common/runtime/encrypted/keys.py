"""The data keys of a store: made, wrapped beside the objects, and opened again.

All processes write with the newest data key; one that finds it older than a day makes the next one. A process has each
key unwrapped by the key service once an hour: a key that was withdrawn there is dropped within that time, and if the
service is merely unavailable, known keys work for a day.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.encryption.data_keys import (
    LONGEST,
    ROOT,
    WrappedKey,
    made_us,
    new_id,
    place_of,
    read_place,
    read_wrapped,
)
from gantry.common.errors import Corrupt, DependencyUnavailable, KeyWithheld, NotFound
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.keys import KeyService

_DAY_US, _DAY_SECONDS = 24 * 3600 * 1_000_000, 24 * 3600.0
_KNOWN_SECONDS = 3600.0
_RETRY_SECONDS = 60.0
_MOST_KNOWN = 4096
_ATTEMPTS = 3


@dataclass(slots=True)
class _Known:
    plain: bytes
    opened: float
    """When the service unwrapped it, in seconds of `Clock.monotonic`."""
    ask: float
    """When the service is asked again."""


class DataKeys:
    """The data keys of one store. `inner` is the store that holds them, wrapped."""

    def __init__(self, inner: BlobStore, service: KeyService, clock: Clock) -> None:
        self._inner = inner
        self._service = service
        self._clock = clock
        self._newest: bytes | None = None
        self._making = asyncio.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._opening: dict[bytes, asyncio.Lock] = {}

    async def newest(self) -> tuple[bytes, bytes]:
        """Id and data key to encrypt with now; the wrapped key is in the store already. Raises
        `DependencyUnavailable`."""
        newest = self._newest
        if newest is not None and not self._is_old(newest):
            try:
                return newest, await self.get(newest)
            except KeyWithheld:
                pass  # reads with it wait for it; writes need not
        async with self._making:
            key = self._newest
            if key is None or key == newest:  # no other process has made one meanwhile
                key = self._newest = await self._existing_key() or await self._make_key()
        return key, await self.get(key)

    async def get(self, key_id: bytes) -> bytes:
        """A data key by its id. Raises `DependencyUnavailable`, `Corrupt`."""
        known = self._known.get(key_id)
        if known is not None and self._clock.monotonic() < known.ask:
            return known.plain
        lock = self._opening.setdefault(key_id, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(key_id)
                if known is None or self._clock.monotonic() >= known.ask:
                    known = await self._opened(key_id, known)
                return known.plain
        finally:
            if not lock.locked():
                self._opening.pop(key_id, None)

    async def pages(self) -> AsyncIterator[WrappedKey]:
        """The latest generation of every data key, as stored."""
        latest: WrappedKey | None = None
        async for place in self._places():
            wrapped = read_wrapped(place, await read_whole(self._inner, place))
            if latest is not None and latest.id != wrapped.id:
                yield latest
                latest = None
            if latest is None or latest.generation < wrapped.generation:
                latest = wrapped
        if latest is not None:
            yield latest

    async def current(self) -> str:
        """The name of the service's current wrapping key. Raises `DependencyUnavailable`."""
        return await self._service.current()

    async def wrap_anew(self, key: WrappedKey) -> WrappedKey:
        """Wrap a data key by the current key of the service, and remove its earlier generations. One that can be
        unwrapped exists at any moment. Raises `DependencyUnavailable`, `Corrupt`."""
        wrapped, name = await self._service.wrap_anew(key.wrapped, key.wrapping_key, _purpose(key.id))
        anew = WrappedKey(key.id, key.generation + 1, name, wrapped)
        await self._inner.put(anew.place, [anew.encoded()])
        await self.remove_replaced(anew)
        return anew

    async def remove_replaced(self, key: WrappedKey) -> int:
        """Remove the generations before this one. Returns how many there were."""
        removed = 0
        async for place in self._places(key.id):
            named = read_place(place)
            if named is not None and named[1] < key.generation:
                await self._inner.delete(place)
                removed += 1
        return removed

    async def close(self) -> None:
        """Drop the keys, and close the key service."""
        self._known.clear()
        await self._service.close()

    def _is_old(self, key_id: bytes) -> bool:
        return self._clock.now_us() >= made_us(key_id) + _DAY_US

    async def _existing_key(self) -> bytes | None:
        """The newest existing key, if it is new enough."""
        youngest: bytes | None = None
        async for place in self._places():
            youngest = (read_place(place) or (b"",))[0]
        if not youngest or self._is_old(youngest):
            return None
        try:
            await self.get(youngest)
        except (DependencyUnavailable, Corrupt):
            return None  # while the service is unavailable, no new key can be made either
        return youngest

    async def _make_key(self) -> bytes:
        key_id = new_id(self._clock.now_us())
        new = await self._service.new(_purpose(key_id))
        wrapped = WrappedKey(key_id, 0, new.wrapping_key, new.wrapped)
        # It must be durable before the first object that needs it.
        await self._inner.put(wrapped.place, [wrapped.encoded()])
        self._remember(key_id, new.plain)
        return key_id

    async def _opened(self, key_id: bytes, before: _Known | None) -> _Known:
        try:
            wrapped = await self._wrapped(key_id)
            plain = await self._service.open(wrapped.wrapped, wrapped.wrapping_key, _purpose(key_id))
        except KeyWithheld:
            self._known.pop(key_id, None)
            raise
        except DependencyUnavailable:
            now = self._clock.monotonic()
            if before is None or now > before.opened + _DAY_SECONDS:
                raise
            before.ask = now + _RETRY_SECONDS
            return before
        return self._remember(key_id, plain)

    async def _wrapped(self, key_id: bytes) -> WrappedKey:
        for _ in range(_ATTEMPTS):
            generations = [named[1] async for place in self._places(key_id) if (named := read_place(place))]
            if not generations:
                break
            place = place_of(key_id, max(generations))
            try:
                return read_wrapped(place, await read_whole(self._inner, place))
            except NotFound:
                continue  # it was rewrapped meanwhile
        # Never `NotFound` or `Corrupt`: the objects must not count as lost while the key may be restored.
        raise KeyWithheld(f"{ROOT}{key_id.hex()} is not in the object store")

    async def _places(self, key_id: bytes | None = None) -> AsyncIterator[str]:
        prefix = ROOT if key_id is None else f"{ROOT}{key_id.hex()}."
        async for stat in self._inner.list(prefix):
            if read_place(stat.key) is not None and stat.size <= LONGEST:
                yield stat.key

    def _remember(self, key_id: bytes, plain: bytes) -> _Known:
        now = self._clock.monotonic()
        known = _Known(plain, now, now + _KNOWN_SECONDS)
        self._known[key_id] = known
        self._known.move_to_end(key_id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known


def _purpose(key_id: bytes) -> str:
    return f"data key {key_id.hex()}"
