"""Passes over everything that rules may move (`gantry tiers`): move it, then remove the copies left behind.

The plan is not stored: the next pass continues an interrupted one, since moved objects are not planned again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import TierRule
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.losses import Losses
from gantry.common.runtime.tiered import TieredStore
from gantry.common.runtime.wanted import RestoreRequests
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pace, Pass, Passes
from gantry.services.maintenance.tiers.copying import TierCopier
from gantry.services.maintenance.tiers.leftovers import Leftovers
from gantry.services.maintenance.tiers.planning import Planner
from gantry.services.maintenance.tiers.relocating import Relocator

_LOOK_AGAIN_SECONDS = 0.5
logger = get_logger("tiers")


@dataclass(slots=True)
class Tiered(Pass):
    """The progress of a pass: objects moved and their bytes, objects that could not be (`failed`), copies removed
    (`left`) and their bytes, copies that differ; and the content of each store when it ended."""

    moved: int = 0
    bytes: int = 0
    failed: int = 0
    left: int = 0
    left_bytes: int = 0
    unequal: int = 0
    objects_in: dict[str, int] = field(default_factory=dict)
    bytes_in: dict[str, int] = field(default_factory=dict)


class Tiering:
    """Passes over one partition, one after the other."""

    def __init__(
        self,
        tiers: TieredStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        rules: Sequence[TierRule],
        *,
        rate: float,
        grace: float,
        patience: float = 120.0,
        wanted_us: int = 0,
    ) -> None:
        """`rate` is in bytes per second that are read or written to move them; 0 for no limit. `grace` in seconds;
        `patience` (seconds) is how long to wait for indexers that are behind, `wanted_us` (microseconds) how long
        objects restored from an archive tier stay readable."""
        self._patience = patience
        pace = Pace(clock, rate)
        stores = list(tiers.stores)[1:]
        losses = Losses(log, clock, metrics, "tiers")
        self._tiers = tiers
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self.planner = Planner(index, clock, partition, rules, stores)
        self.wanted = RestoreRequests(tiers, clock, metrics, wanted_us)
        copier = TierCopier(tiers, pace)
        self._relocator = Relocator(tiers, copier, log, index, losses, clock, metrics, partition, self.wanted)
        self.leftovers = Leftovers(tiers, index, clock, metrics, partition, pace, grace)
        self.passes = Passes(tiers, clock, "tiers", Tiered)

    async def run(self, every: float) -> None:
        """Run for ever: a pass begins `every` seconds after the one before ended."""
        try:
            latest = await self.passes.latest()
        except DependencyUnavailable:
            latest = None
        if latest is not None:
            self._show(latest)
        await self.passes.run(every, self.move)

    async def move(self, state: Tiered | None = None, progress: Callable[[Tiered], None] = lambda _: None) -> Tiered:
        """Make a whole pass. Raises `DependencyUnavailable`, also if the indexers are behind: an event that they have
        not read may be a move."""
        state = self.passes.begun(state)
        await self._followed()
        async for move in self.planner.moves():
            moved, length = await self._relocator.relocate(move)
            state.moved += moved
            state.bytes += length
            state.failed += len(move.objects) - moved
            progress(state)
            await self.passes.save_now_and_then(state)
        await self._followed()
        lying = await self.leftovers.look(remove=True)
        state.left += lying.removed
        state.left_bytes += lying.removed_bytes
        state.unequal = lying.unequal
        state.objects_in, state.bytes_in = lying.objects, lying.bytes
        for store, count in list(lying.objects.items())[1:]:
            await self._tiers.mark(store, needed=count > 0)
        await self.passes.end(state)
        self._show(state)
        logger.info(
            "tiers",
            moved=state.moved,
            bytes=state.bytes,
            failed=state.failed,
            left=state.left,
            unequal=state.unequal,
        )
        return state

    async def _followed(self) -> None:
        if not await has_followed(self._log, self._clock, self._patience, look_again=_LOOK_AGAIN_SECONDS):
            raise DependencyUnavailable("index", "the indexers are behind the log")

    def _show(self, state: Tiered) -> None:
        for store, size in state.bytes_in.items():
            self._metrics.tier_bytes.labels(store).set(size)
