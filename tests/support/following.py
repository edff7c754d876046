"""The progress of the consumer group that makes instances searchable."""

from __future__ import annotations

from gantry.common.events import INDEXERS
from gantry.common.ports.log import EventLog


async def indexed(log: EventLog) -> bool:
    """Whether the indexers have passed everything, on all their topics; False before the first one has begun."""
    lag = await log.lag(INDEXERS)
    return bool(lag) and not any(lag.values())
