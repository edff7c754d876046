"""Secrets in files: read again when they change, so that a replaced password applies to the next connection without a
restart."""

from __future__ import annotations

from pathlib import Path

from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger

logger = get_logger("secrets")


class SecretFile:
    """The text of a file, without the white space around it. It is never printed."""

    def __init__(self, file: Path, setting: str) -> None:
        """`setting` names it in messages. Raises `ConfigError`."""
        self._file = file
        self._setting = setting
        self._files = WatchedFiles([file])
        self._text = self._read()

    @property
    def text(self) -> str:
        """The current text; the previous one while the file cannot be read or is empty."""
        if self._files.have_changed():
            try:
                before, self._text = self._text, self._read()
                # Kubernetes rewrites all files of a Secret when one of them changes.
                if self._text != before:
                    logger.info("a secret was replaced", setting=self._setting)
            except ConfigError as error:
                logger.error("a secret cannot be read; the one before stays in use", reason=error.reason)
        return self._text

    def _read(self) -> str:
        try:
            text = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(self._setting, None, f"{self._file} cannot be read") from error
        if not text:
            raise ConfigError(self._setting, None, f"{self._file} is empty")
        return text


Secret = str | SecretFile


def secret_of(file: Path | None, setting: str) -> SecretFile | None:
    """The secret in a file that settings name. Raises `ConfigError`."""
    return None if file is None else SecretFile(file, setting)


def text_of(secret: Secret | None) -> str:
    """A secret as it is now; "" for none."""
    return secret.text if isinstance(secret, SecretFile) else secret or ""
