"""What a role is built from, and what it brings: `build(context) -> RoleParts` is the one signature of every
`app.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.net.acceptor import HeaderCheck
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import ReadIndex, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.breaker import Breakers
from gantry.common.runtime.followed_orders import FollowedOrders
from gantry.common.runtime.followed_peers import FollowedPeers
from gantry.common.runtime.followed_sessions import FollowedSessions
from gantry.common.runtime.followed_shares import FollowedShares
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.quota.watching import Quota
from gantry.common.runtime.tiered import TieredStore
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.spans import Tracer

if TYPE_CHECKING:  # the indexer serves neither DIMSE nor HTTP, and need not import them
    from gantry.common.access import Sight
    from gantry.common.config.policy import KnownPeer, WorklistView
    from gantry.common.net import Association, Peer, Service
    from gantry.common.web.issuers import IssuerTokens
    from gantry.common.web.overrides import SealedOverrides
    from gantry.common.web.routes import Resource
    from gantry.common.web.server import Handler
    from gantry.common.web.sessions import Sessions
    from gantry.common.web.shares import SealedShares


class Peers(Protocol):
    """The AE policy in force, as far as roles ask it."""

    def may_store(self, association: Association) -> bool:
        """Whether C-STORE is allowed on an association."""

    def rejects(self, association: Association) -> frozenset[str]:
        """The codes with which rejection notes may be stored on an association, "revoke" among them."""

    def destinations(self) -> Sequence[str]:
        """The AE titles that C-MOVE may send to."""

    def destination(self, ae_title: str, ours: str) -> Peer | None:
        """Where C-MOVE reaches an AE title, called by our title `ours`; None if it may not send there."""

    def gets_originals(self, ae_title: str) -> bool:
        """Whether an AE title gets objects as they were stored, without corrections."""

    def is_federated(self, ae_title: str) -> bool:
        """Whether the queries of an AE title span other archives."""

    def contact(self, ae_title: str, ours: str) -> Peer | None:
        """Where to call an AE title for a report; None if the policy names no host and port."""

    def worklist_view(self, ae_title: str) -> WorklistView:
        """What an AE title sees of the modality worklist."""

    def sight_of(self, ae_title: str) -> Sight:
        """Which studies an AE title sees."""

    def known(self) -> Sequence[KnownPeer]:
        """All that are in force, those of the file first."""

    def in_file(self) -> Mapping[str, KnownPeer]:
        """Those of the policy file, by AE title."""

    def are_whole(self) -> bool:
        """Whether those that the API added are read: until then one that is missing may be there."""


class Intake(Protocol):
    """What ingest lends to a role that fetches objects itself."""

    def __call__(self, archive: str, trace: str) -> Service:
        """What takes the objects that an archive sends on associations that we open (C-GET), as if it had sent them to
        the ingest role: durable and published before they are answered."""


@dataclass(frozen=True, slots=True)
class Context:
    """One process, as its roles see it. `answers` is the index for those who answer others: it refuses while the index
    is behind what it was given before. `attributes` are those that the settings make searchable. `tiers` is
    `objects` where the settings name more than one object store. `orders` are read once a role
    begins with them. `audit` takes what has to be on record. `shares_ports`: other processes listen on the same ports.
    `issuers` look at tokens; `sessions` are those of people who logged in, where they can, and `followed_sessions` what
    the log says of them; `overrides` open studies to those who do not see them, where they may; `shares` are links for
    people outside, and `followed_shares` what the log says of them, where there are any; so are
    `followed_subscriptions`. `followed_peers` are those of the API. `message_origins` checks who names senders of HL7
    messages. `quota` is what the archive may hold, where the settings say so. `breakers` are those of the archives of
    `federation`, of all roles in the process. `intake` is there for a role that fetches objects by C-GET.
    """

    settings: Settings
    clock: Clock
    metrics: Metrics
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    answers: ReadIndex
    attributes: AttributeTable
    peers: Peers
    tracer: Tracer
    orders: FollowedOrders
    audit: AuditTrail
    tiers: TieredStore | None = None
    shares_ports: bool = False
    issuers: IssuerTokens | None = None
    sessions: Sessions | None = None
    overrides: SealedOverrides | None = None
    shares: SealedShares | None = None
    followed_shares: FollowedShares | None = None
    followed_sessions: FollowedSessions | None = None
    message_origins: HeaderCheck | None = None
    followed_subscriptions: FollowedSubscriptions | None = None
    followed_peers: FollowedPeers | None = None
    quota: Quota | None = None
    breakers: Breakers = field(default_factory=Breakers)
    intake: Intake | None = None


@dataclass(frozen=True, slots=True)
class RoleParts:
    """What a role brings to its process: DIMSE services, HTTP handlers, coroutines that run until they are cancelled
    (by name), consumer groups, and what to do when the process drains (with its deadline, in seconds) and closes."""

    dimse: Sequence[Service] = ()
    web: Mapping[Resource, Handler] = field(default_factory=dict)
    background: Sequence[tuple[str, Coroutine[Any, Any, None]]] = ()
    groups: Sequence[str] = ()
    drain: Sequence[Callable[[float], Awaitable[None]]] = ()
    close: Sequence[Callable[[], Awaitable[None]]] = ()
