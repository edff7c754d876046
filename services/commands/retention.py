"""`gantry retention`: lists the studies whose retention ends, when, and their holds; and deletes them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.amounts import counted
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.study_facts import day_of
from gantry.services.commands.on_stores import deletions_of, options, rules_in, run, show
from gantry.services.lifecycle.expiry import Expiry
from gantry.services.lifecycle.retained import RetainedStudy
from gantry.services.process.stores import Stores


@click.command()
@options
@click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing.")
@click.option(
    "--by",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="With --dry-run: what may be deleted by then; today if not given.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--rate", type=click.FloatRange(1.0), help="Objects a second; `lifecycle.expire_rate` if not given.")
def retention(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    dry_run: bool,
    by: datetime | None,
    yes: bool,
    rate: float | None,
) -> None:
    """Delete studies whose retention has ended, by the rules in `lifecycle.retention` with `then: delete`.

    Deleted studies can be restored with `gantry undelete` until `lifecycle.grace` has passed. Held studies are listed,
    and stay.

    \b
        gantry retention --dry-run --by 2030-12-31
    """
    if by is not None and not dry_run:
        raise click.UsageError("--by goes with --dry-run: nothing is deleted before its retention ends")

    async def work(stores: Stores, settings: Settings) -> None:
        rules, clock = rules_in(settings), SystemClock()
        if not any(rule.deletes for rule in rules):
            raise click.UsageError("no rule in lifecycle.retention has `then: delete`")
        protection = Protection(stores.log, stores.index, clock, rules, CommittedElsewhere(stores.objects))
        deletions = deletions_of(stores, settings)
        expiry = Expiry(stores.index, deletions, protection, clock, rate or settings.lifecycle.expire_rate)
        today = day_of(clock.now_us())
        going = [study async for study in expiry.going(by.date() if by is not None else today)]
        if dry_run or not as_json:
            _list(going, as_json)
        if not dry_run and going:
            await _delete(expiry, len(going), as_json, yes)

    run(config, data, work)


async def _delete(expiry: Expiry, studies: int, as_json: bool, yes: bool) -> None:
    if not yes:
        click.confirm(f"Delete these {studies} studies, except those that are held?", abort=True, err=True)
    result = await expiry.expire()
    rows: list[tuple[str, object]] = [("studies deleted", result.studies), ("receipts", result.receipts)]
    rows += [("held or retained, not deleted", uid) for uid in result.held]
    show(as_json, asdict(result), ("retention", "result"), rows)
    if result.held:
        sys.exit(1)


def _list(going: list[RetainedStudy], as_json: bool) -> None:
    if as_json:
        for study in going:
            until = study.retention.until
            print_json(
                {
                    "study": study.uid,
                    "rule": study.retention.rule,
                    "until": (until or date.max).isoformat(),
                    "instances": study.instances,
                    "holds": study.holds,
                    "uncommitted": study.uncommitted or None,
                }
            )
        return
    rows = [
        (s.uid, s.retention.rule, str(s.retention.until), str(s.instances), "held" if s.holds else s.uncommitted)
        for s in going
    ]
    if rows:
        print_columns(("Study Instance UID", "rule", "kept until", "instances", ""), rows)
    held, instances = (
        sum(1 for study in going if study.holds or study.uncommitted),
        sum(study.instances for study in going),
    )
    click.echo(f"{counted(len(going), 'study', 'studies')}, {held} of them held, {counted(instances, 'instance')}")
