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
from gantry.common.runtime.lifecycle import Phase
from gantry.common.telemetry.logs import keep_quiet
from gantry.services.process.archive import Archive
from gantry.services.roles import EVERY
from gantry.testing.client import Client
from gantry.testing.faults import Faults
from gantry.testing.records import AssociationRecord, Operation, Received
from gantry.testing.security import make_security

_STARTING_SECONDS = 30.0


class InProcessGantry(Client):
    """Every role on embedded stores in a temporary folder. Use as a context manager, or `start` and `stop`.

    Any AE title may do anything from this machine. `peers` are entries of the policy besides (README.md), such as
    C-MOVE destinations: `{"ae_title": "DEST", "host": "127.0.0.1", "port": 11113, "move_destination": True}`.

    With `secure` it speaks TLS with certificates on both sides and wants a token over HTTP; `security` has what a
    client needs for both.
    """

    def __init__(
        self, *, ae_title: str = "GANTRY", peers: Sequence[dict[str, object]] = (), secure: bool = False
    ) -> None:
        self.ae_title = ae_title
        self._peers = list(peers)
        self._secure = secure
        self._faults = Faults(SystemClock())
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
        if self._secure:
            self.security = make_security(Path(self._folder.name) / "security")
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

    # ---- faults on demand

    def fail_next(self, operation: str | Operation, status: int, times: int = 1) -> None:
        """Answer the next `times` requests of an operation ("store", "find", "get", "move", "commit", "echo") with a
        status, such as 0xA700, and do nothing: `fail_next("store", 0xA700)`. Raises `ValueError` for an operation or a
        status that is none."""
        self._faults.fail_next(operation, status, times)

    def delay(self, seconds: float, operation: str | Operation | None = None, times: int | None = None) -> None:
        """Answer requests of an operation, or of all, so many seconds later: the next `times`, or from now on."""
        self._faults.delay(seconds, operation, times)

    def abort_after(self, messages: int) -> None:
        """Abort the next association as soon as it has brought so many requests; the last of them is done, and its
        answer may not arrive. Called twice, it is for the two next associations."""
        self._faults.abort_after(messages)

    def reject(self, calling_ae_title: str, result: int = 1, source: int = 1, reason: int = 3) -> None:
        """Reject associations of an AE title from now on: as not recognised, or with other numbers of PS3.8 table
        9-21, such as 2, 3, 2 for "local limit exceeded, try again"."""
        self._faults.reject(calling_ae_title, result, source, reason)

    def behave(self) -> None:
        """Nothing goes wrong on purpose any more."""
        self._faults.clear()

    # ---- what came

    @property
    def received(self) -> list[Received]:
        """Every request so far with its bytes, titles and status, in the order of the answers."""
        return self._faults.received

    @property
    def associations(self) -> list[AssociationRecord]:
        """Every association that was asked for so far, those that were rejected too."""
        return self._faults.associations

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
        own = {"data": folder / "data", "lab": not self._secure, "drain": 2.0, "dimse.ae_title": self.ae_title}
        settings = load_settings(config, {}, {**local, **own, **self._secured()})
        archive = self._archive = Archive(settings, EVERY, config, SystemClock(), interposed=self._faults)
        running = asyncio.create_task(archive.run())
        while archive.lifecycle.state is not Phase.READY and not running.done():
            await archive.clock.sleep(0.005)
        self.port, self.http_port = archive.dimse_port or 0, archive.health.port
        self._ready.set()
        await running

    def _secured(self) -> dict[str, object]:
        """Settings."""
        if (security := self.security) is None:
            return {}
        tls = {"certificate": security.archive_certificate, "key": security.archive_key, "ca": security.authority}
        return {"http.tokens_file": security.tokens_file, **{f"tls.{name}": file for name, file in tls.items()}}
