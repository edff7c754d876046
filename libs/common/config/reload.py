"""A policy that follows its file: a valid change is applied, an invalid one is refused and the old policy stays. Peers
that the API added are part of it; the file takes precedence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.config.policy import KnownPeer, Policy, read_policy
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger


class PolicyFile:
    """The policy in force. Reading `current` costs nothing; it does not change between two awaits of the reader."""

    def __init__(
        self,
        file: Path | None,
        ae_title: str,
        lab: bool = False,
        on_outcome: Callable[[str], None] = lambda _: None,
        *,
        whole: bool = True,
    ) -> None:
        """Reads the file. Raises `ConfigError`, since at the start there is no old policy. `on_outcome` is called with
        "taken" or "refused" at every change of the file, for the metrics. Without `whole` there may be peers of the API
        that are still to be read."""
        self._file = file
        self._ae_title = ae_title
        self._lab = lab
        self._on_outcome = on_outcome
        self._logger = get_logger("policy")
        self._watched = WatchedFiles([file])
        self._added: Mapping[str, KnownPeer] = {}
        self._whole = whole
        self._in_file: Policy = read_policy(file, ae_title, lab)
        self._in_force: Policy | None = None

    @property
    def current(self) -> Policy:
        """All peers: those of the file, and those that were added with another AE title."""
        if self._in_force is None:
            # Twice, so that those of the file come first and also prevail.
            peers = {**self._in_file.peers, **self._added, **self._in_file.peers}
            self._in_force = replace(self._in_file, peers=peers, whole=self._whole)
        return self._in_force

    @property
    def in_file(self) -> Mapping[str, KnownPeer]:
        """The peers of the file, by AE title."""
        return self._in_file.peers

    def stand_beside(self, added: Mapping[str, KnownPeer], whole: bool) -> None:
        """Take the peers of the API, as they are now: call it again when they change. `whole` is whether all of them
        are read."""
        self._added, self._whole, self._in_force = added, whole, None

    def reload(self) -> bool:
        """Read the file now (SIGHUP). False if it was refused, which is logged with file, line and reason."""
        self._watched.have_changed()  # what is read now is what was seen last
        try:
            self._in_file, self._in_force = read_policy(self._file, self._ae_title, self._lab), None
        except ConfigError as error:
            self._logger.error(
                "new policy refused; the old one stays in force", file=error.file, line=error.line, reason=error.reason
            )
            self._on_outcome("refused")
            return False
        self._logger.info("policy taken", file=str(self._file), peers=len(self._in_file.peers))
        self._on_outcome("taken")
        return True

    def look(self) -> None:
        """Read the file if it is not the one that was read last."""
        if self._watched.have_changed():
            self.reload()

    async def watch(self, clock: Clock) -> None:
        """`look` every two seconds, for ever."""
        await self._watched.watch(clock, self.look)
