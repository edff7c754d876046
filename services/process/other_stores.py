"""Regular checks of the object stores beside the one for new objects: those of `tiers.stores`, and the buckets and
folders of others in `storage.in_place`.

Readiness does not include them, since new objects must not wait for old images. Without these checks a radiologist
would be the first to notice that one is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.stores import Stores

LOOK_SECONDS = 30.0
_ANSWER_SECONDS = 20.0
logger = get_logger("stores")
Check = Callable[[], Awaitable[None]]


def other_stores(settings: Settings, stores: Stores) -> dict[str, Check]:
    """The check of each of them, by its name in the settings."""
    tiers = {} if stores.tiers is None else stores.tiers.stores
    checks: dict[str, Check] = {
        store.name: tiers[store.name].check for store in settings.tiers.stores if store.name in tiers
    }
    for store in settings.storage.in_place:
        checks[store.name] = _in_place(stores, store.name)
    return checks


def _in_place(stores: Stores, name: str) -> Check:
    async def check() -> None:
        await (await stores.in_place.foreign.get(name)).check()

    return check


class OtherStores:
    """Sets `gantry_store_reached` for each, and logs when one goes away and when it is back."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock, metrics: Metrics) -> None:
        self._checks = checks
        self._clock = clock
        self._metrics = metrics
        self._away = set[str]()

    async def run(self, every: float = LOOK_SECONDS) -> None:
        """Check all stores every `every` seconds, for ever."""
        while True:
            await asyncio.gather(*(self._look(name, check) for name, check in self._checks.items()))
            await self._clock.sleep(every)

    async def _look(self, name: str, check: Check) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await check()
        except (GantryError, TimeoutError) as error:
            reason = error if isinstance(error, GantryError) else DependencyUnavailable(name, "it does not answer")
            if name not in self._away:
                logger.warning("object store is away: its objects cannot be read", store=name, error=reason)
            self._away.add(name)
        else:
            if name in self._away:
                logger.info("object store is back", store=name)
            self._away.discard(name)
        self._metrics.store_reached.labels(name).set(name not in self._away)
