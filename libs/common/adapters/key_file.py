"""A key service that is a file: for a site without one, and for tests.

A line has a name and a key of 32 bytes in base64; the last one is current, the others unwrap what they wrapped.
# begins a comment. The file is read again when it changes; one with a mistake is refused, and the keys in force stay.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError, KeyWithheld
from gantry.common.ports.keys import NewKey
from gantry.common.telemetry.logs import get_logger

_LENGTH, _NONCE = 32, 12
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHERE = "encryption.key"


class KeyFile:
    """`KeyService` by the keys of a file."""

    def __init__(self, file: Path) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._watched = WatchedFiles([file])
        self._logger = get_logger("encryption")
        self._keys = read_keys(file)

    async def new(self, purpose: str) -> NewKey:
        """As the port has it."""
        keys, plain = await self._now(), secrets.token_bytes(_LENGTH)
        name = _last(keys)
        return NewKey(plain, _wrap(keys[name], plain, purpose), name)

    async def open(self, wrapped: bytes, wrapping_key: str, purpose: str) -> bytes:
        """As the port has it."""
        keys = await self._now()
        if wrapping_key not in keys:
            raise KeyWithheld(f"{self._file.name} has no key {wrapping_key}")
        try:
            nonce, sealed = wrapped[:_NONCE], wrapped[_NONCE:]
            return AESGCM(keys[wrapping_key]).decrypt(nonce, sealed, purpose.encode())
        except (InvalidTag, ValueError) as error:
            # A different key with the same name leads here, too: its data must not count as damaged.
            raise KeyWithheld(f"key {wrapping_key} is not the one that wrapped it") from error

    async def wrap_anew(self, wrapped: bytes, wrapping_key: str, purpose: str) -> tuple[bytes, str]:
        """As the port has it."""
        plain = await self.open(wrapped, wrapping_key, purpose)
        keys = await self._now()
        name = _last(keys)
        return _wrap(keys[name], plain, purpose), name

    async def current(self) -> str:
        """As the port has it."""
        return _last(await self._now())

    async def close(self) -> None:
        """As the port has it."""

    async def _now(self) -> Mapping[str, bytes]:
        if await asyncio.to_thread(self._watched.have_changed):
            try:
                self._keys = await asyncio.to_thread(read_keys, self._file)
                self._logger.info("encryption keys taken", keys=len(self._keys), current=_last(self._keys))
            except ConfigError as error:
                line, why = error.line, error.reason
                self._logger.error("new encryption keys refused; the old ones stay in force", line=line, why=why)
        return self._keys


def read_keys(file: Path) -> dict[str, bytes]:
    """The keys of a file by their names, the current one last. Raises `ConfigError`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(_WHERE, None, f"{file} cannot be read; `gantry keys new {file}` makes one") from error
    keys: dict[str, bytes] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, key = _read_line(line, number)
        if name in keys:
            raise ConfigError(_WHERE, number, f"there is a key {name} already")
        keys[name] = key
    if not keys:
        raise ConfigError(_WHERE, None, f"there is no key in {file}")
    return keys


def line_of(name: str) -> str:
    """A line with a new key. Raises `ConfigError` for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise ConfigError(_WHERE, None, "a name has 64 letters, digits, dots, dashes and underscores at most")
    return f"{name} {b64encode(secrets.token_bytes(_LENGTH)).decode()}\n"


def _read_line(line: str, number: int) -> tuple[str, bytes]:
    name, _, text = line.partition(" ")
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if not _NAME.fullmatch(name) or len(key) != _LENGTH:
        raise ConfigError(
            _WHERE, number, "a line is a name and a key of 32 bytes in base64 (`gantry keys new` adds one)"
        )
    return name, key


def _last(keys: Mapping[str, bytes]) -> str:
    return next(reversed(list(keys)))


def _wrap(key: bytes, plain: bytes, purpose: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, purpose.encode())
