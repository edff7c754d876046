"""`gantry tiers`: lists which studies rules move to which object store; moves them; shows what each store holds."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.amounts import counted, in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import tier_rules
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.on_stores import options, run, show
from gantry.services.maintenance.tiers.planning import StudyMove
from gantry.services.maintenance.tiers.tiering import Tiered, Tiering
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores

_PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class _Planned:
    """The planned moves of one study."""

    study: str
    rule: str
    to: str
    objects: int = 0
    bytes: int = 0


@click.command()
@options
@click.option("--dry-run", is_flag=True, help="List what would be moved, where to and by which rule; move nothing.")
@click.option("--rate", type=click.FloatRange(min=0), help="MB per second; 0: no limit; `tiers.rate` if not given.")
def tiers(config: Path | None, data: Path | None, as_json: bool, dry_run: bool, rate: float | None) -> None:
    """Move studies between the object stores in `tiers.stores`, by the rules in `tiers.rules`, and show what each store
    holds.

    Runs automatically with the indexer role, a pass every `tiers.every` seconds. Retrieval works as usual before,
    during and after a move. It can be interrupted and run again. Exit code 1 if an object could not be moved.

    \b
        gantry tiers --dry-run
    """

    async def work(stores: Stores, settings: Settings) -> None:
        tiering = _tiering(stores, settings, rate)
        if dry_run:
            await _list(tiering, as_json)
            return
        before = await tiering.passes.latest()
        shown = _say if sys.stderr.isatty() and not as_json else lambda _: None
        state = await tiering.move(before, shown)
        rows: list[tuple[str, Any]] = [
            ("objects moved", f"{state.moved} ({in_bytes(state.bytes)})"),
            ("could not be moved", state.failed),
            ("old copies removed", f"{state.left} ({in_bytes(state.left_bytes)})"),
            ("objects with two copies that differ", state.unequal),
            *_object_rows(state.objects_in, state.bytes_in),
            *await _restore_request_rows(tiering),
        ]
        show(as_json, asdict(state), ("tiers", "result"), rows)
        if state.failed or state.unequal:
            sys.exit(1)

    run(config, data, work)


def _tiering(stores: Stores, settings: Settings, rate: float | None) -> Tiering:
    if stores.tiers is None:
        raise ConfigError("tiers.stores", None, "has no object store to move studies to")
    return Tiering(
        stores.tiers,
        stores.log,
        stores.index,
        SystemClock(),
        Metrics(),
        DEFAULT_PARTITION,
        tier_rules(settings.tiers.rules, searchable(settings)),
        rate=settings.tiers.rate if rate is None else rate * 1e6,
        grace=settings.tiers.grace,
        wanted_us=settings.tiers.restore_days * 24 * 3600 * 1_000_000,
        patience=_PATIENCE_SECONDS,
    )


async def _list(tiering: Tiering, as_json: bool) -> None:
    """List what would be moved; then, without --json, what each store holds."""
    studies = objects = size = 0
    rows: list[tuple[str, ...]] = []
    async for study in _by_study(tiering.planner.moves()):
        studies, objects, size = studies + 1, objects + study.objects, size + study.bytes
        if as_json:
            print_json(asdict(study))
        else:
            rows.append((study.study, study.rule, study.to, str(study.objects), in_bytes(study.bytes)))
    if as_json:
        return
    if rows:
        print_columns(("Study Instance UID", "rule", "to", "objects", "bytes"), rows)
    lying = await tiering.leftovers.look(remove=False)
    click.echo(f"{counted(studies, 'study', 'studies')} to move, {counted(objects, 'object')}, {in_bytes(size)}")
    for name, words in (*_object_rows(lying.objects, lying.bytes), *await _restore_request_rows(tiering)):
        click.echo(f"{name}: {words}")


async def _by_study(moves: AsyncIterator[StudyMove]) -> AsyncIterator[_Planned]:
    """The moves grouped by study: a large study has several consecutive moves."""
    known: _Planned | None = None
    async for move in moves:
        if known is not None and known.study != move.study:
            yield known
            known = None
        if known is None:
            known = _Planned(move.study, move.tier.rule, move.tier.store)
        known.objects += len(move.objects)
        known.bytes += move.bytes
    if known is not None:
        yield known


def _object_rows(objects: dict[str, int], size: dict[str, int]) -> list[tuple[str, str]]:
    return [
        (f"in {store}", f"{counted(count, 'object')} ({in_bytes(size[store])})") for store, count in objects.items()
    ]


async def _restore_request_rows(tiering: Tiering) -> list[tuple[str, str]]:
    """Objects requested from an archive tier."""
    return [
        ("requested from an archive", f"{wish.key} {'can be read' if wish.readable else 'is on its way'}, {wish.since}")
        for wish in await tiering.wanted.current()
    ]


def _say(state: Tiered) -> None:
    click.echo(
        f"\r{counted(state.moved, 'object')} moved, {in_bytes(state.bytes)}, {state.failed} could not be",
        nl=False,
        err=True,
    )
