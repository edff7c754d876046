"""Wiring of the indexer role."""

from __future__ import annotations

from libs.common.clock import Clock
from libs.common.dicom.attributes import AttributeTable
from libs.common.events import INDEXERS, TOPICS, InstanceStored
from libs.common.ports.blobs import BlobStore
from libs.common.ports.index import SearchIndex
from libs.common.ports.log import EventLog
from libs.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from libs.common.telemetry.metrics import Metrics
from services.indexer.handlers import Indexer

__all__ = ["GROUP", "ConsumerLoop", "build"]

GROUP = INDEXERS
_LINGER = 0.1
"""Seconds. An object is searchable that much later under load, and ingest has the processor meanwhile."""


def build(
    objects: BlobStore,
    log: EventLog,
    index: SearchIndex,
    clock: Clock,
    metrics: Metrics,
    attributes: AttributeTable,
    limits: ConsumerLimits | None = None,
) -> ConsumerLoop:
    """The consumer of this role, which takes `attributes` from headers; the process runs its `run` until `stop`."""
    handler = Indexer(objects, log, index, clock, metrics, attributes)
    topics = [TOPICS[InstanceStored].name]
    return ConsumerLoop(log, GROUP, topics, handler, clock, metrics, limits or ConsumerLimits(linger=_LINGER))
