"""The commands that maintain the stores: `gantry sweep`, `verify`, `reconcile`, `reindex`, `reseal` and `restore`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gantry.common.amounts import in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.events import Event
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.consumer import ConsumerLimits
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.on_stores import options, persist, run, show
from gantry.services.commands.telling import telling_groups
from gantry.services.indexer import app as indexer_app
from gantry.services.indexer.decisions import tell
from gantry.services.indexer.rebuild import Rebuild
from gantry.services.maintenance.reconciling import Reconciled, Reconciler
from gantry.services.maintenance.reindex import Reindex, Reindexed
from gantry.services.maintenance.resealing import Resealing
from gantry.services.maintenance.restore import Restore, Restored
from gantry.services.maintenance.sweeper import Sweeper
from gantry.services.maintenance.verify import Verified, Verifier
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores

_AT_ONCE = 2000
_GATHER = 0.5
"""Events that a restore indexes together, and seconds to gather so many."""
_DAY_SECONDS = 24 * 3600


@click.command()
@options
@click.option("--all", "everything", is_flag=True, help="All objects, not only those of `upkeep.sweep_window`.")
def sweep(config: Path | None, data: Path | None, as_json: bool, everything: bool) -> None:
    """Find objects whose event was never published, and publish it; remove unfinished uploads.

    Runs automatically every `upkeep.sweep_every` seconds with the indexer role.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        swept = await _sweeper(stores, settings).sweep(None if everything else settings.upkeep.sweep_window)
        rows = [
            ("objects examined", swept.objects),
            ("events published", swept.told),
            ("objects that cannot be read", swept.unreadable),
            ("unfinished uploads removed", swept.unfinished),
        ]
        show(as_json, asdict(swept), ("sweep", "result"), rows)
        if swept.unreadable:
            sys.exit(1)

    run(config, data, work, on_record=False)


@click.command()
@options
@click.option(
    "--even-if-fewer", is_flag=True, help="Use the new index even if it has fewer instances than the present one."
)
def reindex(config: Path | None, data: Path | None, as_json: bool, even_if_fewer: bool) -> None:
    """Rebuild the search index beside the live one, and then replace the live one.

    Use it after an update that changed what can be searched, after a change of `index.attributes`, or if you do not
    trust the index. Meanwhile images are stored, indexed and found as usual. It can be interrupted and run again.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        def applying(index: SearchIndex) -> Rebuild:
            return Rebuild(stores.objects, index, attributes)

        attributes = searchable(settings)
        reindexing = Reindex(stores.objects, stores.log, stores.index, applying, SystemClock(), attributes)
        done = await reindexing.run(
            even_if_fewer, _say_reindexed if sys.stderr.isatty() and not as_json else lambda _: None
        )
        rows = [
            ("events applied", f"{done.facts} in {done.seconds:.1f} s"),
            ("events that can never be applied", done.refused),
            ("events of an unknown version", done.unknown),
            ("instances before", done.before),
            ("instances now", done.instances),
        ]
        show(as_json, asdict(done), ("reindex", "result"), rows)
        if done.unknown:
            sys.exit(1)

    run(config, data, work, any_index=True, on_record=False)


@click.command()
@options
@click.option("--again", is_flag=True, help="Work even if the log is not empty, beside running services.")
@click.option(
    "--wait", type=float, default=300.0, show_default=True, help="Seconds to wait for servers that are starting."
)
@click.option(
    "--tell-days",
    type=click.FloatRange(min=0),
    help="Report events of so many days to others again; `routing.give_up` if not given.",
)
def restore(
    config: Path | None, data: Path | None, as_json: bool, again: bool, wait: float, tell_days: float | None
) -> None:
    """Rebuild event log and search index from the object store alone.

    Use it if Kafka's volumes and OpenSearch's data are lost, and for drills. The log must be empty: run it before the
    services are started, or while only the indexer runs. An interrupted run continues when it is run again. With
    --again it also works beside running services.
    Receivers of routes, webhooks and subscriptions get no events older than --tell-days; those of a process that runs
    meanwhile get all events.
    """

    tries: list[Stores] = []

    async def work(stores: Stores, settings: Settings) -> None:
        clock = SystemClock()
        parts = stores.objects, stores.log, stores.index
        # In an old bucket many objects may be missing, and each is a dead letter; that must not stop us. All events
        # come at once, so larger batches pay the fixed cost of a batch a quarter as often.
        limits = ConsumerLimits(batch=_AT_ONCE, linger=_GATHER, dead_letters=1 << 40)
        indexing = indexer_app.build_consumer(*parts, clock, Metrics(), searchable(settings), limits)
        sweeper = _sweeper(stores, settings, grace=0.0)

        async def decided(events: Sequence[Event]) -> None:
            await tell(stores.objects, stores.index, events)

        seconds = settings.routing.give_up if tell_days is None else tell_days * _DAY_SECONDS
        options = telling_groups(settings), (clock.now_us() - int(seconds * 1e6)) // 1000
        restoring = Restore(stores.objects, stores.log, sweeper, indexing, indexer_app.GROUP, clock, decided, *options)
        # An interrupted try has filled part of the log.
        done = await restoring.run(again or bool(tries), _progress if sys.stderr.isatty() and not as_json else _Steps())
        counts = await stores.index.count(DEFAULT_PARTITION)
        rows: list[tuple[str, Any]] = [
            ("segments read", done.segments),
            ("events restored", f"{done.facts} in {done.facts_seconds:.1f} s"),
            ("events of an unknown version", done.unknown),
            ("objects swept", f"{done.objects} in {done.sweep_seconds:.1f} s"),
            ("of these without an event", done.told),
            ("index built", f"in {done.index_seconds:.1f} s"),
            *counts.items(),
        ]
        show(as_json, {**asdict(done), **counts}, ("restore", "result"), rows)
        if done.unknown:
            sys.exit(1)

    async def persisting(stores: Stores, settings: Settings) -> None:
        await persist(lambda: work(stores, settings), lambda: tries.append(stores), wait)

    run(config, data, persisting, wait=wait, on_record=False)


@click.command()
@options
@click.option("--rate", type=click.FloatRange(min=0), help="MB per second at most; 0: no limit.")
@click.option("--study", help="Verify only this study, by its Study Instance UID.")
@click.option("--from-the-beginning", is_flag=True, help="Not from where the last pass was broken off.")
def verify(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    rate: float | None,
    study: str | None,
    from_the_beginning: bool,
) -> None:
    """Read stored objects again, and compare their bytes with those that were acknowledged.

    Runs automatically with the indexer role, a pass every `upkeep.verify_every` seconds. Missing and damaged objects
    are listed, logged and counted, and another copy of the same bytes takes their place if there is one. Exit code 1 if
    there are any.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        clock, metrics = SystemClock(), Metrics()
        losses = Losses(stores.log, clock, metrics, "verify")
        per_second = settings.upkeep.verify_rate if rate is None else rate * 1e6
        parts = stores.objects, stores.index, losses, clock, metrics, DEFAULT_PARTITION
        verifier = Verifier(*parts, rate=per_second)
        if study is not None:
            state = Verified()
            await verifier.verify_study(study, state)
            if not state.objects:
                raise ConfigError("verify", None, f"no object of a study {study} is known")
        else:
            before = None if from_the_beginning else await verifier.passes.latest()
            shown = _say_verified if sys.stderr.isatty() and not as_json else lambda _: None
            state = await verifier.verify(before, shown)
        _show_verified(state, as_json)
        if state.missing or state.damaged:
            sys.exit(1)

    run(config, data, work, on_record=False)


def _show_verified(state: Verified, as_json: bool) -> None:
    rows: list[tuple[str, Any]] = [
        ("studies", state.studies),
        ("objects", f"{state.objects} ({in_bytes(state.bytes)})"),
        # A short label leaves the width of the table to the finding.
        *([("offline", state.archived)] if state.archived else []),
        ("missing", state.missing),
        ("damaged", state.damaged),
        *((finding["reason"], f"{finding['instance']} in {finding['object_key']}") for finding in state.found),
    ]
    show(as_json, asdict(state), ("verify", "result"), rows)


@click.command()
@options
@click.option("--rate", type=click.FloatRange(min=0), help="Events per second at most; 0: no limit.")
@click.option("--dry-run", is_flag=True, help="Only show what the index lacks.")
@click.option("--from-the-beginning", is_flag=True, help="Not from where the last pass was broken off.")
def reconcile(
    config: Path | None, data: Path | None, as_json: bool, rate: float | None, dry_run: bool, from_the_beginning: bool
) -> None:
    """Compare all sealed events with the index, and publish again those that the index lacks.

    Runs automatically with the indexer role, a pass every `upkeep.reconcile_every` seconds. `gantry sweep` finds
    objects without an event, and `gantry verify` missing or damaged objects: all three together make sure that objects,
    events and index agree. Exit code 1 if the index lacked anything, even if it was published now: run it again to
    check.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        per_second = settings.upkeep.reconcile_rate if rate is None else rate
        parts = stores.objects, stores.log, stores.index, SystemClock(), Metrics(), DEFAULT_PARTITION
        reconciler = Reconciler(*parts, rate=per_second, heal=not dry_run)
        before = None if from_the_beginning or dry_run else await reconciler.passes.latest()
        shown = _say_reconciled if sys.stderr.isatty() and not as_json else lambda _: None
        state = await reconciler.reconcile(before, shown)
        rows: list[tuple[str, Any]] = [
            ("segments", state.segments),
            ("events compared", state.events),
            ("instances that the index did not know", state.unindexed),
            ("deletions, restorations and moves that the index did not know", state.undecided),
            ("instances that the index did not know, and whose object is missing", state.missing),
            ("published again", state.healed),
            ("can never be applied (`gantry dlq list`)", state.refused),
            *(
                (finding["kind"], " ".join(f"{k}={v}" for k, v in finding.items() if k != "kind"))
                for finding in state.found
            ),
        ]
        show(as_json, asdict(state), ("reconcile", "result"), rows)
        if state.drift:
            sys.exit(1)

    run(config, data, work, on_record=False)


def _say_reconciled(state: Reconciled) -> None:
    click.echo(f"\r{state.segments} segments, {state.events} events compared, drift {state.drift}", nl=False, err=True)


@click.command()
@options
def reseal(config: Path | None, data: Path | None, as_json: bool) -> None:
    """Rewrite segments that earlier releases sealed, without the headers (patients' names) in them, and without
    patients' values in orders, which are moved into objects that can be erased.

    Run it once, after every indexer runs this release; services keep running. It can be interrupted and run again.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        done = await Resealing(stores.objects, SystemClock(), DEFAULT_PARTITION).run()
        rows = [
            ("segments read", done.segments),
            ("of these sealed again", done.resealed),
            ("events in these", done.records),
        ]
        show(as_json, asdict(done), ("reseal", "result"), rows)

    run(config, data, work, any_index=True, on_record=False)


def _say_verified(state: Verified) -> None:
    losses = state.missing + state.damaged
    click.echo(f"\r{state.studies} studies, {state.objects} objects verified, {losses} lost", nl=False, err=True)


def _sweeper(stores: Stores, settings: Settings, grace: float | None = None) -> Sweeper:
    upkeep = settings.upkeep
    grace = upkeep.sweep_grace if grace is None else grace
    return Sweeper(stores.objects, stores.log, SystemClock(), Metrics(), grace, upkeep.unfinished_after)


class _Steps:
    """Prints a line for each step, for output that is not a terminal."""

    def __init__(self) -> None:
        self._step = ""

    def __call__(self, done: Restored) -> None:
        step = done.step.partition(",")[0]
        if step != self._step:
            click.echo(f"restore: {step}", err=True)
            self._step = step


def _progress(done: Restored) -> None:
    line = f"{done.facts} events, {done.objects} objects swept, {done.told} published; now: {done.step}"
    click.echo(f"\r{line:<100}", nl=False, err=True)


def _say_reindexed(done: Reindexed) -> None:
    click.echo(f"\r{done.facts} events applied ({done.before} instances are known now)", nl=False, err=True)
