"""A whole archive in the test's own process, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ruamel.yaml import YAML

from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.runtime.lifecycle import State
from gantry.common.telemetry.logs import keep_quiet
from gantry.services.process.archive import Archive
from gantry.services.roles import EVERY
from gantry.testing.client import Client

_STARTING_SECONDS = 30.0


class InProcessGantry(Client):
    """Every role on embedded stores in a temporary folder. Use as a context manager, or `start` and `stop`.

    Any AE title may do anything from this machine. `peers` are entries of the policy besides (README.md), such as
    C-MOVE destinations: `{"ae_title": "DEST", "host": "127.0.0.1", "port": 11113, "move_destination": True}`.
    """

    def __init__(self, *, ae_title: str = "GANTRY", peers: Sequence[dict[str, object]] = ()) -> None:
        self.ae_title = ae_title
        self._peers = list(peers)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._archive: Archive | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Return when it takes associations. Raises `RuntimeError` where it cannot start."""
        keep_quiet()
        self._folder = tempfile.TemporaryDirectory(prefix="gantry-test-")
        self._thread = threading.Thread(target=self._run, args=(Path(self._folder.name),), name="gantry", daemon=True)
        self._thread.start()
        if not self._ready.wait(_STARTING_SECONDS) or self._failure is not None or not self.port:
            self.stop()
            raise RuntimeError("the archive did not start") from self._failure
        return self

    def stop(self) -> None:
        """End it and remove its folder. May be called twice."""
        if self._loop is not None and self._archive is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._archive.lifecycle.ask_to_stop)
        if self._thread is not None:
            self._thread.join(_STARTING_SECONDS)
            self._thread = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, folder: Path) -> None:
        try:
            asyncio.run(self._serve(folder))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        config = folder / "gantry.yaml"
        with config.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"peers": self._peers}, file)
        local = {"dimse.host": self.host, "dimse.port": 0, "http.host": self.host, "http.port": 0}
        own = {"data": folder / "data", "lab": True, "drain": 2.0, "dimse.ae_title": self.ae_title}
        archive = self._archive = Archive(load_settings(config, {}, {**local, **own}), EVERY, config, SystemClock())
        running = asyncio.create_task(archive.run())
        while archive.lifecycle.state is not State.READY and not running.done():
            await archive.clock.sleep(0.005)
        self.port, self.http_port = archive.dimse_port or 0, archive.health.port
        self._ready.set()
        await running
