"""Requested objects in an archive tier of their store: the restoration of each is requested once, and its requester is
told to retry later.

    state/wanted/RECEIPT.json: its key, and when it was requested.

A wish is dropped when the store no longer keeps the object readable: then it is requested again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gantry.common.clock import Clock
from gantry.common.errors import Archived, DependencyUnavailable, NotFound
from gantry.common.ids import receipt_in_key
from gantry.common.ports.blobs import BlobReader, Part, read_whole
from gantry.common.runtime.tiered import TieredStore
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_ROOT = "state/wanted/"
_REMEMBERED = 100_000
logger = get_logger("tiers")


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """An object that was requested at a time (microseconds since the epoch); `readable`: it is restored."""

    key: str
    at: int
    readable: bool = False

    @property
    def since(self) -> str:
        """When it was requested, in words."""
        return f"since {datetime.fromtimestamp(self.at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"


class RestoreRequests:
    """The wishes of one archive."""

    def __init__(self, tiers: TieredStore, clock: Clock, metrics: Metrics, lasts_us: int) -> None:
        """Restored objects stay readable for `lasts_us` microseconds."""
        self._tiers = tiers
        self._clock = clock
        self._metrics = metrics
        self._lasts_us = lasts_us
        self._known: OrderedDict[str, int] = OrderedDict()

    async def ask(self, key: str) -> None:
        """Request an object, unless it was requested before. Never fails: after an error, the next caller requests it
        again."""
        now = self._clock.now_us()
        if now - self._known.get(key, -self._lasts_us) < self._lasts_us:
            return
        self._known[key] = now
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        try:
            await self._ask(key, now)
        except (DependencyUnavailable, NotFound) as error:
            self._known.pop(key, None)
            logger.warning("object could not be asked for", key=key, error=error)

    async def _ask(self, key: str, now: int) -> None:
        receipt = receipt_in_key(key)
        if receipt is None:
            return
        place = f"{_ROOT}{receipt.id}.json"
        wish = await self._wish(place)
        if wish is not None and now - wish.at < self._lasts_us:
            self._known[key] = wish.at
            return
        await self._tiers.bring_back(key)
        await self._tiers.put(place, [json.dumps({"key": key, "at": now}).encode()])
        self._metrics.objects_brought_back.inc()
        logger.info("object asked for from an archive", key=key)

    async def current(self) -> Sequence[RestoreRequest]:
        """The wishes, and whether each is readable; expired ones are removed. Raises `DependencyUnavailable`."""
        wishes = []
        for place in [stat.key async for stat in self._tiers.list(_ROOT)]:
            wish = await self._wish(place)
            if wish is None or self._clock.now_us() - wish.at >= self._lasts_us:
                await self._tiers.delete(place)
                continue
            wishes.append(RestoreRequest(wish.key, wish.at, await self._is_readable(wish.key)))
        return wishes

    async def _is_readable(self, key: str) -> bool:
        try:
            reader = await self._tiers.open(key, 0, 1)
        except (Archived, NotFound):
            return False
        await reader.close()
        return True

    async def _wish(self, place: str) -> RestoreRequest | None:
        try:
            body = json.loads(await read_whole(self._tiers, place))
            return RestoreRequest(str(body["key"]), int(body["at"]))
        except (NotFound, ValueError, KeyError, TypeError):
            return None


class RestoringStore(TieredStore):
    """The same stores, for callers whose reads request objects from archive tiers."""

    def __init__(self, tiers: TieredStore, wanted: RestoreRequests) -> None:
        super().__init__(tiers.hot, dict(list(tiers.stores.items())[1:]))
        self._wanted = wanted

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        try:
            return await super().open(key, offset, length)
        except Archived:
            await self._wanted.ask(key)
            raise

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        try:
            return await super().read(parts)
        except Archived:
            # The other objects of the read, too: one after the other would take a day each.
            for key in dict.fromkeys(part.key for part in parts):
                try:
                    await (await super().open(key, 0, 1)).close()
                except Archived:
                    await self._wanted.ask(key)
                except NotFound:
                    continue
            raise
