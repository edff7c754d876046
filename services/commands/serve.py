"""`gantry serve`: one process with any of the roles, or several that share the DIMSE port."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog
import uvloop

from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.errors import ConfigError, GantryError
from gantry.common.lifecycle import retention_rules, tier_rules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.runtime.lifecycle import Lifecycle
from gantry.common.telemetry.logs import get_logger, set_up_logs
from gantry.common.web.routes import BASE
from gantry.services.orders.hl7.profiles import profiles_in
from gantry.services.process.archive import Archive
from gantry.services.process.descriptors import make_room
from gantry.services.process.descriptors import watch as watch_descriptors
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import check_urls
from gantry.services.process.supervision import Companion, SupervisedProcess
from gantry.services.roles import EVERY, Role, dimse_port, http_port

if TYPE_CHECKING:
    from gantry.services.frontdoor.app import FrontDoor

_WEB = frozenset((Role.QUERY, Role.RETRIEVE, Role.INGEST, Role.DOOR))
"""Roles that serve DICOMweb."""


@click.command()
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([r.value for r in Role]),
    envvar="GANTRY_ROLE",
    help="Default: every role except the door. Also set by GANTRY_ROLE, separated by spaces.",
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="GANTRY_CONFIG", help="YAML file.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the embedded stores.")
@click.option("--dimse-port", type=int, help="DICOM port (default 11112; alone, each role has its own).")
@click.option("--http-port", type=int, help="Health and metrics port (default 8080; alone, each role has its own).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--lab", is_flag=True, default=None, help="Admit unknown AE titles from this machine. Not in production.")
@click.option("--list-roles", is_flag=True, help="Show the roles and their ports, and exit.")
@click.option("--check-config", is_flag=True, help="Check settings and policy, and exit.")
@click.option("--print-config", is_flag=True, help="Print the settings in force as YAML, and exit.")
@click.option("--worker", type=int, hidden=True, help="Number of this process among several.")
@click.option("--indexer-of", type=int, hidden=True, help="Indexer only, health on this inherited descriptor.")
def serve(
    roles: tuple[str, ...],
    config: Path | None,
    data: Path | None,
    dimse_port: int | None,
    http_port: int | None,
    workers: int,
    lab: bool | None,
    list_roles: bool,
    check_config: bool,
    print_config: bool,
    worker: int | None,
    indexer_of: int | None,
) -> None:
    """Start the archive: every role, or those named with --role.

    \b
    gantry serve --data var --lab                  everything, for a trial
    gantry serve --config gantry.yaml              everything, for a hospital
    gantry serve --config gantry.yaml --role query one role
    gantry serve --config gantry.yaml --role door  one address before roles that run by themselves
    """
    overrides: dict[str, Any] = {
        "data": data,
        "dimse.port": dimse_port,
        "http.port": http_port,
        "lab": lab,
        "logs.format": "console" if sys.stderr.isatty() and "GANTRY_LOGS__FORMAT" not in os.environ else None,
    }
    chosen = frozenset(map(Role, roles)) or EVERY
    try:
        settings = load_settings(config, os.environ, overrides)
        if list_roles:
            _list_roles(settings)
        elif print_config:
            _print(settings)
        elif check_config:
            _process(settings, chosen, config, None)
            retention_rules(settings.lifecycle.retention, searchable(settings))
            tier_rules(settings.tiers.rules, searchable(settings))
            coercion_rules(settings.coercion.rules)
            profiles_in(settings.hl7)
            if Role.DOOR not in chosen:
                check_urls(settings)
            click.echo("settings and policy are in order")
        else:
            sys.exit(_serve(settings, chosen, config, workers, worker, indexer_of))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _serve(
    settings: Settings,
    roles: frozenset[Role],
    config: Path | None,
    workers: int,
    worker: int | None,
    indexer_of: int | None,
) -> int:
    set_up_logs(settings.logs.format, settings.logs.level)
    with _private_files():
        if workers > 1 and worker is None:
            if not settings.dimse.port:
                raise ConfigError("--workers", None, "several processes share a port: give a --dimse-port other than 0")
            if settings.http.tls_port and not settings.http.port:
                raise ConfigError("--workers", None, "several processes cannot share http.tls_port: set http.port, too")
            return asyncio.run(_supervise(workers))
        # Worker threads need the interpreter only for microseconds; the event loop must not wait for it longer.
        sys.setswitchinterval(0.0005)
        code: int = uvloop.run(_run(settings, roles, config, workers, worker, indexer_of))
        return code


@contextmanager
def _private_files() -> Iterator[None]:
    """Set a file mask so that only owner and group can read patients' data; the old mask is restored at the end, for a
    process that continues (a test)."""
    before = os.umask(0)
    os.umask(0o027 | before)
    try:
        yield
    finally:
        os.umask(before)


async def _run(
    settings: Settings,
    roles: frozenset[Role],
    config: Path | None,
    workers: int,
    worker: int | None,
    indexer_of: int | None,
) -> int:
    try:
        if Role.DOOR not in roles:
            _require_data(settings)
        if indexer_of is not None:
            structlog.contextvars.bind_contextvars(process="indexer")  # both processes log to the same place
            listening = socket.socket(fileno=indexer_of)
            archive: Archive | FrontDoor = Archive(
                settings, frozenset({Role.INDEXER}), config, SystemClock(), http_socket=listening
            )
        else:
            archive = _process(settings, roles, config, worker)
        make_room(settings, archive.roles)
        archive.lifecycle.watch(
            watch_descriptors(archive.clock, archive.metrics.file_descriptors_exhausted.set), "file descriptors"
        )
        if worker is not None or indexer_of is not None:
            _stop_with_the_parent(archive.lifecycle)
        if indexer_of is None and not worker:  # of several processes, only the first prints it
            archive.lifecycle.when_ready(lambda: _welcome(settings, roles, workers, archive))
        _spare_the_collector()
        return await archive.run()
    except GantryError as error:
        get_logger("serve").error("cannot start", error=error)
        return 1


def _stop_with_the_parent(lifecycle: Lifecycle) -> None:
    """Drain when the parent process has ended, which we see at the end of our standard input."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def gone() -> None:
        loop.remove_reader(descriptor)  # the end of a file stays readable for ever
        lifecycle.ask_to_stop()

    loop.add_reader(descriptor, gone)


def _spare_the_collector() -> None:
    """Freeze the objects of the start, and run the garbage collector less often: reference counts free what a request
    creates, and collecting cost a twentieth of a C-STORE."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _process(
    settings: Settings, roles: frozenset[Role], config: Path | None, worker: int | None
) -> Archive | FrontDoor:
    """The component to run: the archive or a part of it, or the door in front of it."""
    if Role.DOOR not in roles:
        clock = SystemClock()
        companion = Companion(clock) if worker is None and _has_companion(settings, roles) else None
        return Archive(settings, roles, config, clock, worker=worker, companion=companion)
    from gantry.services.frontdoor.app import FrontDoor

    if len(roles) > 1:
        raise ConfigError("--role", None, "the door needs a process of its own: start the other roles separately")
    return FrontDoor(settings, StorageClasses(settings.dimse.private_sop_classes), SystemClock(), worker=worker)


def _require_data(settings: Settings) -> None:
    """Refuse a folder for the embedded stores that cannot be created, instead of waiting for it."""
    embedded = any(url.startswith(("file:", "sqlite:")) for url in _urls(settings))
    if not embedded or settings.data.exists():
        return
    try:
        settings.data.mkdir(0o750, parents=True, exist_ok=True)  # another process may create it now
    except OSError as error:
        reason = f"the folder cannot be created: {os.strerror(error.errno or 0).lower()}"
        raise ConfigError(str(settings.data.absolute()), None, reason) from error


def _urls(settings: Settings) -> tuple[str, ...]:
    storage = settings.storage
    return tuple(url or "file:" for url in (storage.objects, storage.log, storage.index))


def _welcome(settings: Settings, roles: frozenset[Role], workers: int, archive: Archive | FrontDoor) -> None:
    """Print the ports, which are open by now, and commands to try. For a person: standard output, not the log."""
    with suppress(OSError):  # nobody reads it
        _print_welcome(settings, roles, workers, archive)


def _print_welcome(settings: Settings, roles: frozenset[Role], workers: int, archive: Archive | FrontDoor) -> None:
    dimse, title = archive.dimse_port, settings.dimse.ae_title
    http = archive.health.port
    names = "every role" if roles == EVERY else ", ".join(sorted(roles))
    where = "" if Role.DOOR in roles else f"; data in {settings.data.absolute()}"
    lines = [
        f"Gantry: {names}{f', {workers} processes' if workers > 1 else ''}{where}",
        f"  DICOM   AE title {title}, port {dimse}{_tls_words(archive)}" if dimse is not None else "",
        f"  HTTP    http://127.0.0.1:{http}/readyz and /metrics"
        + (f", {BASE}" if roles & _WEB else "")
        + _https_words(archive),
        f"  HL7     MLLP port {settings.hl7.port}" if Role.ORDERS in roles and settings.hl7.port else "",
        f"  Studies http://127.0.0.1:{http}/" if Role.QUERY in roles else "",
    ]
    if settings.lab:
        lines += [
            "",
            "  *** LAB MODE: any AE title may store, search, retrieve and commit from this machine, ***",
            "  *** and DICOMweb asks nobody here for a token.                                       ***",
            "  *** Never use --lab where patients' images are.                                      ***",
        ]
    if len(roles) > 1 or Role.DOOR in roles:
        peer = f"{title}@127.0.0.1:{dimse}"
        lines += [
            "",
            "Try, in another terminal:",
            f"  .venv/bin/gantry echo  {peer}",
            f"  .venv/bin/gantry store {peer} FOLDER",
            f"  .venv/bin/gantry find  {peer}",
        ]
    click.echo("\n".join(lines) + "\n")


def _tls_words(archive: Archive | FrontDoor) -> str:
    return f"; TLS on port {archive.dimse_tls_port}" if archive.dimse_tls_port is not None else ""


def _https_words(archive: Archive | FrontDoor) -> str:
    return f"; HTTPS on port {archive.health.tls_port}" if archive.health.tls_port is not None else ""


def _list_roles(settings: Settings) -> None:
    for role in Role:
        alone = frozenset({role})
        dimse = f"DIMSE {dimse_port(alone, settings.dimse.port)}" if role.serves_dimse else "no DIMSE"
        click.echo(f"{role.value:11} {dimse:12} HTTP {http_port(alone, settings.http.port)}   {role.purpose}")
    together = f"DIMSE {dimse_port(EVERY, settings.dimse.port)}", http_port(EVERY, settings.http.port)
    click.echo(f"{'together':11} {together[0]:12} HTTP {together[1]}")


def _print(settings: Settings) -> None:
    from ruamel.yaml import YAML

    YAML().dump(_plain(settings.model_dump(mode="json")), sys.stdout)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


# ---- several processes


def _has_companion(settings: Settings, roles: frozenset[Role]) -> bool:
    """Whether the indexer gets a process of its own: with other roles on the embedded stores, and more than one core.
    In a cluster it has its own container."""
    embedded = settings.log_url.startswith("sqlite:") and settings.index_url.startswith("sqlite:")
    return embedded and Role.INDEXER in roles and len(roles) > 1 and len(os.sched_getaffinity(0)) > 1


async def _supervise(workers: int) -> int:
    """Run `workers` processes like this one, restart those that die, and forward signals. Returns the worst exit code
    after all have ended."""
    clock = SystemClock()
    processes = [SupervisedProcess(f"worker {n}", ["--worker", str(n)], clock) for n in range(workers)]

    def stop() -> None:
        for process in processes:
            process.stop()

    def reload() -> None:
        for process in processes:
            process.signal(signal.SIGHUP)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return max(await asyncio.gather(*(process.run() for process in processes)))
