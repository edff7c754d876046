"""`gantry where` and `gantry associations`: the whereabouts of a study, and the associations of peers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json, printable
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.events import AssociationRefused
from gantry.services.commands.on_stores import options, run
from gantry.services.process.stores import Stores
from gantry.services.whereabouts.associations import Ended, at
from gantry.services.whereabouts.associations import associations as recorded_associations
from gantry.services.whereabouts.search import MOST_STUDIES, FoundStudies, Whereabouts
from gantry.services.whereabouts.words import advice, history_lines, moment

_UNITS = {"m": 60, "h": 3600, "d": 86400}


@click.command()
@options
@click.argument("term", metavar="ACCESSION|UID|PATIENT-ID")
def where(config: Path | None, data: Path | None, as_json: bool, term: str) -> None:
    """Show where a study is: its senders, whether it is indexed, committed, deleted, or failed and why, and what to do.

    TERM is an accession number, a Patient ID, or the UID of a study, a series or an instance. Reads the stores of the
    archive, beside its services. Exit code 1 if nothing is known about it.
    """
    term = term.strip()
    if not term or not term.isprintable():
        raise click.UsageError("give an accession number, a Patient ID, or the UID of a study, a series or an instance")

    async def work(stores: Stores, settings: Settings) -> None:
        grace = settings.lifecycle.grace
        whereabouts = Whereabouts(stores.objects, stores.log, stores.index, SystemClock(), grace=grace)
        result = await whereabouts.search(term)
        if as_json:
            print_json({**asdict(result), "advice": {a.study_instance_uid: advice(a) for a in result.accounts}})
        else:
            _say(result, term)
        if not result.accounts:
            sys.exit(1)

    run(config, data, work)


def _say(result: FoundStudies, term: str) -> None:
    if result.merged:
        click.echo(f"Patient ID {term} has become {', then '.join(map(printable, result.merged))}")
    for account in result.accounts:
        print_columns(("study", account.study_instance_uid), history_lines(account))
        for step in advice(account):
            click.echo(f"to do: {step}")
        click.echo()
    if result.more:
        click.echo(f"only the first {MOST_STUDIES} studies are shown: search by a UID or an accession number")
    if result.partly:
        click.echo("not all deleted or rejected objects could be searched: there may be more")
    if result.accounts:
        return
    click.echo("nothing found: no study, series or instance has this UID, accession number or Patient ID")
    if result.behind:
        click.echo(f"the index is {result.behind} records behind the log: it may be among these; try again")
    if result.dead:
        click.echo(f"{result.dead} instances could not be made searchable: it may be one of them; gantry dlq list")
    if "*" in term or "?" in term:
        click.echo("the term is searched without wildcards; for wildcards: gantry find -k AccessionNumber=…")
    click.echo("did its sender reach the archive? gantry associations --refused")


def _seconds(_: click.Context, __: click.Parameter, text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if match is None:
        raise click.BadParameter("a number and m, h or d, as 90m, 12h or 3d")
    return int(match[1]) * _UNITS[match[2]]


def since_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--since`, in seconds."""
    return click.option(
        "--since", default=default, show_default=True, callback=_seconds, help="How far back, as 90m, 12h or 3d."
    )


@click.command()
@options
@click.option("--ae", "title", help="Only associations of this calling AE title.")
@click.option(
    "--refused", is_flag=True, help="Only rejected associations, and those with a request that was refused or cut off."
)
@since_option("24h")
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="Show the last so many.")
def associations(
    config: Path | None, data: Path | None, as_json: bool, title: str | None, refused: bool, since: int, most: int
) -> None:
    """List associations: who called from where, how each ended, how requests were answered, what was refused and why.

    They are recorded for 14 days. Associations with verification only are recorded once a minute for each peer, with
    their number; so is each kind of refusal. Rejections by the front door itself are in its log.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        begin = SystemClock().now_us() - since * 1_000_000
        records = await recorded_associations(stores.log, begin, title, refused=refused, most=most)
        if as_json:
            for record in records:
                print_json({"event": type(record).__name__, **asdict(record)})
        elif records:
            print_columns(
                ("ended", "calling", "called", "address", "times", "outcome", "answers"), [_row(r) for r in records]
            )
        else:
            click.echo("no associations")

    run(config, data, work, any_index=True)


def _row(record: Ended) -> tuple[str, ...]:
    head = moment(at(record)), record.calling_ae_title or "-", record.called_ae_title or "-", record.peer_address
    if isinstance(record, AssociationRefused):
        numbers = f"{record.result}/{record.source}/{record.diagnostic}"
        outcome = f"rejected {numbers}" if record.result else "no association"
        return (*head, str(record.times), outcome, record.why)
    answers = ", ".join(
        f"{a.times} {a.command} {a.status:04X}" + (f" ({a.why})" if a.why else "") for a in record.answers
    )
    return (*head, str(record.times), record.outcome, answers)
