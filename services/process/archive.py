"""One process of the archive: its stores, its roles, its ports."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from gantry.common.clock import Clock
from gantry.common.config.policy import Destination
from gantry.common.config.reload import PolicyFile
from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates
from gantry.common.dicom.standard.sop_classes import StorageClasses, stands_for
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import Association, Peer, Server, ServerLimits, Service
from gantry.common.net.server import Admission, ServerObserver
from gantry.common.ports.index import Location, ReadIndex
from gantry.common.runtime.consumer import ConsumerLoop, report_lag
from gantry.common.runtime.integrity import Damage
from gantry.common.runtime.lifecycle import Component, Lifecycle, Phase
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.common.ul import PduLimits
from gantry.common.web.routes import WebRole as WebService
from gantry.services.maintenance.completeness import CompleteIndex, Completeness
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.http import HttpServer, in_words
from gantry.services.process.searchable import say_what_is_missing, searchable
from gantry.services.process.stores import Stores, open_stores
from gantry.services.process.supervision import Companion
from gantry.services.process.system_metrics import SystemMetrics
from gantry.services.process.verification import VerificationService
from gantry.services.roles import Role, dimse_port, http_port

if TYPE_CHECKING:
    from gantry.services.retrieve.pixels.converter import Converter

logger = get_logger("archive")

_WEB_SERVICES = frozenset(service.value for service in WebService)


class Interposed(Protocol):
    """Stands between the network and the services: what a test wants to see or to go wrong (`gantry.testing`)."""

    any_title: bool
    """Whether unknown AE titles of this machine get in, as with `lab`, which also opens the HTTP port to it."""

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
        """`worker` numbers a process among several that share the DIMSE port; None where there is one. `companion` is
        the process that has the indexer role in place of this one. Health is told on `http_socket` where one is given.
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
        self._policy = PolicyFile(file, settings.dimse.ae_title, any_title, self._policy_outcome)
        self._certificates = Certificates(settings.tls, self._policy_outcome)
        if settings.dimse.tls_port is not None and not self._certificates.speaks_tls:
            raise ConfigError("dimse.tls_port", None, "needs tls.certificate and tls.key")
        self._stores: Stores | None = None
        self._completeness: Completeness | None = None
        self._losses: Losses | None = None
        self._server: Server | None = None
        self._converter: Converter | None = None
        self._allowed: WeakKeyDictionary[Association, bool] = WeakKeyDictionary()
        self._consumer: ConsumerLoop | None = None
        self._upkeep: ConsumerLoop | None = None
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
            {"object store": self._check_objects, "event log": self._check_log, "index": self._check_index},
            fresh={} if companion is None else {companion.name: companion.check},
            sock=http_socket,
            other_metrics=() if companion is None else (companion.metrics,),
            # The companion's would be added to these, as all of its metrics are.
            refresh=SystemMetrics(settings, self.metrics).refresh if http_socket is None else lambda: None,
        )

    # ---- the lifecycle's side

    async def start(self) -> None:
        stores = self._stores = await open_stores(
            self.settings, self.clock, wait=True, worker=self._worker or 0, ingests=Role.INGEST in self.roles
        )
        for late in stores.late:
            self.lifecycle.watch(late.keep_trying(), late.name)
        self.lifecycle.watch(say_what_is_missing(self.settings, stores.index), "attributes")
        self._completeness = Completeness(stores.objects, stores.log, stores.index, self.clock)
        services = self._services(stores)
        groups = self._begin_indexing(stores) if self._indexes else []
        self.lifecycle.watch(report_lag(stores.log, groups, self.clock, self.metrics), "lag")
        if services or Role.COMMITMENT in self.roles:
            self.lifecycle.watch(self._policy.watch(self.clock), "policy")
            self.lifecycle.watch(self._certificates.watch(self.clock), "certificates")
        with suppress(NotImplementedError, RuntimeError):  # not on the main thread, in tests
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._policy.reload)
        if Role.COMMITMENT in self.roles and not stores.late:
            services += await self._commitment(stores)
        if services or Role.COMMITMENT in self.roles:
            await self._listen([VerificationService(), *services])
        if Role.COMMITMENT in self.roles and stores.late:
            # It learns first which transactions there were, so it comes when its stores have come.
            self.lifecycle.watch(self._commitment_later(stores), "commitment")

    async def drain(self) -> None:
        if self._server is not None:
            await self._server.drain(self.settings.drain)
        for loop in (self._consumer, self._upkeep):
            if loop is not None:
                loop.stop()

    async def close(self) -> None:
        if self._converter is not None:
            await self._converter.close()
        if self._losses is not None:
            await self._losses.close()
        if self._completeness is not None:
            await self._completeness.close()
        if self._stores is not None:
            await self._stores.close()

    # ---- inside

    # What a role needs is imported where the role is played: a process has the memory of its own roles alone.

    def _begin_indexing(self, stores: Stores) -> list[str]:
        """The consumer groups that this process is in then."""
        from gantry.services.indexer import app as indexer_app
        from gantry.services.indexer.rebuild import Rebuild
        from gantry.services.maintenance import sealing
        from gantry.services.maintenance.collector import Collector
        from gantry.services.maintenance.completeness import Refill
        from gantry.services.maintenance.conflicts import report_aside
        from gantry.services.maintenance.sweeper import Sweeper
        from gantry.services.maintenance.verify import Verifier

        self._consumer = indexer_app.build(
            stores.objects, stores.log, stores.index, self.clock, self.metrics, searchable(self.settings)
        )
        self.lifecycle.watch(self._consumer.run(), "indexer")
        if self._completeness is not None and self.settings.index_url.startswith("sqlite:"):
            # Of several indexers on one cluster each would build it: there, a person runs `gantry reindex`.
            table = searchable(self.settings)
            refill = Refill(
                self._completeness,
                stores.objects,
                stores.log,
                stores.index,
                lambda index: Rebuild(stores.objects, index, table),
                self.clock,
                table,
            )
            self.lifecycle.watch(refill.run(), "refill")
        upkeep = self.settings.upkeep
        if upkeep.sweep_every:
            sweeper = Sweeper(
                stores.objects, stores.log, self.clock, self.metrics, upkeep.sweep_grace, upkeep.unfinished_after
            )
            self.lifecycle.watch(sweeper.run(upkeep.sweep_every, upkeep.sweep_window), "sweeper")
        if upkeep.verify_every:
            losses = Losses(stores.log, self.clock, self.metrics, "verify")
            parts = stores.objects, stores.index, losses, self.clock, self.metrics, DEFAULT_PARTITION
            self.lifecycle.watch(Verifier(*parts, rate=upkeep.verify_rate).run(upkeep.verify_every), "verify")
        lifecycle = self.settings.lifecycle
        if lifecycle.collect_every:
            collector = Collector(
                stores.objects,
                stores.log,
                stores.index,
                self.clock,
                self.metrics,
                DEFAULT_PARTITION,
                grace=lifecycle.grace,
                followers=(indexer_app.GROUP, sealing.GROUP) if self.settings.upkeep.archive else (indexer_app.GROUP,),
            )
            self.lifecycle.watch(collector.run(lifecycle.collect_every), "collector")
        self.lifecycle.watch(report_aside(stores.index, self.clock, self.metrics), "aside")
        if upkeep.archive:
            self._upkeep = sealing.build(stores.objects, stores.log, self.clock, self.metrics, upkeep.seal_every)
            self.lifecycle.watch(self._upkeep.run(), "archiver")
        return [indexer_app.GROUP, sealing.GROUP]

    def _services(self, stores: Stores) -> list[Service]:
        """The DIMSE services of our roles but commitment. Ingest stands before retrieve: both use the storage abstract
        syntaxes."""
        found: list[Service] = []
        if Role.INGEST in self.roles:
            found += self._ingest(stores)
        if Role.QUERY in self.roles:
            found += self._query(stores)
        if Role.RETRIEVE in self.roles:
            found += self._retrieve(stores)
        return found

    async def _commitment_later(self, stores: Stores) -> None:
        for service in await self._commitment(stores):
            if self._server is not None:
                self._server.add(service if self._interposed is None else self._interposed.service(service))

    def _why_not_yet(self) -> str:
        return "ending" if self.lifecycle.state is Phase.DRAINING else "starting: try again in a moment"

    def _ingest(self, stores: Stores) -> list[Service]:
        from gantry.services.ingest import app as ingest_app
        from gantry.services.ingest.commit import IngestSettings
        from gantry.services.lifecycle import app as lifecycle_app

        settings = self.settings
        services, handlers = ingest_app.build(
            stores.objects,
            stores.log,
            self.clock,
            self.metrics,
            self._may_store,
            IngestSettings(settings.dimse.max_object, settings.storage.deadline),
            settings.dimse.private_sop_classes,
            settings.http.stall,
            settings.http.url,
        )
        self.health.serve(handlers)
        index, grace = self._complete(stores), settings.lifecycle.grace
        self.health.serve(lifecycle_app.build(stores.log, index, self.clock, settings.http.may_delete, grace))
        return services

    def _query(self, stores: Stores) -> list[Service]:
        from gantry.services.query import app as query_app

        settings = self.settings
        self.health.serve(query_app.build_page(settings.http.ohif, settings.dimse.ae_title, settings.dimse.port))
        self.health.serve(query_app.build_web(self._complete(stores), settings.http.url))
        return query_app.build(
            self._complete(stores),
            settings.dimse.ae_title,
            self.metrics,
            strict=settings.query.patient_root_needs_patient,
        )

    def _complete(self, stores: Stores) -> ReadIndex:
        """The index for those who answer others."""
        if self._completeness is None:
            raise RuntimeError("the archive was not started")
        return CompleteIndex(stores.index, self._completeness)

    def _retrieve(self, stores: Stores) -> list[Service]:
        from gantry.services.retrieve import app as retrieve_app
        from gantry.services.retrieve.damage import MISSING, DamageReports
        from gantry.services.retrieve.dicomweb.objects import WebSettings
        from gantry.services.retrieve.dimse.service import RetrieveSettings
        from gantry.services.retrieve.pixels.converter import Converter
        from gantry.services.retrieve.unindexed import Locator

        http, retrieve = self.settings.http, self.settings.retrieve
        converter = self._converter = Converter()
        web = WebSettings(http.url, retrieve.metadata_memory, http.stall)
        losses = self._losses = Losses(stores.log, self.clock, self.metrics, "retrieve")

        def lost(location: Location, reason: str) -> None:
            damage = Damage.MISSING if reason == MISSING else Damage.DAMAGED
            losses.report_soon(DEFAULT_PARTITION, location, damage)

        reports = DamageReports(self.metrics, lost)
        locator = Locator(self._complete(stores), stores.log, self.clock)
        self.health.serve(retrieve_app.build_web(stores.objects, locator, converter, web, reports))
        return retrieve_app.build(
            stores.objects,
            locator,
            self._destination,
            self.clock,
            converter,
            self._storage_classes,
            self.metrics,
            RetrieveSettings(retrieve.suboperation_retries + 1, retrieve.window, retrieve.retry_delay),
            reports,
            response_timeout=retrieve.response_timeout,
            read_ahead=(retrieve.read_ahead, retrieve.read_ahead_total),
            parallel=(retrieve.parallel_destinations, retrieve.parallel_per_destination),
        )

    async def _commitment(self, stores: Stores) -> list[Service]:
        from gantry.services.commitment import app as commitment_app

        services, worker = await commitment_app.build(
            stores.objects,
            self._complete(stores),
            stores.log,
            self._contact,
            self.clock,
            self.metrics,
            self.settings.commitment,
        )
        self.lifecycle.watch(worker.run(), "commitment")
        return services

    @property
    def _storage_classes(self) -> tuple[str, ...]:
        return tuple(StorageClasses(self.settings.dimse.private_sop_classes))

    async def _listen(self, services: Sequence[Service]) -> None:
        dimse = self.settings.dimse
        role = "all" if len(self.roles) > 1 else next(iter(self.roles)).value
        observer = NetworkObserver(self.metrics, role, self._knows, self.health.suspect)
        self._admission = PolicyAdmission(
            lambda: self._policy.current,
            self._storage_classes,
            observer.open_by_title,
        )
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
        admission: Admission = self._admission
        heard: ServerObserver = observer
        if self._interposed is not None:
            admission, heard = self._interposed.admission(admission), self._interposed.observer(heard)
            services = [self._interposed.service(service) for service in services]
        self._server = Server(services, admission, heard, limits=limits, new_trace=new_trace, stands_for=stands_for)
        tls = self._certificates.server if self._certificates.speaks_tls else None
        self.dimse_port = await self._open_port(dimse.port, tls if dimse.tls_port is None else None)
        if dimse.tls_port is not None:
            self.dimse_tls_port = await self._open_port(dimse.tls_port, tls)

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

    def _may_store(self, association: Association) -> bool:
        """Asked once per association: a policy that changes holds for the next one."""
        allowed = self._allowed.get(association)
        if allowed is None:
            allowed = self._allowed[association] = self._admission.may_store(
                association.calling_ae_title,
                association.called_ae_title,
                association.peer_address,
                association.peer_speaks_tls,
            )
        return allowed

    def _knows(self, title: str) -> bool:
        return title in self._policy.current.peers

    def _policy_outcome(self, outcome: str) -> None:
        self.metrics.config_reloads.labels(outcome).inc()

    def _destination(self, title: str, ours: str) -> Peer | None:
        return self._peer(self._policy.current.destination(title), ours)

    def _contact(self, title: str, ours: str) -> Peer | None:
        return self._peer(self._policy.current.contact(title), ours)

    def _peer(self, known: Destination | None, ours: str) -> Peer | None:
        if known is None:
            return None
        tls = self._certificates.client() if known.tls else None
        retrieve_settings = self.settings.retrieve
        return Peer(
            known.host,
            known.port,
            known.ae_title,
            ours,
            tls=tls,
            connect_timeout=retrieve_settings.connect_timeout,
            associate_timeout=retrieve_settings.associate_timeout,
        )

    async def _check_objects(self) -> None:
        await self._opened("object store").objects.check()

    async def _check_log(self) -> None:
        await self._opened("event log").log.check()

    async def _check_index(self) -> None:
        await self._opened("index").index.check()
        if self._completeness is not None:
            await self._completeness.check()

    def _opened(self, dependency: str) -> Stores:
        # Not "well": that would be told again for a moment after the start, when nobody has asked the stores yet.
        if self._stores is None:
            raise DependencyUnavailable(dependency, "not opened yet")
        return self._stores
