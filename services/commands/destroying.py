"""`gantry destroy`: deletes an archive for good."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import click
import uvloop

from gantry.cli.output import print_table
from gantry.common.amounts import counted
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, GantryError
from gantry.common.events import TOPICS, ProcessReported
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import HOT
from gantry.common.telemetry.logs import set_up_logs
from gantry.services.commands.on_stores import options
from gantry.services.commands.reasons import reason_option
from gantry.services.maintenance.destroying import Destroyed, Destruction
from gantry.services.operations.fleet import Fleet
from gantry.services.operations.topic_reader import TopicReader
from gantry.services.process.recording import spool_folder
from gantry.services.process.removal import remove_index, remove_log
from gantry.services.process.stores import DESTROYED, Stores, open_blobs, open_stores
from gantry.services.requester import Requester, this_user

_MOST_SHOWN = 5


@click.command()
@options
@reason_option
@click.option("--dry-run", is_flag=True, help="Show what would be destroyed and what prevents it; destroy nothing.")
@click.option("--yes", "confirmed", metavar="AE_TITLE", help="Do not ask: this is the archive's AE title.")
def destroy(
    config: Path | None, data: Path | None, as_json: bool, reason: str, dry_run: bool, confirmed: str | None
) -> None:
    """Destroy this archive for good: its keys, its objects, its event log, its index, its audit trail.

    Nobody can undo this. It is refused while a hold is in force or a process of the archive runs. If it is interrupted,
    run it again to continue. Other archives in the same bucket, brokers and nodes are not touched.

    \b
        gantry destroy --config north.yaml --reason "contract ended, images handed over" --dry-run
        gantry destroy --config north.yaml --reason "contract ended, images handed over" > statement.txt
    """
    set_up_logs("console", "error")
    try:
        settings = load_settings(config, os.environ, {"data": data})
        requester = Requester(this_user(), reason)
        uvloop.run(_destroy(settings, requester, confirmed, dry_run=dry_run, as_json=as_json))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    except GantryError as error:
        raise click.ClickException(f"{error}; fix that, and run it again") from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {os.strerror(error.errno or 0).lower()}") from error


async def _destroy(
    settings: Settings, requester: Requester, confirmed: str | None, *, dry_run: bool, as_json: bool
) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        blobs = await open_blobs(settings, clock)
        for store in blobs.values():
            opened.push_async_callback(store.close)
        begun = bool([stat async for stat in blobs[HOT].list(DESTROYED)])
        if begun:
            click.echo("it was begun before, and continues", err=True)
        else:
            await _look(settings, clock)
        _say_what_goes(settings)
        if dry_run:
            return
        _require_name(settings, confirmed)
        destruction = Destruction(
            blobs,
            lambda: remove_log(settings),
            lambda: remove_index(settings),
            settings.encryption.key_file,
            spool_folder(settings),
            clock,
            _progress,
        )
        done = await destruction.run(requester, DESTROYED)
        if sys.stderr.isatty():
            click.echo("", err=True)
        _show(settings, done, as_json)


async def _look(settings: Settings, clock: SystemClock) -> None:
    """Print what the archive holds. Raises `click.ClickException` if it must not be destroyed."""
    stores = await open_stores(settings, clock)
    try:
        counts = await stores.index.count(DEFAULT_PARTITION)
        click.echo(
            f"{counted(counts['studies'], 'study', 'studies')} of {counted(counts['patients'], 'patient')}", err=True
        )
        held = [holder async for page in stores.index.held(DEFAULT_PARTITION) for holder in page]
        if held:
            raise click.ClickException(
                f"holds are in force on {counted(len(held), 'study or patient', 'studies and patients')}: "
                "see `gantry hold list`, and release them first"
            )
        running = await _running(stores, settings, clock)
        if running:
            names = ", ".join(running[:_MOST_SHOWN])
            raise click.ClickException(
                f"processes of this archive run, or were killed less than a minute ago: {names}; stop them first"
            )
    finally:
        await stores.close()


async def _running(stores: Stores, settings: Settings, clock: SystemClock) -> list[str]:
    """Processes that have reported and have not ended."""
    silent_after = max(settings.upkeep.report_every * 3 + 5, 30.0)
    fleet = Fleet()
    await TopicReader(stores.log, TOPICS[ProcessReported].name, clock, silent_after * 2, fleet.take).read()
    return [
        str(process["process"])
        for process in fleet.listed(clock.now_us(), silent_after)
        if process["state"] != "silent"
    ]


def _say_what_goes(settings: Settings) -> None:
    rows = [("archive", settings.dimse.ae_title), ("objects", settings.objects_url)]
    rows += [(f"objects of {store.name}", store.url) for store in settings.tiers.stores]
    rows += [("event log", settings.log_url), ("index", settings.index_url)]
    if settings.encryption.key_file is not None:
        rows.append(("keys", str(settings.encryption.key_file)))
    for name, value in rows:
        click.echo(f"  {name:<20} {value}", err=True)
    click.echo(_not_reached(settings), err=True)


def _not_reached(settings: Settings) -> str:
    """A reminder of the spools at doors, which have no stores and may run on other machines with other settings."""
    spool = settings.door.shadow.spool
    named = f": {spool}, and likewise" if spool is not None else ""
    return (
        f"not reached, remove it yourself: images that wait at doors for another archive{named} (`door.shadow.spool`)"
    )


def _require_name(settings: Settings, confirmed: str | None) -> None:
    title = settings.dimse.ae_title
    answer = confirmed
    if answer is None:
        answer = click.prompt(f"Nobody can undo this. Type the AE title {title} to continue", err=True)
    if answer != title:
        raise click.ClickException(f"{answer} is not the AE title of this archive; nothing was destroyed")


def _progress(store: str, gone: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{store}: {gone} objects removed", nl=False, err=True)


def _show(settings: Settings, done: Destroyed, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    rows = [("archive", settings.dimse.ae_title), ("reason", done.reason), ("begun", f"{done.begun_at}, by {done.by}")]
    rows += [("ended", done.ended_at), ("data keys", str(done.data_keys))]
    if done.key_file:
        rows.append(("key file", f"{done.key_file} is overwritten and removed"))
    rows += [(f"objects, {name}", str(count)) for name, count in done.objects.items()]
    rows += [("topics or files of the log", str(done.log)), ("indices or files of the index", str(done.index))]
    print_table(("destroyed", ""), rows)
    if settings.encryption.kms_key is not None:
        key = settings.encryption.kms_key
        click.echo(f"its data keys are removed; delete the key {key} in the key service", err=True)
