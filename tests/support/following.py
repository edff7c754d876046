"""What a test asks of the log about the group that makes instances searchable."""

from __future__ import annotations

from gantry.common.events import INDEXERS
from gantry.common.ports.log import EventLog


async def indexed(log: EventLog) -> bool:
    """Have the indexers passed everything, on all their topics? Not, as long as no one of them has begun."""
    lag = await log.lag(INDEXERS)
    return bool(lag) and not any(lag.values())
