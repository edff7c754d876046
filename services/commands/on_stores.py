"""What a command that works on an archive's own stores begins and ends with."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import uvloop

from gantry.cli.output import print_table
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.errors import (
    ConfigError,
    Conflicting,
    DependencyUnavailable,
    GantryError,
    Held,
    KeyWithheld,
    NotFound,
)
from gantry.common.lifecycle import RetentionRule, retention_rules
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.telemetry.logs import set_up_logs
from gantry.common.telemetry.metrics import Metrics
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.process.recording import audited
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores, open_stores

Work = Callable[[Stores, Settings], Awaitable[None]]
_AGAIN_SECONDS = 2.0


def options(command: Callable[..., None]) -> Callable[..., None]:
    folder, file = click.Path(file_okay=False, path_type=Path), click.Path(dir_okay=False, path_type=Path)
    command = click.option("--json", "as_json", is_flag=True, help="For machines.")(command)
    command = click.option("--data", type=folder, help="Where the embedded stores live.")(command)
    return click.option("--config", type=file, envvar="GANTRY_CONFIG", help="YAML file.")(command)


async def persist(call: Callable[[], Awaitable[None]], failed: Callable[[], object], seconds: float) -> None:
    """Make a call again while a store is away, and say for what it waits."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    message = ""
    while True:
        try:
            return await call()
        except KeyWithheld:
            raise  # somebody has to give it; no server is coming up
        except DependencyUnavailable as error:
            if clock.monotonic() >= end:
                raise
            if str(error) != message:
                click.echo(f"waiting: {error}", err=True)
                message = str(error)
        failed()
        await clock.sleep(_AGAIN_SECONDS)


def this_trail(settings: Settings) -> AuditTrail:
    """The audit trail of a command: what it changes was changed by a person."""
    process = f"{socket.gethostname()}:{os.getpid()}"
    return AuditTrail(SystemClock(), Metrics(), "command line", process, on=settings.audit.on, by="person")


def run(
    config: Path | None,
    data: Path | None,
    work: Work,
    *,
    any_index: bool = False,
    wait: float = 0.0,
    on_record: bool = True,
) -> None:
    """Work on the stores. What `work` changes is on record, unless `on_record` is False: of what changes nothing, or
    only repeats what happened before."""

    async def go() -> None:
        settings = load_settings(config, os.environ, {"data": data})
        _require_objects(settings)
        opened: list[Stores] = []

        async def open_them() -> None:
            opened.append(await open_stores(settings, SystemClock(), any_index=any_index))

        await persist(open_them, lambda: None, wait)
        stores, trail = opened[0], this_trail(settings)
        if on_record:
            stores.log = audited(stores.log, stores.index, trail)
        try:
            await work(stores, settings)
        finally:
            await trail.close(stores.log)
            await stores.close()

    set_up_logs("console", "error")
    try:
        uvloop.run(go())
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    except (NotFound, Held, Conflicting) as error:  # the same again would be answered the same
        raise click.ClickException(str(error)) from error
    except GantryError as error:
        raise click.ClickException(f"{error}; run it again when that is mended") from error


def _require_objects(settings: Settings) -> None:
    """An object store that would be made on the way is a typo: there is nothing in it to work on."""
    url = urlsplit(settings.objects_url)
    if url.scheme == "file" and not Path(url.path).is_dir():
        raise ConfigError(url.path, None, "no such folder: there is no archive here; is --data right?")


def rules_in(settings: Settings) -> list[RetentionRule]:
    """The retention rules in force. Raises `ConfigError`."""
    return retention_rules(settings.lifecycle.retention, searchable(settings))


def deletions_of(stores: Stores, settings: Settings) -> Deletions:
    """What deletes on an archive's stores: what a hold or a rule keeps is refused there as everywhere."""
    grace, elsewhere = settings.lifecycle.grace, CommittedElsewhere(stores.objects)
    return Deletions(stores.log, stores.index, SystemClock(), grace, rules=rules_in(settings), elsewhere=elsewhere)


def show(as_json: bool, values: dict[str, Any], head: tuple[str, str], rows: list[tuple[str, Any]]) -> None:
    if as_json:
        click.echo(json.dumps(values))
    else:
        print_table(head, [(name, str(value)) for name, value in rows])
