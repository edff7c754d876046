"""What an acceptor serves, which peers it admits, its limits, and the connections it has.

PS3.8 9.3.4: at the limit of associations the answer is a transient rejection (2/3/2), not silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gantry.common.access import AdmittedUser
from gantry.common.net.association import Association
from gantry.common.net.connection import Connection
from gantry.common.net.observing import AssociationObserver
from gantry.common.net.proxy import Network
from gantry.common.net.service import Service
from gantry.common.net.serving import ServingAssociation
from gantry.common.net.unassociated import GivesWay, Unassociated
from gantry.common.telemetry.spans import Tracer
from gantry.common.ul import Ability, AssociateReject, AssociateRequest, PduLimits


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
    """The same for one address. Beyond it the oldest connection of that address is closed, if it is at least a second
    old: so long it may take to request an association."""
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
        """A rejection, or the abstract syntaxes this peer may use (None: all of them). `tls` is whether the peer uses
        TLS, `certificate` the name in its certificate ("" without one)."""


@dataclass(frozen=True, slots=True)
class IdentifiedUser:
    """The user of an association, the abstract syntaxes the user may use, and the server response (PS3.7 D.3.3.7.2)."""

    user: AdmittedUser
    allowed: frozenset[str]
    response: bytes = b""


class UserCheck(Protocol):
    """Decides on the users that peers name (PS3.7 D.3.3.7), after admission."""

    def applies(self, request: AssociateRequest) -> bool:
        """Whether admission of this association depends on its user."""

    async def identify(self, request: AssociateRequest, peer_address: str) -> IdentifiedUser | AssociateReject:
        """The user, or a rejection. May take a while; the connection waits."""


class ServerObserver(AssociationObserver, Protocol):
    """Called for every association and message; for metrics, logs and audit."""

    def opened(self, association: Association) -> None:
        """An association was accepted."""

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        """An association was rejected."""

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        """A connection ended without an association; `certificate` describes the peer's certificate in a TLS handshake
        that failed."""


Pace = Callable[[int, int, float], float]
"""Called with the operations and bytes that a peer sent, and when; returns the seconds to wait before reading more."""


class IncomingConnection(GivesWay, Protocol):
    """A connection, from its first byte to its end."""

    connection: Connection

    def mind_deadlines(self, now: float) -> None:
        """Abort if the peer is overdue."""


class ServerState:
    """What one AE serves, to which peers, within which limits; and its connections."""

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
        paces: Callable[[str], Pace | None] = lambda _: None,
    ) -> None:
        """`users` checks the users that peers name; without it they are ignored. `stands_for` maps an abstract syntax
        without a service of its own to the abstract syntax whose service performs it. `paces` returns the pace of a
        calling AE title, None for no limit."""
        self.stands_for = stands_for
        self.limits = limits or ServerLimits()
        self.admission = admission
        self.users = users
        self.paces = paces
        self.observer = observer
        self.tracer = tracer
        self.abilities: dict[str, Ability] = {}
        self.services: dict[str, Service] = {}
        for service in services:
            self.add(service)
        self.associations: set[ServingAssociation] = set()
        self.per_peer: Counter[str] = Counter()
        self.connections: set[IncomingConnection] = set()
        self.unassociated = Unassociated(self.limits.unassociated, self.limits.unassociated_per_peer)
        self.draining = False

    def served_as(self, abstract_syntax: str) -> str:
        """The abstract syntax whose service performs this one."""
        return abstract_syntax if abstract_syntax in self.abilities else self.stands_for(abstract_syntax)

    def add(self, service: Service) -> None:
        """Add a service for all later associations."""
        for syntax, ability in service.abilities.items():
            known = self.abilities.get(syntax)
            self.abilities[syntax] = ability if known is None else known.join(ability)
            if known is None or ability.scp:
                self.services[syntax] = service
