"""Wiring of the ingest role."""

from __future__ import annotations

from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gantry.common.config.network_sections import rejecting_tokens
from gantry.common.config.policy import Permission
from gantry.common.config.values import REJECTION_CODES
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.lifecycle import retention_rules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.runtime.order_finding import OrderFinder
from gantry.common.runtime.rejections import rejection_rules
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.services.context import Context, Intake, RoleParts
from gantry.services.ingest.c_store import StorageService
from gantry.services.ingest.commit import IngestSettings, InstanceWriter
from gantry.services.ingest.rejection_checks import RejectionChecks
from gantry.services.ingest.stow.conflicts import ConflictReports
from gantry.services.ingest.stow.handler import StoreInstances
from gantry.services.ingest.subsequent_checks import SubsequentChecks


async def build(context: Context) -> RoleParts:
    """C-STORE and STOW-RS, in any transfer syntax."""
    settings, peers = context.settings, context.peers
    writer, classes = build_writer(context), StorageClasses(settings.dimse.private_sop_classes)
    storage = StorageService({uid: Ability() for uid in classes}, writer, peers.may_store, peers.rejects)
    conflicts = ConflictReports(context.answers, context.log)
    rejecting = rejecting_tokens(settings.http)
    stow = StoreInstances(writer, classes, settings.http.stall, settings.http.url, rejecting, conflicts)
    following = [("orders for coercion", context.orders.run())] if _asks_orders(context) else []
    following += await watched_quota(context)
    return RoleParts([storage], {Resource.STORE: stow}, background=following)


async def watched_quota(context: Context) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """The background task of the quota: once in a process, for whichever role asks first."""
    if context.quota is None or context.quota.begun:
        return []
    await context.quota.start()
    return [("quota", context.quota.run())]


def build_writer(context: Context) -> InstanceWriter:
    """The writer that commits objects. If coercion takes values from orders, the process must run these."""
    settings = context.settings
    rules = rejection_rules(settings.lifecycle)
    retention = retention_rules(settings.lifecycle.retention, context.attributes)
    orders = None
    if _asks_orders(context):
        index, follower = context.orders.begin()
        within = min(settings.coercion.orders_within, settings.storage.deadline / 2)
        orders = OrderFinder(index, follower.caught_up, context.clock, within)
    return InstanceWriter(
        context.objects,
        context.log,
        context.clock,
        ThreadPoolExecutor(2, thread_name_prefix="ingest"),
        context.metrics,
        IngestSettings(settings.dimse.max_object, settings.storage.deadline, settings.coercion.answer == "warning"),
        RejectionChecks(
            context.objects, context.answers, context.log, context.clock, rules, retention, settings.lifecycle.grace
        ),
        coercion_rules(settings.coercion.rules),
        SubsequentChecks(
            context.answers, context.log, context.clock, rules.policy, context.metrics.subsequent_occurrences
        ),
        orders,
        context.quota,
    )


def build_intake(context: Context) -> Intake:
    """The storage service for sub-operations of our C-GET, in a process that need not have this role: the same checks,
    coercion and commit, for a sender that the policy must allow to store."""
    peers, writer = context.peers, build_writer(context)
    abilities = {uid: Ability() for uid in StorageClasses(context.settings.dimse.private_sop_classes)}

    def intake(archive: str, trace: str) -> StorageService:
        known = next((peer for peer in peers.known() if peer.ae_title == archive), None)
        may = frozenset() if known is None else known.may
        rejects = frozenset() if known is None or Permission.REJECT not in may else known.rejects or REJECTION_CODES
        return StorageService(abilities, writer, lambda _: Permission.STORE in may, lambda _: rejects, (archive, trace))

    return intake


def _asks_orders(context: Context) -> bool:
    coercion = coercion_rules(context.settings.coercion.rules)
    return coercion is not None and coercion.asks_orders
