"""The tokens of `http.tokens_file`: keys of machines.

A line is `NAME:TOKEN`, optionally followed by the machine's roles: `NAME:TOKEN roles=service,technologist`. The SHA-256
of a token can replace it, so that the file holds no secret: `NAME:sha256=HEX`. # begins a comment.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gantry.common.access import CallerRole
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger

_SHORTEST = 16
_HASHED = re.compile(r"sha256=([0-9A-Fa-f]{64})")
_ROLES = "roles="


@dataclass(frozen=True, slots=True)
class KnownToken:
    """The name of a token, and the roles of its holder."""

    name: str
    roles: frozenset[CallerRole] = frozenset()


class Tokens:
    """The tokens in force. Read again when the file changes; a file with a mistake is refused, and the tokens in force
    stay."""

    def __init__(self, file: Path | None) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._logger = get_logger("web")
        self._seen = self._mark()
        self._tokens = _read(file) if file is not None else {}

    def __bool__(self) -> bool:
        return self._file is not None

    def name_of(self, token: str) -> str | None:
        """The name of a token; None if it is unknown."""
        known = self.find(token)
        return None if known is None else known.name

    def find(self, token: str) -> KnownToken | None:
        """The entry of a token; None if it is unknown. Takes the same time for every wrong token."""
        self._look()
        token_digest, holder = hashlib.sha256(token.encode("utf-8", "replace")).digest(), None
        for digest, known in self._tokens.items():
            if hmac.compare_digest(token_digest, digest):
                holder = known
        return holder

    def named(self, name: str) -> KnownToken | None:
        """The entry of a name; None if there is none any more."""
        self._look()
        return next((known for known in self._tokens.values() if known.name == name), None)

    def _look(self) -> None:
        mark = self._mark()
        if mark == self._seen or self._file is None:
            return
        self._seen = mark
        try:
            self._tokens = _read(self._file)
            self._logger.info("tokens taken", tokens=len(self._tokens))
        except ConfigError as error:
            self._logger.error("new tokens refused; the old ones stay in force", line=error.line, reason=error.reason)

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._file) if self._file is not None else None
        except OSError:
            return None
        return None if stat is None else (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def tokens_in(file: Path) -> frozenset[bytes]:
    """The SHA-256 of each token in a file. Raises `ConfigError`."""
    return frozenset(_read(file))


def _read(file: Path) -> dict[bytes, KnownToken]:
    """The tokens, by their SHA-256."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(str(file), None, "cannot be read") from error
    tokens: dict[bytes, KnownToken] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                digest, known = _parsed(line)
            except ValueError as error:
                raise ConfigError(str(file), number, str(error)) from None
            tokens[digest] = known
    return tokens


def _parsed(line: str) -> tuple[bytes, KnownToken]:
    """The SHA-256 of a line's token, and its entry. Raises `ValueError`."""
    name, colon, rest = line.strip().partition(":")
    token, roles = rest.strip(), frozenset[CallerRole]()
    # A token has no spaces (RFC 6750 2.1), so text after a space describes it.
    head, _, last = token.rpartition(" ")
    if last.startswith(_ROLES):
        token = head.strip()
        try:
            roles = frozenset(CallerRole(word) for word in last.removeprefix(_ROLES).split(","))
        except ValueError:
            words = ", ".join(role.value for role in CallerRole)
            raise ValueError(f"roles are some of {words}, with commas between") from None
    if not colon or not name.strip() or len(token) < _SHORTEST:
        raise ValueError(f"not NAME:TOKEN with a token of {_SHORTEST} characters or more")
    hashed = _HASHED.fullmatch(token)
    digest = bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(token.encode()).digest()
    return digest, KnownToken(name.strip(), roles)
