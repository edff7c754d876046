"""One process of the archive: its stores, its roles, its ports."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from gantry.common.access import role_table, rules_of
from gantry.common.access.views import views_of
from gantry.common.audit import AuditKind
from gantry.common.clock import Clock
from gantry.common.config.reload import PolicyFile
from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates
from gantry.common.dicom.standard.sop_classes import StorageClasses, stands_for
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.net import Server, ServerLimits, Service
from gantry.common.net.server_state import Admission, ServerObserver
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.consumer import report_lag
from gantry.common.runtime.followed_orders import FollowedOrders
from gantry.common.runtime.followed_peers import FollowedPeers
from gantry.common.runtime.followed_subscriptions import FollowedSubscriptions
from gantry.common.runtime.lifecycle import Component, Lifecycle, Phase
from gantry.common.runtime.restricted_index import RestrictedIndex
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import PduLimits
from gantry.common.web.routes import WebRole as WebService
from gantry.services.context import Context, RoleParts
from gantry.services.copies.index import CopiesIndex
from gantry.services.maintenance.completeness import CompleteIndex, Completeness
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.association_records import AssociationRecords
from gantry.services.process.audited_associations import AssociationAudit
from gantry.services.process.audited_requests import RequestAudit
from gantry.services.process.building import build_copies, build_lifecycle, build_operations, build_role
from gantry.services.process.door_key import DoorKey, ProvenOrigins
from gantry.services.process.followed import follow_sessions, follow_shares, follow_subscriptions
from gantry.services.process.heartbeat import Heartbeat, Vitals
from gantry.services.process.http import HttpServer, in_words
from gantry.services.process.other_stores import OtherStores, other_stores
from gantry.services.process.pacing import PeerPaces
from gantry.services.process.peers_of_api import check_peers, follow_peers, read_peers
from gantry.services.process.policy_peers import PolicyPeers
from gantry.services.process.quotas import quota_of
from gantry.services.process.recording import audited, open_trail, record_life
from gantry.services.process.searchable import say_what_is_missing, searchable
from gantry.services.process.seeing import SeeingService
from gantry.services.process.stores import Stores, open_orders, open_side_index, open_stores
from gantry.services.process.supervision import Companion
from gantry.services.process.system_metrics import SystemMetrics, folders_of, version_of
from gantry.services.process.tracing import open_tracer
from gantry.services.process.user_identities import UserFile, UserIdentities
from gantry.services.process.verification import VerificationService
from gantry.services.process.viewing import ViewingService, viewing
from gantry.services.process.visible import of_seen_studies
from gantry.services.roles import Role, dimse_port, http_port

logger = get_logger("archive")

_READ_FIRST = (Role.COMMITMENT, Role.ORDERS)
"""Roles that read the log before they answer: if stores are late, these roles start after them."""
_WEB_SERVICES = frozenset(service.value for service in WebService)


class Interposed(Protocol):
    """Hooks between the network and the services, for tests that observe or inject faults (`gantry.testing`)."""

    any_title: bool
    """Whether unknown AE titles from this machine are admitted, as with `lab`, which also opens the HTTP port to it."""

    def admission(self, inner: Admission) -> Admission: ...

    def observer(self, inner: ServerObserver) -> ServerObserver: ...

    def service(self, inner: Service) -> Service: ...


class Archive:
    """A component of the lifecycle: everything but the health server."""

    name = "archive"

    def __init__(
        self,
        settings: Settings,
        roles: frozenset[Role],
        config: Path | None,
        clock: Clock,
        *,
        worker: int | None = None,
        companion: Companion | None = None,
        http_socket: socket.socket | None = None,
        interposed: Interposed | None = None,
    ) -> None:
        """`worker` numbers a process among several that share the DIMSE port; None if there is only one. `companion` is
        the process that has the indexer role in place of this one. Health is served on `http_socket` if it is given.
        """
        self.settings = settings
        self.roles = roles
        self.metrics = Metrics()
        self.clock = clock
        self.dimse_port: int | None = None
        self.dimse_tls_port: int | None = None
        self.lifecycle = Lifecycle([self], clock, settings.drain)
        file = settings.peers_file or config
        if file is not None and not file.is_absolute() and config is not None and settings.peers_file is not None:
            file = config.parent / file
        any_title = settings.lab or (interposed is not None and interposed.any_title)
        self._tracer, self._end_tracing = open_tracer(settings, clock, [role.value for role in roles])
        self._audit = open_trail(settings, clock, self.metrics, [role.value for role in roles])
        self._origins = self._proven_origins("dimse")
        called = bool(roles - {Role.INDEXER})
        self._policy = PolicyFile(file, settings.dimse.ae_title, any_title, self._policy_outcome, whole=not called)
        self._added_peers: FollowedPeers | None = None
        self._users = UserFile(settings.access.users_file)
        self._certificates = Certificates(settings.tls, self._policy_outcome)
        self.peers = PolicyPeers(self._policy, self._certificates, settings.retrieve)
        if settings.dimse.tls_port is not None and not self._certificates.speaks_tls:
            raise ConfigError("dimse.tls_port", None, "needs tls.certificate and tls.key")
        self._require_views()
        self._stores: Stores | None = None
        self._completeness: Completeness | None = None
        self._answers: RestrictedIndex | None = None
        self._orders: FollowedOrders | None = None
        self._server: Server | None = None
        self._observer: NetworkObserver | None = None
        self._draining: list[Callable[[float], Awaitable[None]]] = []
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._worker = worker
        self._interposed = interposed
        self._indexes = Role.INDEXER in roles and companion is None
        self.health = self._health_server(companion, http_socket)
        for role in Role:
            if role in roles and role.value in _WEB_SERVICES:
                self.health.expect(WebService(role.value), self._why_not_yet)
        components: list[Component] = [self.health, self]
        if companion is not None:
            components.insert(1, companion)  # it starts while this one does
        self.lifecycle = Lifecycle(components, clock, settings.drain)

    def _proven_origins(self, port: str) -> ProvenOrigins | None:
        file = self.settings.door.key_file
        if file is None:
            return None
        refused = self.metrics.origins_refused
        return ProvenOrigins(DoorKey(file), self.clock, lambda *kind: refused.labels(*kind).inc(), port)

    def _require_views(self) -> None:
        """Raises `ConfigError` for an unknown view."""
        known = views_of(self.settings.lifecycle.views)
        peers = [(f"peer {title}", peer.view) for title, peer in self._policy.current.peers.items() if peer.view]
        roles = [("access.views", line.partition("=")[2]) for line in self.settings.access.views]
        for where, view in (*peers, *roles):
            if view not in known:
                raise ConfigError("lifecycle.views", None, f"{where} has the view {view}, which is unknown")

    async def run(self) -> int:
        """Serve until a signal; the exit code."""
        return await self.lifecycle.run()

    def _health_server(self, companion: Companion | None, http_socket: socket.socket | None) -> HttpServer:
        """The HTTP port, with one port for each of several workers."""
        settings, port = self.settings, http_port(self.roles, self.settings.http.port)
        return HttpServer(
            settings,
            port + (self._worker or 0) if port else 0,
            self.metrics,
            lambda: "" if self.lifecycle.state is Phase.READY else self.lifecycle.state.value,
            {"object store": self._check_objects, "event log": self._check_log, "index": self._check_index}
            | {"peers": lambda: check_peers(self._added_peers)},
            fresh={} if companion is None else {companion.name: companion.check},
            sock=http_socket,
            other_metrics=() if companion is None else (companion.metrics,),
            # The companion's metrics are all added to ours: these would count twice.
            refresh=SystemMetrics(settings, self.metrics).refresh if http_socket is None else lambda: None,
            tracer=self._tracer,
            witness=RequestAudit(self._audit, self.clock),
            origins=self._origins,
            certificates=self._certificates,
        )

    # ---- the lifecycle's side

    async def start(self) -> None:
        stores = self._stores = await open_stores(
            self.settings, self.clock, wait=True, worker=self._worker or 0, ingests=Role.INGEST in self.roles
        )
        unaudited, stores.log = stores.log, audited(stores.log, stores.index, self._audit)
        if self._audit.on:
            record_life(self._audit, AuditKind.STARTED)
            self.lifecycle.watch(self._audit.run(unaudited), "audit")
        for late in stores.late:
            self.lifecycle.watch(late.keep_trying(), late.name)
        self.lifecycle.watch(say_what_is_missing(self.settings, stores.index), "attributes")
        if not self._policy.current.whole:
            self._added_peers = follow_peers(stores.log, self.clock, self._policy, self.metrics)
            self.lifecycle.watch(self._added_peers.run(), "peers")
            await read_peers(self._added_peers)
        self._completeness = Completeness(stores.objects, stores.log, stores.index, self.clock)
        context = self._context(stores, self._completeness)
        services: list[Service] = []
        # Ingest comes before retrieve: both use the storage abstract syntaxes.
        for role in (Role.INGEST, Role.QUERY, Role.RETRIEVE):
            if role in self.roles:
                parts = self._take(await build_role(role, context), seen_by_views=role is not Role.INGEST)
                # Ingest sees everything: existing objects decide how new ones are stored.
                services += parts if role is Role.INGEST else [SeeingService(part, self.peers.sight) for part in parts]
        if Role.RETRIEVE in self.roles:
            self._take(await build_copies(context))
        if Role.INGEST in self.roles:
            self._take(await build_lifecycle(context))
            self._take(await build_operations(context))
        if self.settings.upkeep.report_every:
            heartbeat = Heartbeat(stores.log, self.clock, self._own_roles(), version_of(), self._vitals())
            self.lifecycle.watch(heartbeat.run(self.settings.upkeep.report_every), "heartbeat")
            self._closing.append(heartbeat.end)
        groups = await self._begin_indexing(context) if self._indexes else []
        if Role.RETRIEVE in self.roles and (others := other_stores(self.settings, stores)):
            self.lifecycle.watch(OtherStores(others, self.clock, self.metrics).run(), "other stores")
        self.lifecycle.watch(report_lag(stores.log, groups, self.clock, self.metrics), "lag")
        waiting = [role for role in _READ_FIRST if role in self.roles]
        if services or waiting:
            self.lifecycle.watch(self._policy.watch(self.clock), "policy")
            self.lifecycle.watch(self._certificates.watch(self.clock), "certificates")
        with suppress(NotImplementedError, RuntimeError):  # not on the main thread, in tests
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._policy.reload)
        later = [(role, asyncio.create_task(build_role(role, context))) for role in waiting]
        self._closing.append(lambda: end_tasks(*(building for _, building in later)))
        if not stores.late:
            services += await self._built(later)
        if services or waiting:
            await self._listen([VerificationService(), *services])
        for role, building in later:
            self.lifecycle.watch(self._add_later(building), role.value)

    async def drain(self) -> None:
        server = [] if self._server is None else [self._server.drain]
        await asyncio.gather(*(drain(self.settings.drain) for drain in (*server, *self._draining)))

    async def close(self) -> None:
        for close in self._closing:
            await close()
        if self._orders is not None:
            await self._orders.close()
        if self._audit.on and self._stores is not None:
            record_life(self._audit, AuditKind.STOPPED)
            await self._audit.close(self._stores.log)
        if self._completeness is not None:
            await self._completeness.close()
        if self._stores is not None:
            await self._stores.close()
        await self._end_tracing()

    # ---- inside

    def _context(self, stores: Stores, completeness: Completeness) -> Context:
        followed = follow_shares(self.health.shares, stores.log, self.clock, self.lifecycle)
        answering: ReadIndex = CompleteIndex(stores.index, completeness)
        if followed is not None:
            attributes = searchable(self.settings)
            open_index = partial(open_side_index, attributes=attributes)
            answering = copies = CopiesIndex(answering, stores.objects, followed, open_index, attributes, self.clock)
            self._closing.append(copies.close)
        answers = self._answers = RestrictedIndex(answering)
        orders = self._orders = FollowedOrders(open_orders, stores.objects, stores.log, self.clock, self.metrics)
        return Context(
            self.settings,
            self.clock,
            self.metrics,
            stores.objects,
            stores.log,
            stores.index,
            answers,
            searchable(self.settings),
            self.peers,
            self._tracer,
            orders,
            self._audit,
            stores.tiers,
            shares_ports=self._worker is not None,
            issuers=self.health.issuers,
            sessions=self.health.sessions,
            overrides=self.health.overrides,
            shares=self.health.shares,
            followed_shares=followed,
            followed_sessions=follow_sessions(
                self.health.sessions,
                stores.objects,
                stores.log,
                self.clock,
                self.settings.login.longest,
                self.lifecycle,
            ),
            message_origins=self._proven_origins("hl7"),
            followed_subscriptions=self._follow_subscriptions(stores),
            followed_peers=self._added_peers,
            quota=quota_of(self.settings, stores.objects, self.clock, self.metrics),
        )

    def _take(self, parts: RoleParts, *, seen_by_views: bool = False) -> list[Service]:
        """Start the parts of a role; returns its DIMSE services. `seen_by_views`: they show rejected instances to peers
        whose view includes them."""
        answers = self._answers
        web = parts.web if answers is None else of_seen_studies(parts.web, answers)
        self.health.serve(viewing(web, self.settings.access.views) if seen_by_views else web)
        for name, work in parts.background:
            self.lifecycle.watch(work, name)
        self._draining += parts.drain
        self._closing += parts.close
        if seen_by_views:
            return [ViewingService(service, self.peers.view_of) for service in parts.dimse]
        return list(parts.dimse)

    def _follow_subscriptions(self, stores: Stores) -> FollowedSubscriptions | None:
        """Follow subscriptions if a role here answers queries about them, or notifies subscribers."""
        if not self.settings.subscriptions.is_on or not (self._indexes or Role.QUERY in self.roles):
            return None
        return follow_subscriptions(stores.log, self.clock, self.lifecycle)

    def _own_roles(self) -> frozenset[Role]:
        """The roles of this process itself, without those of the companion."""
        return self.roles if self._indexes else self.roles - {Role.INDEXER}

    def _vitals(self) -> Vitals:
        def associations() -> int:
            return 0 if self._observer is None else self._observer.open_by_title.total()

        def transfers() -> int:
            return int(self.metrics.registry.get_sample_value("gantry_transfers_running") or 0)

        return Vitals(self.health.problems, associations, transfers, folders_of(self.settings))

    async def _begin_indexing(self, context: Context) -> list[str]:
        """Start indexing; returns the consumer groups of this process."""
        from gantry.services.auditing import app as auditing_app
        from gantry.services.completion import app as completion_app
        from gantry.services.indexer import app as indexer_app
        from gantry.services.indexer.rebuild import Rebuild
        from gantry.services.lifecycle.app import build_expiry
        from gantry.services.maintenance import app as maintenance_app
        from gantry.services.maintenance.completeness import Refill
        from gantry.services.webhooks import app as webhooks_app
        from gantry.services.webhooks import subscriptions_app

        indexing, upkeep = await indexer_app.build(context), await maintenance_app.build(context)
        webhooks, subscriptions = await webhooks_app.build(context), await subscriptions_app.build(context)
        completion, repository = await completion_app.build(context), await auditing_app.build(context)
        expiry = await build_expiry(context)
        for parts in (indexing, upkeep, webhooks, subscriptions, completion, repository, expiry):
            self._take(parts)
        if self._completeness is not None and self.settings.index_url.startswith("sqlite:"):
            # Several indexers on one cluster would each rebuild it: there, a person runs `gantry reindex`.
            objects, table = context.objects, context.attributes
            refill = Refill(
                self._completeness,
                objects,
                context.log,
                context.index,
                lambda index: Rebuild(objects, index, table),
                self.clock,
                table,
            )
            self.lifecycle.watch(refill.run(), "refill")
        return [*indexing.groups, *upkeep.groups, *webhooks.groups, *subscriptions.groups, *repository.groups]

    async def _built(self, later: list[tuple[Role, asyncio.Task[RoleParts]]]) -> list[Service]:
        """The services of roles that have read the log; they are removed from `later`. With other roles in the process,
        it does not wait for long: a hundred thousand orders take half a minute."""
        patience = self.settings.orders.start_within if len(self.roles) > 1 else None
        services: list[Service] = []
        for role, building in list(later):
            await asyncio.wait([building], timeout=None if role is Role.COMMITMENT else patience)
            if building.done():
                later.remove((role, building))
                services += self._take(building.result())
        return services

    async def _add_later(self, building: asyncio.Task[RoleParts]) -> None:
        for service in self._take(await building):
            if self._server is not None:
                self._server.add(service if self._interposed is None else self._interposed.service(service))

    def _why_not_yet(self) -> str:
        return "ending" if self.lifecycle.state is Phase.DRAINING else "starting: try again in a moment"

    async def _listen(self, services: Sequence[Service]) -> None:
        dimse = self.settings.dimse
        role = "all" if len(self.roles) > 1 else next(iter(self.roles)).value
        records = self._record_associations(role)
        traced = records, self._tracer, AssociationAudit(self._audit)
        observer = self._observer = NetworkObserver(self.metrics, role, self._knows, self.health.suspect, *traced)
        own = self.peers.admission = PolicyAdmission(
            lambda: self._policy.current,
            StorageClasses(self.settings.dimse.private_sop_classes),
            observer.open_by_title,
        )
        users = self._user_identities(own)
        limits = ServerLimits(
            artim=dimse.artim,
            pdu_deadline=dimse.pdu_deadline,
            idle=dimse.idle_timeout,
            associations=dimse.max_associations,
            associations_per_peer=dimse.max_associations_per_peer,
            contexts=dimse.max_contexts,
            command_set=dimse.max_command_set,
            window=dimse.async_window,
            backlog=dimse.listen_backlog,
            proxy_from=dimse.proxy_from,
            upper_layer=PduLimits(dimse.max_pdu, dimse.max_associate_request),
            unassociated_per_peer=dimse.unassociated_per_address,
        )
        admission: Admission = own
        heard: ServerObserver = observer
        if self._interposed is not None:
            admission, heard = self._interposed.admission(admission), self._interposed.observer(heard)
            services = [self._interposed.service(service) for service in services]
        self._server = Server(
            services,
            admission,
            heard,
            limits=limits,
            tracer=self._tracer,
            stands_for=stands_for,
            users=users,
            origins=self._origins,
            paces=PeerPaces(lambda: self._policy.current, self.metrics),
        )
        tls = self._certificates.server if self._certificates.speaks_tls else None
        self.dimse_port = await self._open_port(dimse.port, tls if dimse.tls_port is None else None)
        if dimse.tls_port is not None:
            self.dimse_tls_port = await self._open_port(dimse.tls_port, tls)

    def _user_identities(self, admission: PolicyAdmission) -> UserIdentities:
        access = self.settings.access
        users = UserIdentities(
            self._users,
            self.health.issuers,
            lambda: self._policy.current,
            role_table(access.roles),
            rules_of(access.sees, access.confidential),
            admission.syntaxes_of,
            self.clock,
            self.metrics,
        )
        self._closing.append(users.close)
        return users

    def _record_associations(self, role: str) -> AssociationRecords:
        log = self._opened("event log").log
        records = AssociationRecords(role, self.clock, self.metrics)
        self.lifecycle.watch(records.run(log), "association records")
        self._closing.append(lambda: records.flush(log))
        return records

    async def _open_port(self, configured: int, tls: Callable[[], ssl.SSLContext] | None) -> int:
        dimse, port = self.settings.dimse, dimse_port(self.roles, configured)
        assert self._server is not None
        shared = self._worker is not None
        try:
            bound = await self._server.start(dimse.host, port, tls=tls, reuse_port=shared)
        except OSError as error:
            raise ConfigError("dimse", None, f"cannot listen on port {port}: {in_words(error)}") from error
        logger.info("listening", ae_title=dimse.ae_title, port=bound, tls=tls is not None)
        return bound

    def _knows(self, title: str) -> bool:
        return title in self._policy.current.peers

    def _policy_outcome(self, outcome: str) -> None:
        self.metrics.config_reloads.labels(outcome).inc()
        if outcome == "taken":
            record_life(self._audit, AuditKind.POLICY)

    async def _check_objects(self) -> None:
        await self._opened("object store").objects.check()

    async def _check_log(self) -> None:
        await self._opened("event log").log.check()

    async def _check_index(self) -> None:
        await self._opened("index").index.check()
        if self._completeness is not None:
            await self._completeness.check()

    def _opened(self, dependency: str) -> Stores:
        # Do not return "well": it would be reused for a moment after the start, before any check of the stores.
        if self._stores is None:
            raise DependencyUnavailable(dependency, "not opened yet")
        return self._stores
