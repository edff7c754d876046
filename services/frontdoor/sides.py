"""The two archives of shadow mode, for associations that the door itself opens."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Container

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.errors import ConnectionFailed
from gantry.common.net.client import Peer
from gantry.common.net.proxy import Origin
from gantry.common.ul import AssociateRequest
from gantry.services.frontdoor.behind import Behind


class GantrySide:
    """Our own processes behind the door. They learn the peer from the PROXY header, as with the door's other
    connections, so that its policy applies."""

    name = "gantry"

    def __init__(self, behind: Behind, storage: Container[str], settings: ShadowSettings, clock: Clock) -> None:
        self._behind = behind
        self._storage = storage
        self._settings = settings
        self._clock = clock

    def peer(self, request: AssociateRequest, origin: Origin) -> Peer:
        """The address of the best process for an association. Raises `ConnectionFailed`."""
        for pools in self._behind.own_sets(request, self._storage):
            for backend in self._behind.backends.candidates(pools, self._clock.monotonic()):
                backend.last_chosen = self._clock.monotonic()
                return Peer(
                    *backend.address,
                    request.called_ae_title,
                    request.calling_ae_title,
                    connect_timeout=self._settings.connect_timeout,
                    associate_timeout=self._settings.timeout,
                    preface=self._behind.header(origin, backend.address),
                )
        raise ConnectionFailed("no process of ours serves this association")


class OtherSide:
    """The other archive. It sees the door's address, and the AE title of the peer."""

    name = "other"

    def __init__(self, settings: ShadowSettings, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        """`tls` is the context for calling it, or None without TLS."""
        self._tls = tls
        assert settings.dimse is not None
        host, _, port = settings.dimse.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._settings = settings

    def peer(self, request: AssociateRequest, origin: Origin) -> Peer:
        """The address of the other archive."""
        return Peer(
            self._host,
            self._port,
            self._settings.ae_title or request.called_ae_title,
            request.calling_ae_title,
            tls=self._tls() if self._tls is not None else None,
            connect_timeout=self._settings.connect_timeout,
            associate_timeout=self._settings.timeout,
        )
