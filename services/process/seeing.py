"""DIMSE services that answer from the index, for peers that see some studies only."""

from __future__ import annotations

from collections.abc import Callable

from gantry.common.access import Sight, restricted
from gantry.common.net import Association, Request, Service, Sink
from gantry.common.ul import Abilities


class SeeingService:
    """A service whose requests are answered only from the studies that the association may see."""

    def __init__(self, inner: Service, sight_of: Callable[[Association], Sight]) -> None:
        self._inner = inner
        self._sight_of = sight_of

    @property
    def abilities(self) -> Abilities:
        return self._inner.abilities

    def receive(self, request: Request) -> Sink:
        return self._inner.receive(request)

    async def perform(self, request: Request) -> None:
        with restricted(self._sight_of(request.association)):
            await self._inner.perform(request)
