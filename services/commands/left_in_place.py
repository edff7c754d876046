"""`gantry left-in-place`: lists objects that the owner of a bucket in place may remove."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json, printable
from gantry.common.amounts import counted, in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import DependencyUnavailable
from gantry.common.runtime.following import has_followed
from gantry.services.commands.on_stores import options, run
from gantry.services.maintenance.left_in_place import LeftInPlace, RemovableObject
from gantry.services.process.stores import Stores

_PATIENCE_SECONDS = 60.0


@click.command("left-in-place")
@options
def left_in_place(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List objects in buckets and folders of others that Gantry no longer needs: those deleted for good, or copied to a
    store of ours.

    Gantry never deletes there. To erase a patient's data, give this list to the owner, and run the command again:
    removed objects are no longer listed. Exit code 1 while something is left.
    """
    files: list[RemovableObject] = []

    async def work(stores: Stores, settings: Settings) -> None:
        if not await has_followed(stores.log, SystemClock(), _PATIENCE_SECONDS):
            raise DependencyUnavailable(
                "index", "the indexers are behind the log, so the list would be wrong: try again later"
            )
        async for file in LeftInPlace(stores.in_place, stores.index).all():
            files.append(file)
            if as_json:
                print_json({**asdict(file), "key": _shown(file.key)})

    run(config, data, work, on_record=False)
    if not as_json:
        if files:
            rows = [(file.store, in_bytes(file.size), _shown(file.key)) for file in files]
            print_columns(("store", "bytes", "key"), rows)
        size = sum(file.size for file in files)
        click.echo(f"{counted(len(files), 'object')} ({in_bytes(size)}) that the owner may remove")
        unseen = sorted({file.store for file in files if not file.seen})
        if unseen:
            click.echo(f"gantry: could not check whether they still exist, in {', '.join(unseen)}", err=True)
    sys.exit(1 if files else 0)


def _shown(key: str) -> str:
    return printable(key.encode("utf-8", "backslashreplace").decode())
