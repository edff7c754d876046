"""`gantry regroup`: moves series and instances to another study, and back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from gantry.cli.output import print_columns
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, Conflicting, Held, NotFound, NotUnderstood
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.correcting import values_option_of
from gantry.services.commands.on_stores import options, rules_in, run
from gantry.services.commands.reasons import reason_option
from gantry.services.lifecycle.deletions import DeletionTarget
from gantry.services.lifecycle.moves import Moved, MoveDesk
from gantry.services.lifecycle.moving_web import as_json as moved_as_json
from gantry.services.process.stores import Stores
from gantry.services.requester import Requester, this_user

Step = Callable[[MoveDesk], Awaitable[Moved]]


@click.command()
@options
@click.argument("study")
@click.argument("series", required=False, default="")
@click.argument("instances", nargs=-1)
@click.option("--series", "several", multiple=True, metavar="SERIES", help="Several series of the study; repeatable.")
@click.option("--into", default="", metavar="STUDY|new", help="The other study, or `new` to create one.")
@click.option("--set", "values", multiple=True, metavar="KEYWORD=VALUE", help="An attribute of the new study.")
@click.option("--undo", is_flag=True, help="Undo the last move out of STUDY.")
@click.option("--move", "name", default="", metavar="MOVE", help="With --undo: this move, instead of the last.")
@reason_option
def regroup(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    study: str,
    series: str,
    instances: tuple[str, ...],
    several: tuple[str, ...],
    into: str,
    values: tuple[str, ...],
    undo: bool,
    name: str,
    reason: str,
) -> None:
    """Move a study, a SERIES of it, or INSTANCES of that series, to another study.

    From then on everybody finds and gets them there, with the patient and study of the other study; objects are neither
    copied nor changed. Moving a whole study merges it into the other one; moving into `new` splits a study.

    \b
        gantry regroup 1.2.3 --into 1.2.4 --reason "one examination"             # merge two studies
        gantry regroup 1.2.3 1.2.3.7 --into 1.2.4 --reason "of the next patient"
        gantry regroup 1.2.3 1.2.3.7 --into new --set AccessionNumber=A2 --reason "two orders"
        gantry regroup 1.2.3 --undo --reason "a mistake"
    """
    requester = Requester(this_user(), reason, new_trace())
    if undo:
        if series or several or into or values:
            raise click.UsageError("--undo needs a study only, and --move if it is not the last move")
        _step(config, data, as_json, study, lambda desk: desk.move_back(study, requester, name), "taken back")
        return
    if not into or name:
        raise click.UsageError("give --into STUDY (or --undo, with --move if needed)")
    if series and several:
        raise click.UsageError("give one series after the study, or several with --series")
    targets = [DeletionTarget(study, uid) for uid in several] or [
        DeletionTarget(study, series, uid) for uid in instances
    ]
    elements = values_option_of(values)
    wanted = targets or [DeletionTarget(study, series)]
    _step(config, data, as_json, study, lambda desk: desk.move(wanted, into, requester, elements))


def _step(
    config: Path | None, data: Path | None, as_json: bool, subject: str, step: Step, word: str = "in effect"
) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        rules = rules_in(settings)
        desk = MoveDesk(stores.objects, stores.log, stores.index, SystemClock(), rules=rules)
        try:
            moved = await step(desk)
        except (NotFound, NotUnderstood, Conflicting, Held) as error:
            raise ConfigError(subject, None, str(error)) from error
        state = word if moved.settled else "published; the indexers are behind or not running, and will apply it"
        rows = [(series.move, series.series, moved.into, series.into_series, state) for series in moved.series]
        if as_json:
            click.echo(json.dumps(moved_as_json(moved)))
        else:
            print_columns(("move", "series", "study", "series there", "state"), rows)

    run(config, data, work)
