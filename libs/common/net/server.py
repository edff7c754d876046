"""The acceptor: listens, admits within limits, negotiates, and hands messages to services."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial

from gantry.common.config.shown_certificates import certificate_in
from gantry.common.net.acceptor import Acceptor, HeaderCheck, listen
from gantry.common.net.association import Association
from gantry.common.net.incoming import Incoming, handshake_words
from gantry.common.net.proxy import Origin
from gantry.common.net.server_state import Admission, Pace, ServerLimits, ServerObserver, ServerState, UserCheck
from gantry.common.net.service import Service
from gantry.common.net.unassociated import TlsHandshake
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.spans import Tracer

logger = get_logger("net")

_TICK = 1.0


Tls = Callable[[], ssl.SSLContext]
"""Returns the current context: certificates may be replaced while the archive runs."""


class Server(ServerState):
    """One AE on one port (or several sockets of it)."""

    def __init__(
        self,
        services: Sequence[Service],
        admission: Admission,
        observer: ServerObserver,
        *,
        limits: ServerLimits | None = None,
        tracer: Tracer | None = None,
        stands_for: Callable[[str], str] = lambda abstract_syntax: abstract_syntax,
        users: UserCheck | None = None,
        origins: HeaderCheck | None = None,
        paces: Callable[[str], Pace | None] = lambda _: None,
    ) -> None:
        """As for `ServerState`. `origins` checks headers of the PROXY protocol; without it every header from
        `limits.proxy_from` is accepted."""
        super().__init__(
            services,
            admission,
            observer,
            limits=limits,
            tracer=tracer,
            stands_for=stands_for,
            users=users,
            paces=paces,
        )
        self._origins = origins
        self._listeners: list[Acceptor | asyncio.Server] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.TimerHandle | None = None

    async def start(
        self, host: str, port: int, *, tls: Tls | ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Listen; returns the port (a free one if `port` is 0). May be called again, for a further port. `tls` is the
        context for new connections, or returns the one in force. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        sock = listen(host, port, self.limits.backlog, reuse_port=reuse_port)
        bound: int = sock.getsockname()[1]
        if self.limits.proxy_from or tls is not None:
            trusted, deadline = self.limits.proxy_from, self.limits.artim
            accepted = partial(self._accepted, tls=tls)
            failed, check = self.observer.failed, self._origins
            self._listeners.append(Acceptor(sock, accepted, failed, trusted=trusted, deadline=deadline, check=check))
        else:  # the loop's own way: a third faster for an association of two contexts
            self._listeners.append(
                await loop.create_server(lambda: Incoming(self).connection, sock=sock, backlog=self.limits.backlog)
            )
        if self._ticker is None:
            self._ticker = loop.call_later(_TICK, self._tick)
        return bound

    def _accepted(self, sock: socket.socket, origin: Origin, tls: Tls | ssl.SSLContext | None) -> None:
        task = asyncio.get_running_loop().create_task(self._open(sock, origin, tls))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        opening = TlsHandshake(task)
        self.unassociated.enter(opening, origin.address)
        task.add_done_callback(lambda _: self.unassociated.leave(opening, origin.address))

    async def _open(self, sock: socket.socket, origin: Origin, tls: Tls | ssl.SSLContext | None) -> None:
        context = tls() if callable(tls) else tls
        why = certificate = ""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Incoming(self, origin).connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=self.limits.artim if context is not None else None,
            )
        except asyncio.CancelledError:
            why = "gave way to a newer connection, or the archive is shutting down"
            sock.close()
        except (OSError, TimeoutError) as error:
            why = handshake_words(error) if context is not None else type(error).__name__
            certificate = certificate_in(error)
        if why:
            self.observer.failed(origin.address, why, certificate)

    async def drain(self, deadline: float) -> None:
        """Accept no new associations, let current work finish, release idle associations; abort the rest at the
        deadline (seconds from now)."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        releases: dict[Association, asyncio.Task[None]] = {}
        while self.associations and (left := end - loop.time()) > 0:
            for association in self.associations:
                # PS3.8 7.2: an acceptor may request the release too.
                if association.is_idle and association not in releases:
                    releases[association] = loop.create_task(association.release(min(left, 5.0)))
            ended = [loop.create_task(association.ended.wait()) for association in self.associations]
            _, waiting = await asyncio.wait(ended, timeout=min(left, 0.2), return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        for association in list(self.associations):
            association.abort("the archive is shutting down")
        for accepting in list(self.connections):
            accepting.connection.abort_transport()
        for opening in self._opening:
            opening.cancel()
        if self._ticker is not None:
            self._ticker.cancel()

    def _tick(self) -> None:
        """Once a second: check the deadlines of all connections."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for accepting in list(self.connections):
            accepting.mind_deadlines(now)
        self._ticker = loop.call_later(_TICK, self._tick)
