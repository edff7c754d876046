"""Wiring of the indexer role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.events import INDEXED, INDEXERS
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from gantry.common.runtime.rejections import RejectionRules, rejection_rules
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.spans import Tracer
from gantry.services.context import Context, RoleParts
from gantry.services.indexer.handlers import Indexer

__all__ = ["GROUP", "ConsumerLoop", "build", "build_consumer"]

GROUP = INDEXERS
_LINGER = 0.1
"""Seconds. Under load an object becomes searchable that much later, which leaves the processor to ingest."""


async def build(context: Context) -> RoleParts:
    """The consumer that makes what was stored searchable."""
    loop = build_consumer(
        context.objects,
        context.log,
        context.index,
        context.clock,
        context.metrics,
        context.attributes,
        rejections=rejection_rules(context.settings.lifecycle),
        tracer=context.tracer,
    )
    return RoleParts(background=[("indexer", loop.run())], groups=[GROUP], drain=[_stop(loop)])


def _stop(loop: ConsumerLoop) -> Callable[[float], Awaitable[None]]:
    async def stop(_: float) -> None:
        loop.stop()

    return stop


def build_consumer(
    objects: BlobStore,
    log: EventLog,
    index: SearchIndex,
    clock: Clock,
    metrics: Metrics,
    attributes: AttributeTable,
    limits: ConsumerLimits | None = None,
    rejections: RejectionRules | None = None,
    tracer: Tracer | None = None,
) -> ConsumerLoop:
    """The consumer of this role, which indexes `attributes` of each header; the process runs its `run` until `stop`.
    `rejections` carries out rejection notes; without it they have no effect, as in a restore, where their events are on
    the log already."""
    handler = Indexer(objects, log, index, clock, metrics, attributes, rejections, tracer)
    return ConsumerLoop(log, GROUP, list(INDEXED), handler, clock, metrics, limits or ConsumerLimits(linger=_LINGER))
