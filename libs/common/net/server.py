"""The acceptor: listens, admits within limits, negotiates, and hands messages to services.

PS3.8 9.3.4: at the limit of associations the answer is a transient rejection (2/3/2), not silence.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from libs.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from libs.common.net.acceptor import Acceptor, listen
from libs.common.net.association import Association, AssociationObserver
from libs.common.net.connection import Connection
from libs.common.net.proxy import Network, Origin
from libs.common.net.service import Service
from libs.common.ul import (
    Ability,
    Aborted,
    AcceptedContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Indication,
    Limits,
    Requested,
    negotiate,
)
from libs.common.ul.pdu import APPLICATION_CONTEXT_NAME

log = structlog.get_logger("gantry.net")

_TICK = 1.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Times in seconds, lengths in bytes."""

    artim: float = 30.0
    pdu_deadline: float = 60.0
    idle: float = 600.0
    associations: int = 1500
    associations_per_peer: int = 500
    contexts: int = 128
    command_set: int = 65536
    window: int = 8
    backlog: int = 1024
    proxy_from: tuple[Network, ...] = ()
    """Whose connections begin with a header of the PROXY protocol."""
    upper_layer: Limits = field(default_factory=Limits)


class Gatekeeper(Protocol):
    """Decides who gets in."""

    def admit(self, request: AssociateRequest, peer_address: str, tls: bool) -> AssociateReject | frozenset[str] | None:
        """A rejection, or the abstract syntaxes this peer may use (None: all of them). `tls`: whether it speaks TLS."""


class ServerObserver(AssociationObserver, Protocol):
    """Hears of everything that happens to associations; for metrics, logs and audit."""

    def opened(self, association: Association) -> None:
        """An association was accepted."""

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        """An association was rejected."""

    def failed(self, peer_address: str, why: str) -> None:
        """A connection ended without an association."""


class Server:
    """One AE on one port (or several sockets of it)."""

    def __init__(
        self,
        services: Sequence[Service],
        gatekeeper: Gatekeeper,
        observer: ServerObserver,
        *,
        limits: ServerLimits | None = None,
        new_trace: Callable[[], str] = lambda: "",
        stands_for: Callable[[str], str] = lambda abstract_syntax: abstract_syntax,
    ) -> None:
        """`stands_for` names, for an abstract syntax that no service has, the one that it is served like."""
        self.stands_for = stands_for
        self.limits = limits or ServerLimits()
        self.gatekeeper = gatekeeper
        self.observer = observer
        self.new_trace = new_trace
        self.abilities: dict[str, Ability] = {}
        self.services: dict[str, Service] = {}
        for service in services:
            for syntax, ability in service.abilities.items():
                known = self.abilities.get(syntax)
                self.abilities[syntax] = ability if known is None else known.join(ability)
                if known is None or ability.scp:
                    self.services[syntax] = service
        self.associations: set[Association] = set()
        self.per_peer: Counter[str] = Counter()
        self.connections: set[_Accepting] = set()
        self.draining = False
        self._tls: ssl.SSLContext | None = None
        self._listener: Acceptor | asyncio.Server | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.TimerHandle | None = None

    def served_as(self, abstract_syntax: str) -> str:
        """Under which abstract syntax this one is served."""
        return abstract_syntax if abstract_syntax in self.abilities else self.stands_for(abstract_syntax)

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Listen; returns the port (a free one where `port` is 0)."""
        loop = asyncio.get_running_loop()
        sock = listen(host, port, self.limits.backlog, reuse_port=reuse_port)
        bound: int = sock.getsockname()[1]
        if self.limits.proxy_from:
            self._tls = tls
            trusted, deadline = self.limits.proxy_from, self.limits.artim
            self._listener = Acceptor(sock, self._accepted, self.observer.failed, trusted=trusted, deadline=deadline)
        else:  # the loop's own way: a third faster for an association of two contexts
            self._listener = await loop.create_server(
                lambda: _Accepting(self).connection, sock=sock, backlog=self.limits.backlog, ssl=tls
            )
        self._ticker = loop.call_later(_TICK, self._tick)
        return bound

    def _accepted(self, sock: socket.socket, origin: Origin) -> None:
        task = asyncio.get_running_loop().create_task(self._open(sock, origin))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, origin: Origin) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Accepting(self, origin).connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=self.limits.artim if self._tls is not None else None,
            )
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            self.observer.failed(origin.address, f"TLS: {reason}" if self._tls is not None else str(reason))

    async def drain(self, deadline: float) -> None:
        """Take no new associations, let what is under way finish, release who is idle; abort the rest at the deadline
        (seconds from now)."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
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
        if self._ticker is not None:
            self._ticker.cancel()

    def _tick(self) -> None:
        """Once a second: who owes a PDU for too long, who is idle for too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for accepting in list(self.connections):
            accepting.mind_deadlines(now)
        self._ticker = loop.call_later(_TICK, self._tick)


class _Accepting:
    """A connection from its first byte to its end; it becomes an `Association` once it is admitted."""

    def __init__(self, server: Server, origin: Origin | None = None) -> None:
        self._server = server
        self._is_local = origin is not None and origin.local
        self._association: Association | None = None
        self.connection = Connection(
            requestor=False,
            limits=server.limits.upper_layer,
            artim=server.limits.artim,
            on_fragments=self._on_fragments,
            on_indication=self._on_indication,
            on_lost=self._on_lost,
            on_connected=lambda: server.connections.add(self),
            origin=origin,
        )
        self._why = ""

    def _on_lost(self) -> None:
        server = self._server
        server.connections.discard(self)
        association = self._association
        if association is None:
            if self._why or not self._is_local:  # a proxy that looks whether we are here is no news
                server.observer.failed(self._address, self._why or "closed before an association")
            return
        server.associations.discard(association)
        server.per_peer[association.peer_address] -= 1
        if not server.per_peer[association.peer_address]:
            del server.per_peer[association.peer_address]
        association.on_lost()

    @property
    def _address(self) -> str:
        return self.connection.peer_address

    def _on_fragments(self, fragments: list[Fragment]) -> None:
        if self._association is not None:
            self._association.on_fragments(fragments)

    def _on_indication(self, indication: Indication) -> None:
        if isinstance(indication, Requested):
            self._decide(indication.request)
        elif self._association is not None:
            self._association.on_indication(indication)
        elif isinstance(indication, Aborted):
            self._why = indication.why

    def _decide(self, request: AssociateRequest) -> None:
        server = self._server
        verdict = self._reject(request)
        allowed: frozenset[str] | None = None
        if verdict is None:
            answer = server.gatekeeper.admit(request, self._address, self.connection.peer_speaks_tls)
            if isinstance(answer, AssociateReject):
                verdict = answer
            else:
                allowed = answer
        if verdict is not None:
            self._why = f"rejected: {verdict.words}"
            server.observer.rejected(request, verdict, self._address)
            self.connection.ul.reject(verdict)
            return
        self._accept(request, allowed)

    def _reject(self, request: AssociateRequest) -> AssociateReject | None:
        """What is wrong with a request whoever it comes from (PS3.8 table 9-21)."""
        server, limits = self._server, self._server.limits
        if request.application_context != APPLICATION_CONTEXT_NAME:
            return AssociateReject(1, 1, 2)
        ids = [cx.id for cx in request.contexts]
        # PS3.8 9.3.2.2: odd integers between 1 and 255, each used once.
        if not ids or len(ids) > limits.contexts or len(set(ids)) != len(ids) or any(not i & 1 for i in ids):
            return AssociateReject(1, 1, 1)
        if server.draining:
            return AssociateReject(2, 3, 1)
        if (
            len(server.associations) >= limits.associations
            or server.per_peer[self._address] >= limits.associations_per_peer
        ):
            return AssociateReject(2, 3, 2)
        return None

    def _accept(self, request: AssociateRequest, allowed: frozenset[str] | None) -> None:
        server = self._server
        served_as = {cx.abstract_syntax: server.served_as(cx.abstract_syntax) for cx in request.contexts}
        abilities = {
            uid: server.abilities[known]
            for uid, known in served_as.items()
            if known in server.abilities and (allowed is None or known in allowed)
        }
        results, roles, contexts = negotiate(request, abilities)
        window = (
            min(request.async_window[0] or server.limits.window, server.limits.window)
            if (request.async_window is not None)
            else 1
        )
        self._association = Association(
            self.connection,
            calling=request.calling_ae_title,
            called=request.called_ae_title,
            contexts=contexts,
            peer_max_pdu=request.max_pdu_length,
            services=self._services(contexts),
            window=window,
            max_command=server.limits.command_set,
            trace=server.new_trace(),
            observer=server.observer,
        )
        server.associations.add(self._association)
        server.per_peer[self._association.peer_address] += 1
        self.connection.ul.accept(
            AssociateAccept(
                called_ae_title=request.called_ae_title,
                calling_ae_title=request.calling_ae_title,
                max_pdu_length=server.limits.upper_layer.max_pdu_length,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                # PS3.7 D.3.3.3.2: both numbers are seen from the requestor; we invoke one at a time.
                async_window=None if request.async_window is None else (window, 1),
                roles=roles,
                extended=tuple({cx.abstract_syntax: cx.extended for cx in contexts.values() if cx.extended}.items()),
                results=results,
            )
        )
        server.observer.opened(self._association)

    def _services(self, contexts: Mapping[int, AcceptedContext]) -> dict[str, Service]:
        """Only where the requestor is SCU do we perform."""
        server = self._server
        return {
            cx.abstract_syntax: service
            for cx in contexts.values()
            if cx.requestor_is_scu and (service := server.services.get(server.served_as(cx.abstract_syntax)))
        }

    def mind_deadlines(self, now: float) -> None:
        """Abort whoever is overdue."""
        limits, connection = self._server.limits, self.connection
        if connection.pdu_since is None and now - connection.last_read <= limits.idle:
            return  # a thousand idle associations come by here once a second
        if connection.pdu_since is not None and now - connection.pdu_since > limits.pdu_deadline:
            self._give_up("the rest of a PDU did not come")
        elif self._association is not None and self._association.is_idle and now - connection.last_read > limits.idle:
            self._give_up("idle for too long")

    def _give_up(self, why: str) -> None:
        self._why = why
        if self._association is not None:
            self._association.abort(why)
        else:
            self.connection.abort_transport()
