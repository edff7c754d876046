"""A policy that follows its file: a valid change is taken, an invalid one is refused and the old policy stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.config.policy import Policy, read_policy
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger


class PolicyFile:
    """The policy in force. Reading `current` costs nothing; it changes only between two awaits of the reader."""

    def __init__(
        self, file: Path | None, ae_title: str, lab: bool = False, on_outcome: Callable[[str], None] = lambda _: None
    ) -> None:
        """Reads the file. Raises `ConfigError`, since at the start there is no old policy. `on_outcome` is called with
        "taken" or "refused" at every change, for the metrics."""
        self._file = file
        self._ae_title = ae_title
        self._lab = lab
        self._on_outcome = on_outcome
        self._logger = get_logger("policy")
        self._watched = WatchedFiles([file])
        self.current: Policy = read_policy(file, ae_title, lab)

    def reload(self) -> bool:
        """Read the file now (SIGHUP). False if it was refused, which is logged with file, line and reason."""
        self._watched.have_changed()  # what is read now is what was seen last
        try:
            self.current = read_policy(self._file, self._ae_title, self._lab)
        except ConfigError as error:
            self._logger.error(
                "new policy refused; the old one stays in force", file=error.file, line=error.line, reason=error.reason
            )
            self._on_outcome("refused")
            return False
        self._logger.info("policy taken", file=str(self._file), peers=len(self.current.peers))
        self._on_outcome("taken")
        return True

    def look(self) -> None:
        """Read the file if it is not the one that was read last."""
        if self._watched.have_changed():
            self.reload()

    async def watch(self, clock: Clock) -> None:
        """`look` every two seconds, for ever."""
        await self._watched.watch(clock, self.look)
