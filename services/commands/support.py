"""`gantry support`: the state of an archive in one file for support, without patients' data."""

from __future__ import annotations

import json
import os
import platform
import secrets
import stat
import sys
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import uvloop

from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, GantryError
from gantry.common.events import ARCHIVERS, INDEXERS, TOPICS
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.telemetry.logs import set_up_logs
from gantry.services.commands.health import ask, ports
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.passes import Passes
from gantry.services.maintenance.reconciling import Reconciled
from gantry.services.maintenance.scrubbing import Scrubber
from gantry.services.maintenance.verify import Verified
from gantry.services.process.stores import Stores, open_stores
from gantry.services.whereabouts.associations import associations

_DAY_US = 24 * 3600 * 1_000_000
_LOG_BYTES = 16 << 20
"""Bytes from the end of each log."""
_LIBRARIES = ("pydicom", "pynetdicom", "aiokafka", "opensearch-py", "aiobotocore", "aiohttp", "uvloop")
_PAGES = ("/healthz", "/readyz", "/metrics")


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="GANTRY_CONFIG", help="YAML file.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the embedded stores.")
@click.option("--port", type=int, help="HTTP port of the process on this machine (default: as for `gantry health`).")
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log file; may be given several times.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write (a ZIP).")
def support(
    config: Path | None, data: Path | None, port: int | None, logs: tuple[Path, ...], output: Path | None
) -> None:
    """Write a bundle for a support case: versions, settings, health, metrics, lag, dead letters, last passes of
    verification and comparison, associations of a day, and the given logs.

    It contains no images, no attributes of images, and no secrets. UIDs of studies are replaced by names that are only
    valid within one bundle. AE titles, addresses and host names stay: read it before you send it. If a store is away,
    errors.txt says so, the rest is written, and the exit code is 1.
    """
    now = datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC)
    output = output or Path(f"gantry-support-{now:%Y%m%dT%H%M%SZ}.zip")
    try:
        settings = load_settings(config, os.environ, {"data": data})
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    set_up_logs("console", "error")
    bundle = _Bundle(Scrubber(secrets.token_bytes(16)))
    bundle.add("about.json", _about(settings, now))
    bundle.add("settings.json", settings.model_dump())
    for each in [port] if port else ports():
        for page in _PAGES:
            status, text = ask(each, page)
            if status:
                bundle.add(f"process/{each}{page}.txt", f"{status}\n{text}")
    uvloop.run(_of_stores(settings, bundle))
    for path in logs:
        bundle.add(f"logs/{path.name}", _end_of(path))
    bundle.write(output)
    for name in bundle.names:
        click.echo(name)
    click.echo(f"written: {output}; read it before you send it")
    if bundle.errors:
        click.echo("\n".join(bundle.errors), err=True)
        sys.exit(1)


class _Bundle:
    """The files of a bundle, scrubbed as they are added."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._files: dict[str, str] = {}
        self.errors: list[str] = []

    @property
    def names(self) -> list[str]:
        """The names of its files."""
        return list(self._files)

    def add(self, name: str, content: Any) -> None:
        """Add a file: text as it is, everything else as JSON."""
        if isinstance(content, str):
            self._files[name] = self._scrubber.text(content)
        else:
            self._files[name] = json.dumps(self._scrubber.value(content), indent=1, ensure_ascii=False) + "\n"

    async def ask(self, name: str, source: Callable[[], Awaitable[Any]]) -> None:
        """Add a file with the result of `source`, or an error line."""
        try:
            self.add(name, await source())
        except GantryError as error:
            self.errors.append(self._scrubber.text(f"{name}: {error}"))

    def write(self, path: Path) -> None:
        """Write a new file that only its owner can read."""
        if self.errors:
            self._files["errors.txt"] = "\n".join(self.errors) + "\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        except OSError as error:
            raise click.ClickException(f"{path}: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in self._files.items():
                archive.writestr(name, text)


def _about(settings: Settings, now: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(timespec="seconds"),
        "gantry": version("gantry-dicom"),
        "libraries": {
            name: version(name) for name in ("pydicom", "pynetdicom", "aiokafka", "opensearch-py", "aiobotocore")
        },
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "stores": [
            settings.objects_url,
            *(store.url for store in settings.tiers.stores),
            settings.log_url,
            settings.index_url,
        ],
    }


async def _of_stores(settings: Settings, bundle: _Bundle) -> None:
    clock = SystemClock()
    opened: list[Stores] = []

    async def open_them() -> list[str]:
        opened.append(await open_stores(settings, clock, any_index=True))
        return sorted(type(store).__name__ for store in (opened[0].objects, opened[0].log, opened[0].index))

    await bundle.ask("stores/opened.json", open_them)
    if not opened:
        return
    stores = opened[0]
    try:
        await bundle.ask("stores/index.json", lambda: stores.index.count(DEFAULT_PARTITION))
        await bundle.ask("stores/log.json", lambda: _log(stores))
        await bundle.ask("stores/dead-letters.json", lambda: _letters(stores))
        await bundle.ask("stores/associations.json", lambda: _associations(stores, clock))
        await bundle.ask("stores/verify.json", lambda: _latest(Passes(stores.objects, clock, "verify", Verified)))
        await bundle.ask(
            "stores/reconcile.json", lambda: _latest(Passes(stores.objects, clock, "reconcile", Reconciled))
        )
    finally:
        await stores.close()


async def _log(stores: Stores) -> dict[str, Any]:
    names = sorted({topic.name for topic in TOPICS.values()})
    ends = {name: sum((await stores.log.ends(name)).values()) for name in names}
    return {"ends": ends, "lag": {group: await stores.log.lag(group) for group in (INDEXERS, ARCHIVERS)}}


async def _letters(stores: Stores) -> list[dict[str, Any]]:
    letters = (await DeadLetters(stores.log, SystemClock()).ledger()).all()
    counted = Counter((letter.group, letter.event, letter.state.value, letter.reason) for letter in letters)
    names = ("group", "event", "state", "reason")
    return [{**dict(zip(names, key, strict=True)), "letters": count} for key, count in counted.most_common(200)]


async def _associations(stores: Stores, clock: SystemClock) -> list[dict[str, Any]]:
    events = await associations(stores.log, clock.now_us() - _DAY_US)
    return [{"kind": type(event).__name__, **asdict(event)} for event in events]


async def _latest(passes: Passes[Any]) -> dict[str, Any]:
    state = await passes.latest()
    return {} if state is None else asdict(state)


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace")
