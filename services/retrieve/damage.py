"""Objects whose bytes are not those acknowledged: detected on reading, reported and remembered (promise 2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from gantry.common.errors import Corrupt
from gantry.common.ports.index import Location
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

logger = get_logger("retrieve")

MISSING, WRONG_SIZE, WRONG_DIGEST = "missing", "size", "digest"
OnDamage = Callable[[Location, str], None]
"""Called with a damaged object and the reason: "missing", "size" or "digest". Returns at once."""
_REMEMBERED = 10_000


class Damaged(Corrupt):
    """The object of a known instance is lost, or its bytes are not those that were acknowledged."""

    def __init__(self, reason: str) -> None:
        words = {MISSING: "is missing", WRONG_SIZE: "is not as long as it was", WRONG_DIGEST: "has changed"}
        super().__init__(f"the object of this instance {words[reason]} in the object store")
        self.reason = reason


class DamageReports:
    """Reports each damaged object: logs a line, counts it, and calls `on_damage`."""

    def __init__(self, metrics: Metrics | None = None, on_damage: OnDamage | None = None) -> None:
        self._metrics = metrics
        self.on_damage = on_damage
        self._suspects: OrderedDict[str, None] = OrderedDict()

    def report(self, location: Location, reason: str) -> Damaged:
        """Report a damaged object. Returns the error for the caller to raise."""
        logger.error("object damaged", object_key=location.object_key, reason=reason)
        if self._metrics is not None:
            self._metrics.damaged_objects.labels(reason).inc()
        self._suspects[location.object_key] = None
        while len(self._suspects) > _REMEMBERED:
            self._suspects.popitem(last=False)
        if self.on_damage is not None:
            try:
                self.on_damage(location, reason)
            except Exception:
                logger.exception("a report of damage was not taken", object_key=location.object_key)
        return Damaged(reason)

    def is_suspect(self, location: Location) -> bool:
        """Whether the object was found damaged before; if so, it is read whole before any byte of it is sent."""
        return location.object_key in self._suspects

    def is_well(self, location: Location) -> None:
        """The object was read whole, and its bytes are those that were acknowledged."""
        self._suspects.pop(location.object_key, None)
