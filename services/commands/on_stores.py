"""The common beginning and end of commands that work on an archive's own stores."""

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
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    command = click.option("--data", type=folder, help="Folder of the embedded stores.")(command)
    return click.option("--config", type=file, envvar="GANTRY_CONFIG", help="YAML file.")(command)


async def persist(call: Callable[[], Awaitable[None]], failed: Callable[[], object], seconds: float) -> None:
    """Repeat a call while a store is away, and print what it waits for."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    message = ""
    while True:
        try:
            return await call()
        except KeyWithheld:
            raise  # somebody has to supply the key; waiting does not help
        except DependencyUnavailable as error:
            if clock.monotonic() >= end:
                raise
            if str(error) != message:
                click.echo(f"waiting: {error}", err=True)
                message = str(error)
        failed()
        await clock.sleep(_AGAIN_SECONDS)


def this_trail(settings: Settings) -> AuditTrail:
    """The audit trail of a command: a person makes its changes."""
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
    """Work on the stores. Changes are recorded for the audit, unless `on_record` is False: for commands that change
    nothing, or only repeat earlier events."""

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
    except (NotFound, Held, Conflicting) as error:  # a retry would get the same answer
        raise click.ClickException(str(error)) from error
    except GantryError as error:
        raise click.ClickException(f"{error}; fix that, and run it again") from error


def _require_objects(settings: Settings) -> None:
    """Refuse a missing folder of objects: it would be created, empty, because of a typo."""
    url = urlsplit(settings.objects_url)
    if url.scheme == "file" and not Path(url.path).is_dir():
        raise ConfigError(url.path, None, "no such folder: there is no archive here; is --data right?")


def rules_in(settings: Settings) -> list[RetentionRule]:
    """The retention rules in force. Raises `ConfigError`."""
    return retention_rules(settings.lifecycle.retention, searchable(settings))


def deletions_of(stores: Stores, settings: Settings) -> Deletions:
    """Deletions on an archive's stores; holds and retention rules apply as everywhere."""
    grace, elsewhere = settings.lifecycle.grace, CommittedElsewhere(stores.objects)
    return Deletions(stores.log, stores.index, SystemClock(), grace, rules=rules_in(settings), elsewhere=elsewhere)


def show(as_json: bool, values: dict[str, Any], head: tuple[str, str], rows: list[tuple[str, Any]]) -> None:
    if as_json:
        click.echo(json.dumps(values))
    else:
        print_table(head, [(name, str(value)) for name, value in rows])
