"""An archive behind a door under test, whose processes listen at ports of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gantry.common.clock import Clock, SystemClock
from gantry.common.config.door_sections import DoorSettings
from gantry.common.config.settings import Settings
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.behind import Behind
from gantry.services.frontdoor.routing import Pool


def behind(
    pools: Mapping[Pool, Sequence[int]],
    metrics: Metrics,
    key_file: Path | None = None,
    clock: Clock | None = None,
    shadow: ShadowSettings | None = None,
    **more: object,
) -> Behind:
    """Its addresses are known from the start, as if they had been looked up; nobody has tried them yet."""
    named = {pool.value: tuple(f"127.0.0.1:{port}" for port in ports) for pool, ports in pools.items()}
    door = DoorSettings.model_validate({**named, "key_file": key_file, "shadow": shadow or ShadowSettings()})
    proxy = Behind(Settings(door=door), clock or SystemClock(), metrics, **more)  # type: ignore[arg-type]
    for pool, ports in pools.items():
        proxy.backends.update(pool, [("127.0.0.1", port) for port in ports])
    if shadow is not None and shadow.answers == "other" and shadow.dimse is not None:
        proxy.backends.update(Pool.OTHER, [("127.0.0.1", int(shadow.dimse.rpartition(":")[2]))])
    return proxy
