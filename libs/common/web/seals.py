"""Seals with a file of secrets that several processes share: what one of them seals, the others can open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gantry.common.access.sealing import Seal, secrets_of
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.telemetry.logs import get_logger

logger = get_logger("access")


class WatchedSeals:
    """A seal for each use. The file is read again when it changes; if it has a mistake, the earlier secrets stay in
    force."""

    def __init__(self, file: Path, uses: Sequence[str], place: str) -> None:
        """`place` is the origin of this installation. Raises `ConfigError`."""
        self._file = file
        self._uses = uses
        self._place = place
        self._watched = WatchedFiles([file])
        self._seals = self._read()

    def of(self, use: str) -> Seal:
        """The seal of a use, with the current secrets."""
        if self._watched.have_changed():
            self._look()
        return self._seals[use]

    def _look(self) -> None:
        try:
            self._seals = self._read()
            logger.info("secrets taken", uses=",".join(self._uses))
        except ConfigError as error:
            uses = ",".join(self._uses)
            logger.error("new secrets refused; the old ones stay in force", uses=uses, reason=error.reason)

    def _read(self) -> Mapping[str, Seal]:
        try:
            secrets = secrets_of(self._file.read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            raise ConfigError(str(self._file), None, "cannot be read") from error
        except NotUnderstood as error:
            raise ConfigError(str(self._file), None, str(error)) from error
        return {use: Seal(secrets, use, self._place) for use in self._uses}
