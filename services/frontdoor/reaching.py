"""Connects to the best reachable process behind the door, and sends it the PROXY header of the peer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.net.proxy import Origin
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.backends import Backend
from gantry.services.frontdoor.behind import Behind
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.wire import RawConnection, connected

logger = get_logger("door")


class Reacher:
    """`timeout` is for one process, `deadline` for all tries together; both in seconds."""

    def __init__(self, timeout: float, deadline: float, clock: Clock, metrics: Metrics) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._clock = clock
        self._metrics = metrics

    async def reach(
        self, whose: Behind, sets: Sequence[Iterable[Pool]], origin: Origin
    ) -> tuple[Backend, RawConnection] | None:
        """The first reachable process of the sets of pools, after the PROXY header was sent; None if there is none, or
        after the deadline. The connection counts as open for this backend; the caller must end that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline):
                for pools in sets:
                    for backend in whose.backends.candidates(pools, self._clock.monotonic()):
                        wire = await self._try(whose, backend, origin)
                        if wire is not None:
                            return backend, wire
        return None

    async def _try(self, whose: Behind, backend: Backend, origin: Origin) -> RawConnection | None:
        # Count it before connecting, so that many simultaneous associations do not all go to one backend.
        backend.open += 1
        backend.last_chosen = self._clock.monotonic()
        wire: RawConnection | None = None
        try:
            wire = RawConnection(await connected(backend.address, self._timeout))
            await wire.send_all(whose.opening_of(origin, backend))
            whose.backends.connected(backend)
            return wire
        except (OSError, TimeoutError) as error:
            backend.open -= 1
            if wire is not None:
                wire.close()
            whose.backends.failed(backend, self._clock.monotonic())
            self._metrics.door_connect_failures.labels(backend.pool, whose.partition).inc()
            logger.warning("backend not reached", **whose.told, pool=backend.pool, backend=backend.name, error=error)
            return None
        except BaseException:
            backend.open -= 1
            if wire is not None:
                wire.close()
            raise
