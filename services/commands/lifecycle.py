"""The commands that delete and restore: `gantry delete`, `undelete`, `purge`, `redundant` and `choose`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import click

from gantry.common.amounts import in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, Held, NotFound
from gantry.common.runtime.losses import Losses
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.deleting import Deleting
from gantry.services.commands.on_stores import deletions_of, options, run, show
from gantry.services.commands.reasons import one_line, reason_option
from gantry.services.lifecycle.copies import RedundantCopies
from gantry.services.lifecycle.copies import choose as choose_side
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget, Done, target_of
from gantry.services.process.stores import Stores
from gantry.services.requester import Requester, this_user

uids_argument = click.argument("uids", metavar="UID...", nargs=-1, required=True)


Step = Callable[[Deletions, DeletionTarget], Awaitable[Done]]


@click.command()
@options
@click.argument("uids", metavar="[UID...]", nargs=-1)
@reason_option
@click.option("--where", "rules", multiple=True, metavar="KEY=VALUE", help="All studies that match, as with `find -k`.")
@click.option("--dry-run", is_flag=True, help="With --where: list what would be deleted, and delete nothing.")
@click.option("--yes", is_flag=True, help="With --where: do not ask.")
@click.option(
    "--rate", type=click.FloatRange(1.0), default=500.0, show_default=True, help="With --where: instances a second."
)
def delete(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    uids: tuple[str, ...],
    reason: str,
    rules: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    rate: float,
) -> None:
    """Delete studies, series or instances, by their UIDs, or all studies that match a rule.

    They are hidden everywhere at once, and can be restored with `gantry undelete` for `lifecycle.grace` seconds.

    \b
        gantry delete 1.2.3 --reason "sent twice"
        gantry delete --where StudyDate=-20141231 --where ModalitiesInStudy=US --reason "ten years" --dry-run
    """
    requester = Requester(this_user(), reason, new_trace())
    if bool(uids) == bool(rules):
        raise click.UsageError("give UIDs, or rules with --where")
    if rules:
        deleting = Deleting(requester, rules, dry_run=dry_run, yes=yes, rate=rate, as_json=as_json)
        run(config, data, deleting.work)
        return
    if dry_run:
        raise click.UsageError("--dry-run goes with --where")
    run_for_each(config, data, as_json, uids, "deleted", lambda deletions, target: deletions.delete(target, requester))


@click.command()
@options
@uids_argument
@reason_option
def undelete(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Restore deleted studies, series or instances, while their objects exist."""
    requester = Requester(this_user(), reason, new_trace())
    run_for_each(
        config, data, as_json, uids, "restored", lambda deletions, target: deletions.restore(target, requester)
    )


@click.command()
@options
@uids_argument
@reason_option
@click.confirmation_option(prompt="This cannot be undone. Continue?")
def purge(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Delete for good, whether deleted before or not. It cannot be undone: the objects are collected at the next pass
    (`lifecycle.collect_every`), whatever the grace time is."""
    requester = Requester(this_user(), reason, new_trace())
    run_for_each(
        config, data, as_json, uids, "purged", lambda deletions, target: deletions.delete(target, requester, final=True)
    )


@click.command()
@options
@click.argument("uids", metavar="[STUDY...]", nargs=-1)
@click.option(
    "--delete",
    "reason",
    metavar="REASON",
    callback=one_line,
    help="Delete them, for this reason; without it they are only counted.",
)
@click.option(
    "--rate", type=float, default=20.0, show_default=True, help="MB a second that are read again; 0: no limit."
)
def redundant(
    config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str | None, rate: float
) -> None:
    """Count, or delete, objects that were sent more than once with the same bytes.

    Before a copy is deleted, the one that stays is read again and its digest compared. Deleted copies can be restored
    with `gantry undelete` for `lifecycle.grace` seconds, and are then collected.
    """
    requester = None if reason is None else Requester(this_user(), reason, new_trace())

    async def work(stores: Stores, settings: Settings) -> None:
        clock = SystemClock()
        deletions = deletions_of(stores, settings)
        losses = Losses(stores.log, clock, Metrics(), "redundant")
        copies = RedundantCopies(stores.objects, stores.index, deletions, losses, clock, rate * 1e6)
        done = await copies.run(requester, uids)
        rows: list[tuple[str, object]] = [
            ("instances that were sent more than once", done.instances),
            ("redundant objects", f"{done.receipts} ({in_bytes(done.bytes)})"),
        ]
        if requester is not None:
            rows += [("given up", done.deleted), ("instances spared: the other copy is lost", done.spared)]
            rows += [("under a hold", uid) for uid in done.held]
        show(as_json, asdict(done), ("redundant", "result"), rows)

    run(config, data, work)


@click.command()
@options
@click.argument("uid", metavar="SOP_INSTANCE_UID")
@click.argument("receipt")
@reason_option
def choose(config: Path | None, data: Path | None, as_json: bool, uid: str, receipt: str, reason: str) -> None:
    """Decide a conflict: make the object of RECEIPT the current one, and delete those with other bytes.

    `gantry conflicts` lists the receipts, and its `--fetch` writes their objects for comparison. Undo it with
    `gantry undelete SOP_INSTANCE_UID`.
    """
    requester = Requester(this_user(), reason, new_trace())

    async def work(stores: Stores, settings: Settings) -> None:
        deletions = deletions_of(stores, settings)
        try:
            done = await choose_side(stores.index, deletions, uid, receipt, requester)
        except (NotFound, Held) as error:
            raise ConfigError(uid, None, str(error).removeprefix(f"{uid}: ")) from error
        fields = {"uid": uid, "chosen": receipt, "deleted": done.receipts, "settled": done.settled}
        show(as_json, fields, ("deleted", "receipts"), [(uid, done.receipts)])

    run(config, data, work)


def run_for_each(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    uids: tuple[str, ...],
    word: str,
    step: Step,
    counted: str = "receipts",
) -> None:
    """Apply a step to each UID, and print how many receipts it concerned; `counted` is what the output calls them. If
    one fails, the steps before it remain in effect."""

    async def work(stores: Stores, settings: Settings) -> None:
        deletions = deletions_of(stores, settings)
        for uid in uids:
            try:
                done = await step(deletions, await target_of(stores.index, uid))
            except (NotFound, Held) as error:
                raise ConfigError(uid, None, str(error).removeprefix(f"{uid}: ")) from error
            note = "" if done.settled else "; the indexers are behind or not running, and will apply it later"
            rows = [(uid, f"{done.receipts}{note}")]
            show(as_json, {"uid": uid, counted: done.receipts, "settled": done.settled}, (word, counted), rows)
        if word == "purged" and settings.storage.in_place:
            words = "bytes in place (storage.in_place) are not removed: when it is collected, `gantry left-in-place`"
            click.echo(f"gantry: {words} lists them for their owner", err=True)

    run(config, data, work)
