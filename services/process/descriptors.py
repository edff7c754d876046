"""File descriptors: every connection needs one or two; without any left, not even a probe can connect."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.net import ServerLimits
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.connections import PROBE_RESERVE
from gantry.services.roles import Role

_OF_ONE_ASSOCIATION = 2
"""The connection, and its duplicate for quick acknowledgements or, in the front door, the backend's connection."""
_OF_STORES = 256
"""Object store, log, index, worker processes, spooled bulk data, sub-operations in progress."""
_LOOK_SECONDS = 1.0


def needed(settings: Settings, roles: frozenset[Role]) -> int:
    """The largest number of descriptors that a process with these roles may need, by its limits."""
    total = settings.http.max_connections + PROBE_RESERVE + _OF_STORES
    if any(role.serves_dimse for role in roles):
        total += _OF_ONE_ASSOCIATION * settings.dimse.max_associations + ServerLimits().unassociated
    return total


def make_room(settings: Settings, roles: frozenset[Role]) -> None:
    """Raise the soft limit to the number needed. Raises `ConfigError` if the hard limit is lower: a process without
    free descriptors would shut out every peer for as long as one peer keeps it full."""
    want = needed(settings, roles)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < want:
        raise ConfigError(
            "file descriptors",
            None,
            f"{want} may be needed (http.max_connections {settings.http.max_connections}, dimse.max_associations "
            f"{settings.dimse.max_associations}), the system allows {hard}: raise the hard limit (ulimit -n; "
            "LimitNOFILE of systemd; --ulimit nofile of a container), or lower those settings",
        )
    if soft != resource.RLIM_INFINITY and soft < want:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))


async def watch(clock: Clock, at_limit: Callable[[bool], None] = lambda _: None) -> None:
    """Log whenever the descriptors run out, once each time: the kernel then closes connections silently."""
    logger, out = get_logger("descriptors"), False
    while True:
        await clock.sleep(_LOOK_SECONDS)
        try:
            os.close(os.dup(2))
        except OSError as error:
            if not out:
                logger.error("out of file descriptors: new connections are lost", error=error)
            out = True
        else:
            if out:
                logger.info("file descriptors are there again")
            out = False
        at_limit(out)
