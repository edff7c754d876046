"""Limits the rate of a peer's requests and bytes by reading more slowly. Nothing is refused or lost: the peer waits as
with a slow network."""

from __future__ import annotations

from collections.abc import Callable

from gantry.common.allowance import Allowance
from gantry.common.config.policy import Policy
from gantry.common.telemetry.metrics import Metrics

SECONDS_AT_ONCE = 2.0
"""Length of a burst: so many seconds' worth passes at once."""
LONGEST = 30.0
"""Longest wait of a peer at a time, in seconds: its own deadlines run meanwhile."""


class PeerPaces:
    """One pace for each AE title, for all of its associations with this process."""

    def __init__(self, policy: Callable[[], Policy], metrics: Metrics) -> None:
        self._policy = policy
        self._waited = metrics.peer_waits_seconds
        self._paces: dict[str, PeerPace] = {}

    def __call__(self, calling_ae_title: str) -> PeerPace | None:
        """The pace of a peer; None if the policy sets no limit. An association keeps the pace with which it began."""
        title = calling_ae_title.strip()
        peer = self._policy().peers.get(title)
        limits = (peer.max_operations_per_second, peer.max_bytes_per_second) if peer is not None else (None, None)
        if limits == (None, None):
            self._paces.pop(title, None)
            return None
        known = self._paces.get(title)
        if known is None or known.limits != limits:
            known = self._paces[title] = PeerPace(limits, self._waited.inc)
        return known


class PeerPace:
    """`gantry.common.net.server_state.Pace` of one peer."""

    def __init__(self, limits: tuple[float | None, float | None], waited: Callable[[float], object]) -> None:
        """`limits` are operations and bytes a second; None for no limit."""
        self.limits = limits
        self._waited = waited
        self._allowances: tuple[Allowance | None, ...] | None = None

    def __call__(self, operations: int, octets: int, now: float) -> float:
        """Count received operations and bytes; returns the seconds until more is to be read."""
        if self._allowances is None:
            self._allowances = tuple(
                None if rate is None else Allowance(rate, SECONDS_AT_ONCE, now) for rate in self.limits
            )
        waits = [
            allowance.take(amount, now)
            for allowance, amount in zip(self._allowances, (operations, octets), strict=True)
            if allowance is not None
        ]
        longest = min(max(waits), LONGEST)
        if longest:
            self._waited(longest)
        return longest
