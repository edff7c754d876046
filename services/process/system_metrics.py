"""Metrics of the process and its machine that are read on request: disks, certificates, build, lost log lines."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import ProcessCollector

from gantry.common.config.settings import Settings
from gantry.common.config.tls import expiry_of
from gantry.common.telemetry.logs import Lines
from gantry.common.telemetry.metrics import Metrics


class SystemMetrics:
    """Updates these metrics; one instance for all processes of a machine whose metrics are served together."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Registers the metrics of the process (`process_…`: CPU, memory, open files, start) beside ours."""
        ProcessCollector(registry=metrics.registry)
        self._settings = settings
        self._metrics = metrics
        self._dropped = 0
        metrics.build_info.labels(version_of(), platform.python_version()).set(1)

    def refresh(self) -> None:
        """Read the current values. May block for as long as a file system does: call it off the event loop."""
        for store, folder in folders_of(self._settings).items():
            with suppress(OSError):
                stats = os.statvfs(folder)
                self._metrics.disk_free_bytes.labels(store).set(stats.f_bavail * stats.f_frsize)
                self._metrics.disk_size_bytes.labels(store).set(stats.f_blocks * stats.f_frsize)
        tls = self._settings.tls
        for setting, file in (("tls.certificate", tls.certificate), ("tls.ca", tls.ca)):
            ends = expiry_of(file) if file is not None else None
            if ends is not None:
                self._metrics.certificate_expires_seconds.labels(setting).set(ends)
        dropped = Lines.dropped
        self._metrics.log_lines_dropped.inc(dropped - self._dropped)
        self._dropped = dropped


def folders_of(settings: Settings) -> dict[str, Path]:
    """The folders of the embedded stores: a store that is a file, or does not exist yet, is in its parent."""
    urls = {"objects": settings.objects_url, "log": settings.log_url, "index": settings.index_url}
    urls |= {f"objects {store.name}": store.url for store in settings.tiers.stores}
    folders: dict[str, Path] = {}
    for store, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme in ("file", "sqlite"):
            path = Path(parts.path)
            folders[store] = path if path.is_dir() else path.parent
    return folders


def version_of() -> str:
    """The version of the running Gantry."""
    try:
        return version("gantry-dicom")
    except PackageNotFoundError:
        return "unknown"
