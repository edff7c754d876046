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

    An object is encrypted by a data key, which lies beside the objects, wrapped by a key that does not.
    """


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="What lists call it; today's date where not given.")
def new(file: Path, name: str | None) -> None:
    """Add a key to a FILE for `encryption.key_file`; it wraps what is wrapped from now on.

    Keep a copy where the archive is not: without the key nobody reads what it wraps.

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
    click.echo(f"added the key {named} to {file}; keep a copy of it where the archive is not")


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
    """Say which keys wrap the data keys of each object store, and whether they open them.

    A key that wraps none any more can be taken away. Exit code 1 where a data key cannot be opened: what it encrypts
    cannot be read.
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
            click.echo("no data key yet: the first object makes one")
        if closed:
            sys.exit(1)

    run(config, data, work, on_record=False)


@keys.command()
@options
@click.option(
    "--all", "every", is_flag=True, help="Also those that the current key wraps: for one that was rotated in KMS."
)
@click.option("--dry-run", is_flag=True, help="Count what would be wrapped anew; change nothing.")
def rewrap(config: Path | None, data: Path | None, as_json: bool, every: bool, dry_run: bool) -> None:
    """Wrap data keys by the current key. No object is read or written, and nobody who works notices.

    Afterwards the keys before can be taken away (`gantry keys list` says which wrap none). Can be broken off and run
    again. Exit code 1 where a data key could not be wrapped anew.

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
            click.echo(f"{counted(done, 'data key')} {'would be' if dry_run else ''} wrapped anew".replace("  ", " "))
        if failed:
            sys.exit(1)

    run(config, data, work)


async def _behind(data_keys: DataKeys, every: bool) -> AsyncIterator[WrappedKey]:
    """Those that another key than the current one wraps. What a run before left of replaced ones is removed."""
    current = await data_keys.current()
    for key in [key async for key in data_keys.pages()]:
        if every or key.wrapping_key != current:
            yield key
        elif key.generation:
            await data_keys.remove_replaced(key)


def _encrypting(stores: Stores) -> dict[str, DataKeys]:
    if not stores.keys:
        raise click.ClickException("objects are not encrypted: `encryption` names no key (docs/encryption.md)")
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
