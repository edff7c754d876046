"""One connection of an acceptor, from its first byte to its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from gantry.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gantry.common.net.connection import Connection, tls_words
from gantry.common.net.proxy import Origin
from gantry.common.net.server_state import IdentifiedUser, ServerState, UserCheck
from gantry.common.net.service import Service
from gantry.common.net.serving import ServingAssociation
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import (
    Aborted,
    AcceptedContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Fragment,
    Indication,
    Requested,
    negotiate,
)
from gantry.common.ul.pdu import APPLICATION_CONTEXT_NAME

logger = get_logger("net")


def handshake_words(error: OSError | TimeoutError) -> str:
    """Why a TLS handshake failed: what the peer did, or what is wrong with its certificate."""
    if isinstance(error, ssl.SSLError):
        return tls_words(error)
    if isinstance(error, TimeoutError | ConnectionAbortedError):  # the latter is uvloop's
        return "TLS: no handshake in time"
    return "TLS: the peer closed the connection during the handshake"


class Incoming:
    """A connection from its first byte to its end; it becomes a `ServingAssociation` once it is admitted."""

    def __init__(self, server: ServerState, origin: Origin | None = None) -> None:
        self._server = server
        self._is_local = origin is not None and origin.local
        self._association: ServingAssociation | None = None
        self.connection = Connection(
            requestor=False,
            limits=server.limits.upper_layer,
            artim=server.limits.artim,
            on_fragments=self._on_fragments,
            on_indication=self._on_indication,
            on_lost=self._on_lost,
            on_connected=lambda: self._connected(),
            origin=origin,
        )
        self._why = ""
        self._identifying: asyncio.Task[None] | None = None

    def _connected(self) -> None:
        self._server.connections.add(self)
        self._server.unassociated.enter(self, self._address)

    def _on_lost(self) -> None:
        server = self._server
        if self._identifying is not None:
            self._identifying.cancel()
        server.connections.discard(self)
        server.unassociated.leave(self, self._address)
        association = self._association
        if association is None:
            if self._why or not self._is_local:  # a proxy's health check is not logged
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
        if not self.connection.ul.owes_answer:
            return  # bytes after the request, in the same segment, have ended it
        users = self._server.users
        verdict = self._admit(request)
        if isinstance(verdict, AssociateReject) or users is None or not users.applies(request):
            self._answer(request, verdict)
        else:
            self._identifying = asyncio.get_running_loop().create_task(self._identify(users, request))

    async def _identify(self, users: UserCheck, request: AssociateRequest) -> None:
        """Decide on admission once the user is identified (PS3.7 D.3.3.7), which may take a while."""
        outcome: IdentifiedUser | AssociateReject
        try:
            async with asyncio.timeout(self._server.limits.artim):
                outcome = await users.identify(request, self._address)
        except TimeoutError:
            outcome = AssociateReject(2, 3, 1, "its user was not identified in time")
        except Exception:
            # A bug here must end only this connection.
            logger.exception("user not identified", peer=self._address)
            outcome = AssociateReject(2, 3, 1, "its user could not be identified: internal error")
        if not self.connection.ul.owes_answer:
            return  # it has gone meanwhile
        # Other associations began meanwhile, and the policy may have changed: check the limits again.
        verdict = outcome if isinstance(outcome, AssociateReject) else self._admit(request)
        self._answer(request, verdict, None if isinstance(outcome, AssociateReject) else outcome)
        self.connection.flush()

    def _admit(self, request: AssociateRequest) -> AssociateReject | frozenset[str] | None:
        refused = self._reject(request)
        if refused is not None:
            return refused
        return self._server.admission.admit(
            request, self._address, self.connection.peer_speaks_tls, self.connection.peer_certificate
        )

    def _answer(
        self,
        request: AssociateRequest,
        verdict: AssociateReject | frozenset[str] | None,
        identified: IdentifiedUser | None = None,
    ) -> None:
        if isinstance(verdict, AssociateReject):
            self._why = f"rejected: {verdict.why or verdict.words}"
            self._server.observer.rejected(request, verdict, self._address)
            self.connection.ul.reject(verdict)
        elif identified is None:
            self._accept(request, verdict)
        else:
            allowed = identified.allowed if verdict is None else identified.allowed & verdict
            self._accept(request, allowed, identified)

    def _reject(self, request: AssociateRequest) -> AssociateReject | None:
        """The rejection of a request that is invalid for any peer (PS3.8 table 9-21), or None."""
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

    def _accept(
        self, request: AssociateRequest, allowed: frozenset[str] | None, identified: IdentifiedUser | None = None
    ) -> None:
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
        self._association = ServingAssociation(
            self.connection,
            calling=request.calling_ae_title,
            called=request.called_ae_title,
            contexts=contexts,
            peer_max_pdu=request.max_pdu_length,
            services=self._services(contexts),
            window=window,
            max_command=server.limits.command_set,
            trace=server.tracer.new_trace() if server.tracer is not None else "",
            tracer=server.tracer,
            observer=server.observer,
            user=None if identified is None else identified.user,
            pace=server.paces(request.calling_ae_title),
        )
        server.unassociated.leave(self, self._address)
        self.connection.established()
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
                user_identity_response=_response(request, identified),
            )
        )
        server.observer.opened(self._association)

    def _services(self, contexts: Mapping[int, AcceptedContext]) -> dict[str, Service]:
        """The services by abstract syntax; we perform a request if the requestor is SCU, or reports to us as SCP."""
        server = self._server
        services: dict[str, Service] = {}
        for cx in contexts.values():
            known = server.served_as(cx.abstract_syntax)
            if known in server.services and (cx.requestor_is_scu or server.abilities[known].notified):
                services[cx.abstract_syntax] = server.services[known]
        return services

    def mind_deadlines(self, now: float) -> None:
        """Abort if the peer is overdue: with the rest of a PDU or message, with accepting our bytes, or with any
        activity."""
        limits, connection, association = self._server.limits, self.connection, self._association
        if connection.pdu_since is not None and now - connection.pdu_since > limits.pdu_deadline:
            self._give_up("the rest of a PDU did not arrive")
            return
        blocked = connection.takes_nothing()
        if association is None or now - connection.last_active <= limits.idle:
            return  # runs once a second for a thousand idle associations
        if blocked:
            self._give_up("the peer accepts no data")
        elif association.waits_for_peer:
            self._give_up("idle for too long" if association.is_idle else "the rest of a message did not arrive")

    def give_way(self) -> None:
        """Close: there are too many connections without an association."""
        self._why = "gave way to a newer connection"
        self.connection.abort_transport()

    def _give_up(self, why: str) -> None:
        self._why = why
        if self._association is not None:
            self._association.abort(why)
        else:
            self.connection.abort_transport()


def _response(request: AssociateRequest, identified: IdentifiedUser | None) -> bytes | None:
    """The server response about the user (PS3.7 D.3.3.7.2), if the peer asked for it and the user was checked."""
    is_requested = request.user_identity is not None and request.user_identity.response_requested
    return identified.response if is_requested and identified is not None else None
