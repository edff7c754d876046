"""The commands that delete, restore and hold: `gantry delete`, `undelete`, `purge` and `hold`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, Held, NotFound
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.deleting import Deleting
from gantry.services.commands.on_stores import options, run, show
from gantry.services.lifecycle.deletions import Asked, Deletions, Done, Target, target_of, this_user
from gantry.services.process.stores import Stores

_uids = click.argument("uids", metavar="UID...", nargs=-1, required=True)
_reason = click.option(
    "--reason", required=True, help="Why; kept for ever with the event, so no patient's name belongs here."
)
Step = Callable[[Deletions, Target], Awaitable[Done]]


@click.command()
@options
@click.argument("uids", metavar="[UID...]", nargs=-1)
@_reason
@click.option("--where", "rules", multiple=True, metavar="KEY=VALUE", help="All studies that match, as `find -k` does.")
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

    They are hidden everywhere at once, and can be brought back with `gantry undelete` for `lifecycle.grace` seconds.

    \b
        gantry delete 1.2.3 --reason "sent twice"
        gantry delete --where StudyDate=-20141231 --where ModalitiesInStudy=US --reason "ten years" --dry-run
    """
    asked = Asked(this_user(), reason, new_trace())
    if bool(uids) == bool(rules):
        raise click.UsageError("give UIDs, or rules with --where")
    if rules:
        deleting = Deleting(asked, rules, dry_run=dry_run, yes=yes, rate=rate, as_json=as_json)
        run(config, data, deleting.work)
        return
    if dry_run:
        raise click.UsageError("--dry-run goes with --where")
    _each(config, data, as_json, uids, "deleted", lambda deletions, target: deletions.delete(target, asked))


@click.command()
@options
@_uids
@_reason
def undelete(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Bring back studies, series or instances that were deleted, while their objects are there."""
    asked = Asked(this_user(), reason, new_trace())
    _each(config, data, as_json, uids, "restored", lambda deletions, target: deletions.restore(target, asked))


@click.command()
@options
@_uids
@_reason
@click.confirmation_option(prompt="This cannot be undone. Go on?")
def purge(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Delete for good, deleted before or not: nothing brings it back, and the objects are collected at the next look
    (`lifecycle.collect_every`), whatever the grace time."""
    asked = Asked(this_user(), reason, new_trace())
    _each(config, data, as_json, uids, "purged", lambda deletions, target: deletions.delete(target, asked, final=True))


@click.group()
def hold() -> None:
    """Holds on studies: nothing of them is deleted or collected while one stands."""


@hold.command()
@options
@_uids
@_reason
def place(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Place a hold on studies, by their Study Instance UIDs."""
    asked = Asked(this_user(), reason, new_trace())

    async def placed(deletions: Deletions, target: Target) -> Done:
        await deletions.place_hold(target.study, asked)
        return Done(1, settled=True)

    _each(config, data, as_json, uids, "holds placed", placed)


@hold.command()
@options
@_uids
@_reason
def release(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], reason: str) -> None:
    """Release all holds on studies."""
    asked = Asked(this_user(), reason, new_trace())

    async def released(deletions: Deletions, target: Target) -> Done:
        return await deletions.release_holds(target.study, asked)

    _each(config, data, as_json, uids, "holds released", released)


def _each(config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], word: str, step: Step) -> None:
    """Take a step for each UID. What was done before one that cannot be done stays done."""

    async def work(stores: Stores, settings: Settings) -> None:
        deletions = Deletions(stores.log, stores.index, SystemClock(), settings.lifecycle.grace)
        for uid in uids:
            try:
                done = await step(deletions, await target_of(stores.index, uid))
            except (NotFound, Held) as error:
                raise ConfigError(uid, None, str(error)) from error
            said = "" if done.settled else "; the indexers are behind or not running, and follow when they can"
            show(as_json, {"uid": uid, "receipts": done.receipts, "settled": done.settled}, (word, "receipts"), [
                (uid, f"{done.receipts}{said}"),
            ])  # fmt: skip

    run(config, data, work)
