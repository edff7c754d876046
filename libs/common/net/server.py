"""The acceptor: listens, admits within limits, negotiates, and hands messages to services.

PS3.8 9.3.4: at the limit of associations the answer is a transient rejection (2/3/2), not silence.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gantry.common.access import AdmittedUser
from gantry.common.config.shown_certificates import certificate_in
from gantry.common.net.acceptor import Acceptor, HeaderCheck, listen
from gantry.common.net.association import Association
from gantry.common.net.incoming import Incoming, TlsHandshake, Unassociated, handshake_words
from gantry.common.net.observing import AssociationObserver
from gantry.common.net.proxy import Network, Origin
from gantry.common.net.service import Service
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.spans import Tracer
from gantry.common.ul import Ability, AssociateReject, AssociateRequest, PduLimits

logger = get_logger("net")

_TICK = 1.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Times in seconds, lengths in bytes."""

    artim: float = 30.0
    pdu_deadline: float = 60.0
    idle: float = 600.0
    associations: int = 1500
    associations_per_peer: int = 500
    unassociated: int = 512
    """Connections without an association; beyond this number the oldest is closed."""
    unassociated_per_peer: int = 64
    """The same for one address; beyond it its oldest is closed, if it had a second to ask for an association."""
    contexts: int = 128
    command_set: int = 65536
    window: int = 8
    backlog: int = 1024
    proxy_from: tuple[Network, ...] = ()
    """The networks whose connections begin with a header of the PROXY protocol."""
    upper_layer: PduLimits = field(default_factory=PduLimits)


class Admission(Protocol):
    """Decides which peers may have an association."""

    def admit(
        self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str
    ) -> AssociateReject | frozenset[str] | None:
        """A rejection, or the abstract syntaxes this peer may use (None: all of them). `tls`: whether it uses TLS, and
        whose `certificate` it showed, "" without one."""


@dataclass(frozen=True, slots=True)
class Identified:
    """The user of an association, the abstract syntaxes that he may use, and the server response of PS3.7 D.3.3.7.2."""

    user: AdmittedUser
    allowed: frozenset[str]
    response: bytes = b""


class UserCheck(Protocol):
    """Decides on the users that peers name (PS3.7 D.3.3.7), after admission."""

    def applies(self, request: AssociateRequest) -> bool:
        """Whether the user decides on this association."""

    async def identify(self, request: AssociateRequest, peer_address: str) -> Identified | AssociateReject:
        """The user, or a rejection. May take a while; the connection waits."""


class ServerObserver(AssociationObserver, Protocol):
    """Is called for every association and message; for metrics, logs and audit."""

    def opened(self, association: Association) -> None:
        """An association was accepted."""

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        """An association was rejected."""

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        """A connection ended without an association; `certificate` is what the peer showed in a TLS handshake that
        failed."""


Pace = Callable[[int, int, float], float]
"""Is told of operations and bytes that came from a peer, and when; returns the seconds until more is to be read."""

Tls = Callable[[], ssl.SSLContext]
"""Returns the context in force: certificates may be replaced while we run."""


class Server:
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
        """`users` checks users that peers name; without it they are ignored. `stands_for` maps an abstract syntax
        without a service to the one that it is served like. `origins` checks headers of the PROXY protocol; without it
        each from `limits.proxy_from` is believed. `paces` gives the pace of a calling AE title, None for as fast as it
        goes."""
        self.stands_for = stands_for
        self.limits = limits or ServerLimits()
        self.admission = admission
        self.users = users
        self._origins = origins
        self.paces = paces
        self.observer = observer
        self.tracer = tracer
        self.abilities: dict[str, Ability] = {}
        self.services: dict[str, Service] = {}
        for service in services:
            self.add(service)
        self.associations: set[Association] = set()
        self.per_peer: Counter[str] = Counter()
        self.connections: set[Incoming] = set()
        self.unassociated = Unassociated(self.limits.unassociated, self.limits.unassociated_per_peer)
        self.draining = False
        self._listeners: list[Acceptor | asyncio.Server] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.TimerHandle | None = None

    def served_as(self, abstract_syntax: str) -> str:
        """The abstract syntax as which this one is served."""
        return abstract_syntax if abstract_syntax in self.abilities else self.stands_for(abstract_syntax)

    def add(self, service: Service) -> None:
        """Add a service, for associations that begin from now on."""
        for syntax, ability in service.abilities.items():
            known = self.abilities.get(syntax)
            self.abilities[syntax] = ability if known is None else known.join(ability)
            if known is None or ability.scp:
                self.services[syntax] = service

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
            why = "gave way to a newer connection, or the archive is ending"
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
