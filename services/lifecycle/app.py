"""Wiring: what is served over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.web import DeleteInstances


def build(
    log: EventLog, index: ReadIndex, clock: Clock, may_delete: Sequence[str], grace: float
) -> dict[Resource, Handler]:
    """The handlers; `grace` in seconds."""
    return {Resource.DELETE: DeleteInstances(Deletions(log, index, clock, grace), may_delete)}
