"""`gantry keys`: the keys that objects are encrypted with."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.amounts import counted
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.encryption.data_keys import WrappedKey, made_us
from gantry.common.errors import ConfigError, Corrupt, DependencyUnavailable
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.services.commands.on_stores import options, run
from gantry.services.process.key_services import add_key
from gantry.services.process.stores import Stores

_COLUMNS = ("store", "wrapped by", "current", "data keys", "oldest", "newest")


@click.group()
def keys() -> None:
    """Keys that objects are encrypted with (docs/encryption.md).

    An object is encrypted by a data key. Data keys are stored beside the objects, wrapped by a key that is not.
    """


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="Its name in lists; today's date if not given.")
def new(file: Path, name: str | None) -> None:
    """Add a key to a FILE for `encryption.key_file`; from now on it wraps new data keys.

    Keep a copy apart from the archive: without the key nobody can read what it encrypts.

    \b
        gantry keys new /etc/gantry/keys
    """
    named = name or _day(SystemClock().now_us())
    try:
        add_key(file, named)
    except ConfigError as error:
        raise click.ClickException(error.reason) from error
    except OSError as error:
        raise click.ClickException(f"{file}: {os.strerror(error.errno or 0)}") from error
    click.echo(f"added the key {named} to {file}; keep a copy of it apart from the archive")


@dataclass(slots=True)
class _Row:
    """The data keys of one store that one key wraps."""

    store: str
    wrapping_key: str
    current: bool
    data_keys: int
    oldest: str
    newest: str


@keys.command(name="list")
@options
def list_keys(config: Path | None, data: Path | None, as_json: bool) -> None:
    """Show which keys wrap the data keys of each object store, and whether they open them.

    A key that wraps no data keys can be removed. Exit code 1 if a data key cannot be opened: its objects cannot be
    read.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        rows: list[_Row] = []
        closed = 0
        for store, data_keys in _encrypting(stores).items():
            keys = [key async for key in data_keys.pages()]
            current = await data_keys.current() if keys else ""
            for name, count in sorted(Counter(key.wrapping_key for key in keys).items()):
                times = [made_us(key.id) for key in keys if key.wrapping_key == name]
                rows.append(_Row(store, name, name == current, count, _day(min(times)), _day(max(times))))
            closed += await _say_closed(data_keys, keys)
        if as_json:
            print_json({"keys": [_as_json(row) for row in rows], "closed": closed})
        elif rows:
            print_columns(_COLUMNS, [_shown(row) for row in rows])
        else:
            click.echo("no data key yet: the first object creates one")
        if closed:
            sys.exit(1)

    run(config, data, work, on_record=False)


@keys.command()
@options
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Include data keys that the current key wraps: for a key that was rotated in KMS.",
)
@click.option("--dry-run", is_flag=True, help="Count the data keys that would be wrapped again; change nothing.")
def rewrap(config: Path | None, data: Path | None, as_json: bool, every: bool, dry_run: bool) -> None:
    """Wrap the data keys of earlier keys by the current key. No object is read or written, and users are not affected.

    Afterwards the earlier keys can be removed (`gantry keys list` shows which wrap none). It can be interrupted and run
    again. Exit code 1 if a data key could not be wrapped.

    \b
        gantry keys new /etc/gantry/keys && gantry keys rewrap
    """

    async def work(stores: Stores, settings: Settings) -> None:
        done = failed = 0
        for store, data_keys in _encrypting(stores).items():
            async for key in _behind(data_keys, every):
                if not dry_run:
                    try:
                        await data_keys.wrap_anew(key)
                    except (DependencyUnavailable, Corrupt) as error:
                        failed += 1
                        click.echo(f"{store}: {key.id.hex()}: {error}", err=True)
                        continue
                done += 1
        if as_json:
            print_json({"wrapped": done, "failed": failed})
        else:
            click.echo(f"{counted(done, 'data key')} {'would be' if dry_run else ''} wrapped again".replace("  ", " "))
        if failed:
            sys.exit(1)

    run(config, data, work)


async def _behind(data_keys: DataKeys, every: bool) -> AsyncIterator[WrappedKey]:
    """The data keys that are not wrapped by the current key. Removes replaced ones that an earlier run left."""
    current = await data_keys.current()
    for key in [key async for key in data_keys.pages()]:
        if every or key.wrapping_key != current:
            yield key
        elif key.generation:
            await data_keys.remove_replaced(key)


def _encrypting(stores: Stores) -> dict[str, DataKeys]:
    if not stores.keys:
        raise click.ClickException("objects are not encrypted: `encryption` has no key (docs/encryption.md)")
    return stores.keys


async def _say_closed(data_keys: DataKeys, keys: list[WrappedKey]) -> int:
    closed = 0
    for key in keys:
        try:
            await data_keys.get(key.id)
        except (DependencyUnavailable, Corrupt) as error:
            closed += 1
            click.echo(f"data key {key.id.hex()} does not open: {error}", err=True)
    return closed


def _day(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d")


def _shown(row: _Row) -> list[str]:
    return [row.store, row.wrapping_key, "yes" if row.current else "no", str(row.data_keys), row.oldest, row.newest]


def _as_json(row: _Row) -> dict[str, Any]:
    return {
        "store": row.store,
        "wrapping_key": row.wrapping_key,
        "current": row.current,
        "data_keys": row.data_keys,
        "oldest": row.oldest,
        "newest": row.newest,
    }
