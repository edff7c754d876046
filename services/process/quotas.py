"""The quota of the settings."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.quota.watching import Quota
from gantry.common.telemetry.metrics import Metrics


def quota_of(settings: Settings, objects: BlobStore, clock: Clock, metrics: Metrics) -> Quota | None:
    """The quota; None without one."""
    limit, counted_every = settings.storage.quota, settings.upkeep.usage_every
    return Quota(objects, clock, metrics, DEFAULT_PARTITION, limit, counted_every) if limit else None
