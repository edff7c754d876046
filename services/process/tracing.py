"""The tracer of a process, by the settings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.telemetry.otlp import otlp_sink
from gantry.common.telemetry.spans import Tracer


def open_tracer(settings: Settings, clock: Clock, roles: Sequence[str]) -> tuple[Tracer, Callable[[], Awaitable[None]]]:
    """The tracer, and a function that sends the last spans at the end of the process. Raises `ConfigError`."""
    traces = settings.traces
    if traces.endpoint is None:
        return Tracer(clock), _do_nothing
    role = "all" if len(roles) > 1 else roles[0]
    resource = {
        "service.namespace": "gantry",
        "service.name": f"gantry-{role}",
        "service.version": version("gantry-dicom"),
        "service.instance.id": f"{os.uname().nodename}-{os.getpid()}",
    }
    sink, end = otlp_sink(traces.endpoint, _headers(traces.headers_file), resource)
    return Tracer(clock, sink, traces.ratio), lambda: asyncio.to_thread(end)


async def _do_nothing() -> None:
    return None


def _headers(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("traces.headers_file", None, f"{file} cannot be read: {type(error).__name__}") from None
    if any(":" not in line for line in lines):
        raise ConfigError("traces.headers_file", None, f"{file} has a line that is not `Name: value`")
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
