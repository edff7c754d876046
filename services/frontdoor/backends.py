"""The processes behind the door: their addresses, their load, and which to try first. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gantry.services.frontdoor.routing import Pool

Address = tuple[str, int]


@dataclass(eq=False, slots=True)
class Backend:
    """One address of a pool. `open` counts the associations that this door has passed to it."""

    pool: Pool
    address: Address
    open: int = 0
    connects: bool = False
    """Whether the last attempt to connect succeeded."""
    left_alone_until: float = 0.0
    last_chosen: float = 0.0

    @property
    def name(self) -> str:
        """The address as text, for logs."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class Backends:
    """All backends of a door. A failed backend is not preferred again for `leave_alone` seconds."""

    leave_alone: float
    _pools: dict[Pool, dict[Address, Backend]] = field(default_factory=dict)

    def update(self, pool: Pool, addresses: Iterable[Address]) -> None:
        """Set the addresses of a pool. Known backends retain their counts."""
        known = self._pools.get(pool, {})
        self._pools[pool] = {address: known.get(address) or Backend(pool, address) for address in addresses}

    def all(self) -> list[Backend]:
        """All backends of all pools."""
        return [backend for pool in self._pools.values() for backend in pool.values()]

    def of(self, pool: Pool) -> list[Backend]:
        """The backends of a pool."""
        return list(self._pools.get(pool, {}).values())

    def candidates(self, pools: Iterable[Pool], now: float) -> list[Backend]:
        """The backends in the order in which to try them: fewest open associations first, among equals the one that was
        chosen longest ago; those that failed recently last, in case no other can be reached."""
        backends = [backend for pool in pools for backend in self.of(pool)]
        return sorted(backends, key=lambda b: (now < b.left_alone_until, b.open, b.last_chosen))

    def failed(self, backend: Backend, now: float) -> None:
        """Record that the backend could not be reached."""
        backend.connects = False
        backend.left_alone_until = now + self.leave_alone

    def connected(self, backend: Backend) -> None:
        """Record that the backend was reached."""
        backend.connects = True
        backend.left_alone_until = 0.0
