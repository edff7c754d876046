"""A policy that follows its file: changed ones are taken, bad ones refused, and the old one stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from libs.common.clock import Clock
from libs.common.config.policy import Policy, read_policy
from libs.common.errors import ConfigError

_LOOK_EVERY_SECONDS = 2.0


class PolicyFile:
    """The policy in force. Reading `current` costs nothing; it changes only between two awaits of the reader."""

    def __init__(
        self, file: Path | None, ae_title: str, lab: bool = False, on_outcome: Callable[[str], None] = lambda _: None
    ) -> None:
        """Reads the file; raises `ConfigError`: there is no old policy to keep at the start. `on_outcome` hears
        "taken" or "refused" at every change, for the metrics."""
        self._file = file
        self._ae_title = ae_title
        self._lab = lab
        self._on_outcome = on_outcome
        self._said = structlog.get_logger(component="policy")
        self._seen = self._mark()
        self.current: Policy = read_policy(file, ae_title, lab)

    def reload(self) -> bool:
        """Read the file now (SIGHUP). False where it was refused; why is logged with file, line and reason."""
        self._seen = self._mark()
        try:
            self.current = read_policy(self._file, self._ae_title, self._lab)
        except ConfigError as error:
            self._said.error("policy refused, the old one stays", file=error.file, line=error.line, reason=error.reason)
            self._on_outcome("refused")
            return False
        self._said.info("policy taken", file=str(self._file), peers=len(self.current.peers))
        self._on_outcome("taken")
        return True

    def look(self) -> None:
        """Read the file if it is not the one that was read last."""
        if self._file is not None and self._mark() != self._seen:
            self.reload()

    async def watch(self, clock: Clock) -> None:
        """`look` every two seconds, for ever."""
        while True:
            await clock.sleep(_LOOK_EVERY_SECONDS)
            self.look()

    def _mark(self) -> tuple[int, int, int] | None:
        """What changes when a file is edited in place or replaced; None while it is not there."""
        if self._file is None:
            return None
        try:
            stat = os.stat(self._file)
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
