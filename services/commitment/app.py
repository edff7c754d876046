"""Wiring of the commitment role."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gantry.common.access import EVERYTHING, Sight
from gantry.common.clock import Clock
from gantry.common.commitment.wire import TRANSFER_SYNTAXES
from gantry.common.config.role_sections import Commitment
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT
from gantry.common.net import Service
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import Elsewhere
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.commitment.checks import CommitmentChecks
from gantry.services.commitment.delivery import ReportDelivery
from gantry.services.commitment.member import SNAPSHOT_AFTER, Member
from gantry.services.commitment.n_action import CommitmentService
from gantry.services.commitment.reports import Contacts, Reports
from gantry.services.commitment.results import Results
from gantry.services.commitment.snapshots import Snapshots
from gantry.services.commitment.taking import Takers
from gantry.services.commitment.transactions import TransactionLedger
from gantry.services.commitment.web import CommitmentRequests
from gantry.services.context import Context, RoleParts


async def build(context: Context) -> RoleParts:
    """Storage Commitment. Waits for the stores: it learns first which transactions there were."""
    services, handlers, member = await build_services(
        context.objects,
        context.answers,
        context.log,
        context.peers.contact,
        context.clock,
        context.metrics,
        context.settings.commitment,
        stall=context.settings.http.stall,
        sees=context.peers.sight_of,
    )
    return RoleParts(services, handlers, background=[("commitment", member.run())])


async def build_services(
    store: BlobStore,
    index: ReadIndex,
    log: EventLog,
    contacts: Contacts,
    clock: Clock,
    metrics: Metrics,
    settings: Commitment | None = None,
    snapshot_after: int = SNAPSHOT_AFTER,
    stall: float = 60.0,
    sees: Callable[[str], Sight] = lambda _: EVERYTHING,
) -> tuple[list[Service], dict[Resource, Handler], Member]:
    """The services of this role over DIMSE and HTTP, and the member, whose `run` the process runs beside them. A
    snapshot of transactions is written after `snapshot_after` events; a body may stall for `stall` seconds; `sees` says
    which studies an AE title sees."""
    settings = settings or Commitment()
    workers = ThreadPoolExecutor(settings.parallel_checks, thread_name_prefix="commitment")
    ledger = TransactionLedger()
    reports = Reports(contacts, settings)
    checks = CommitmentChecks(
        index, store, log, clock, workers, Losses(log, clock, metrics, "commitment"), settings, sees
    )
    results = Results(store)
    delivery = ReportDelivery(log, ledger, reports, results, clock, metrics, settings)
    takers = Takers(checks, delivery, clock, settings)
    member = Member(log, ledger, Snapshots(store, clock), checks, takers, delivery, clock, snapshot_after)
    await member.remember()
    # PS3.7 D.3.3.4: who calls back with a report is SCP, and we are SCU.
    abilities = {STORAGE_COMMITMENT: Ability(frozenset(TRANSFER_SYNTAXES), scu=True, notified=True)}
    elsewhere = Elsewhere(store, log, clock, metrics)
    service = CommitmentService(abilities, ledger, takers, log, clock, metrics, settings, elsewhere)
    requests = CommitmentRequests(ledger, takers, results, member.refresh, log, clock, metrics, settings, stall)
    return [service], requests.handlers(), member
