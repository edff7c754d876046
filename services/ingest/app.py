"""Wiring of the ingest role."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from gantry.common.config.network_sections import rejecting_tokens
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.lifecycle import retention_rules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.runtime.order_finding import OrderFinder
from gantry.common.runtime.rejections import rejection_rules
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.services.context import Context, RoleParts
from gantry.services.ingest.c_store import StorageService
from gantry.services.ingest.commit import IngestSettings, InstanceWriter
from gantry.services.ingest.rejection_checks import RejectionChecks
from gantry.services.ingest.stow.handler import StoreInstances
from gantry.services.ingest.subsequent_checks import SubsequentChecks


async def build(context: Context) -> RoleParts:
    """C-STORE and STOW-RS, in any transfer syntax."""
    settings = context.settings
    rules = rejection_rules(settings.lifecycle)
    retention = retention_rules(settings.lifecycle.retention, context.attributes)
    coercion, orders = coercion_rules(settings.coercion.rules), None
    if coercion is not None and coercion.asks_orders:
        index, follower = context.orders.begin()
        within = min(settings.coercion.orders_within, settings.storage.deadline / 2)
        orders = OrderFinder(index, follower.caught_up, context.clock, within)
    writer = InstanceWriter(
        context.objects,
        context.log,
        context.clock,
        ThreadPoolExecutor(2, thread_name_prefix="ingest"),
        context.metrics,
        IngestSettings(settings.dimse.max_object, settings.storage.deadline, settings.coercion.answer == "warning"),
        RejectionChecks(
            context.objects, context.answers, context.log, context.clock, rules, retention, settings.lifecycle.grace
        ),
        coercion,
        SubsequentChecks(
            context.answers, context.log, context.clock, rules.policy, context.metrics.subsequent_occurrences
        ),
        orders,
        context.quota,
    )
    classes = StorageClasses(settings.dimse.private_sop_classes)
    storage = StorageService(
        {uid: Ability() for uid in classes}, writer, context.peers.may_store, context.peers.rejects
    )
    stow = StoreInstances(writer, classes, settings.http.stall, settings.http.url, rejecting_tokens(settings.http))
    background = [] if orders is None else [("orders for coercion", context.orders.run())]
    if context.quota is not None:
        await context.quota.start()
        background.append(("quota", context.quota.run()))
    return RoleParts([storage], {Resource.STORE: stow}, background=background)
