"""Wires the tasks beside the indexer: sweeper, collector, verification, comparison with the index, moves between object
stores, sealing and statements about it, and the counts of conflicts and of stored objects."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gantry.common.events import INDEXERS
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import retention_rules, tier_rules
from gantry.common.runtime.losses import Losses
from gantry.services.context import Context, RoleParts
from gantry.services.maintenance import sealing
from gantry.services.maintenance.collector import Collector
from gantry.services.maintenance.conflicts import report_aside
from gantry.services.maintenance.dead_letters import report_open
from gantry.services.maintenance.evidence.witness import Witness, signing_keys
from gantry.services.maintenance.reconciling import Reconciler
from gantry.services.maintenance.sweeper import Sweeper
from gantry.services.maintenance.tiers.tiering import Tiering
from gantry.services.maintenance.usage import UsageCounter
from gantry.services.maintenance.verify import Verifier

_DAY_SECONDS = 24 * 3600


async def build(context: Context) -> RoleParts:
    """The tasks that the settings of `upkeep` enable."""
    upkeep = context.settings.upkeep
    objects, log, index = context.objects, context.log, context.index
    clock, metrics = context.clock, context.metrics
    background: list[tuple[str, Coroutine[Any, Any, None]]] = [
        ("aside", report_aside(index, clock, metrics)),
        ("dead letters", report_open(log, clock, metrics)),
    ]
    if upkeep.sweep_every:
        sweeper = Sweeper(objects, log, clock, metrics, upkeep.sweep_grace, upkeep.unfinished_after)
        background.append(("sweeper", sweeper.run(upkeep.sweep_every, upkeep.sweep_window)))
    if upkeep.verify_every:
        losses = Losses(log, clock, metrics, "verify")
        verifier = Verifier(objects, index, losses, clock, metrics, DEFAULT_PARTITION, rate=upkeep.verify_rate)
        background.append(("verify", verifier.run(upkeep.verify_every)))
    if upkeep.archive and upkeep.reconcile_every:
        parts = objects, log, context.answers, clock, metrics, DEFAULT_PARTITION
        background.append(("reconcile", Reconciler(*parts, rate=upkeep.reconcile_rate).run(upkeep.reconcile_every)))
    if upkeep.usage_every:
        counter = UsageCounter(objects, context.answers, clock, metrics, DEFAULT_PARTITION, rate=upkeep.usage_rate)
        background.append(("usage", counter.run(upkeep.usage_every)))
    audit = context.settings.audit
    if upkeep.archive and audit.evidence_key is not None and audit.evidence_every:
        witness = Witness(objects, clock, metrics, DEFAULT_PARTITION, signing_keys(audit.evidence_key))
        background.append(("witness", witness.run(audit.evidence_every)))
    tiers = context.settings.tiers
    if context.tiers is not None and tiers.every:
        tiering = Tiering(
            context.tiers,
            log,
            index,
            clock,
            metrics,
            DEFAULT_PARTITION,
            tier_rules(tiers.rules, context.attributes),
            rate=tiers.rate,
            grace=tiers.grace,
            wanted_us=tiers.restore_days * 24 * 3600 * 1_000_000,
        )
        background.append(("tiers", tiering.run(tiers.every)))
    lifecycle = context.settings.lifecycle
    if lifecycle.collect_every:
        # Before an object is removed, every indexer has read its deletion, and it is sealed if this archive seals.
        followers = (INDEXERS, sealing.GROUP) if upkeep.archive else (INDEXERS,)
        collector = Collector(
            objects,
            log,
            index,
            clock,
            metrics,
            DEFAULT_PARTITION,
            grace=lifecycle.grace,
            followers=followers,
            erase_after=lifecycle.erase_after,
            await_images=lifecycle.await_images * _DAY_SECONDS,
            rules=retention_rules(lifecycle.retention, context.attributes),
            note_first=lifecycle.note_first,
        )
        background.append(("collector", collector.run(lifecycle.collect_every)))
    if not upkeep.archive:
        return RoleParts(background=background, groups=[sealing.GROUP])
    archiver = sealing.build(objects, log, clock, metrics, upkeep.seal_every)

    async def stop(_: float) -> None:
        archiver.stop()

    return RoleParts(background=[*background, ("archiver", archiver.run())], groups=[sealing.GROUP], drain=[stop])
