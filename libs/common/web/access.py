"""Access over HTTP. Closed by default: without tokens only for this machine, with tokens only for their holders.

    no tokens      loopback peers; others 403
    tokens         requests with `Authorization: Bearer TOKEN`; others 401
    tokens, --lab  loopback peers as well

The caller of a request through a proxy is the one that the proxy names, if the proxy is one of `trusted`; otherwise the
caller is unknown, and never this machine. It is also unknown if a trusted proxy names no caller. One case cannot be
detected: a request through a proxy on this machine that is not configured here and adds no header.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.errors import HttpProblem
from gantry.common.web.headers import items

_MOST_HOPS = 32
_LONGEST_ADDRESS = 128
_SHORTEST = 16
_LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
_FORWARDED = ("X-Forwarded-For", "Forwarded")
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: its address (None if a proxy hides it) and the name of its token, "" for this machine. `here`: it is
    this machine, connected directly."""

    address: Address | None
    name: str = ""
    here: bool = False


class Tokens:
    """The tokens in force: `NAME:TOKEN` a line, # begins a comment. Read again when the file changes; a file with a
    mistake is refused, and the tokens in force stay."""

    def __init__(self, file: Path | None) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._logger = get_logger("web")
        self._seen = self._mark()
        self._tokens = _read(file) if file is not None else {}

    def __bool__(self) -> bool:
        return self._file is not None

    def name_of(self, token: str) -> str | None:
        """The name of a token; None if it is unknown. Takes the same time for every wrong token."""
        self._look()
        given, found = token.encode("utf-8", "replace"), None
        for known, name in self._tokens.items():
            if hmac.compare_digest(given, known):
                found = name
        return found

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


def _read(file: Path) -> dict[bytes, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(str(file), None, "cannot be read") from error
    tokens: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, token = line.strip().partition(":")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not colon or not name.strip() or len(token.strip()) < _SHORTEST:
            raise ConfigError(str(file), number, f"not NAME:TOKEN with a token of {_SHORTEST} characters or more")
        tokens[token.strip().encode()] = name.strip()
    return tokens


class Access:
    """Decides on every request except those for health and metrics."""

    def __init__(self, tokens: Tokens, trusted: Sequence[IPv4Network | IPv6Network] = (), *, lab: bool = False) -> None:
        self._tokens = tokens
        self._trusted = tuple(trusted)
        self._lab = lab

    def admit(self, peer: str, headers: Mapping[str, str]) -> Caller:
        """The caller. Raises `HttpProblem` 401 or 403. `peer` is the address at the other end of the connection."""
        caller = self._caller(peer, headers)
        if self._tokens:
            scheme, _, token = headers.get("Authorization", "").partition(" ")
            name = self._tokens.name_of(token.strip()) if scheme.lower() == "bearer" and token else None
            if name is not None:
                return Caller(caller.address, name)
            if not (self._lab and _is_local(caller, headers)):
                raise HttpProblem(401, "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="gantry"'})
        elif not _is_local(caller, headers):
            raise HttpProblem(403, "only this machine may ask while http.tokens_file is not set")
        return caller

    def admit_to_page(self, peer: str, headers: Mapping[str, str]) -> Caller:
        """The same for pages, which hold no patient data: with tokens, every caller gets them, since a browser cannot
        send a token before it has the page that asks for it."""
        return self._caller(peer, headers) if self._tokens else self.admit(peer, headers)

    def _caller(self, peer: str, headers: Mapping[str, str]) -> Caller:
        address = address_of(peer)
        here = address is not None and address.is_loopback
        if not self._is_trusted(address):
            forwarded = any(name in headers for name in _FORWARDED)
            return Caller(None) if forwarded else Caller(address, here=here)
        # The rightmost address that is not a trusted proxy: entries to its left may be forged. A proxy on another
        # machine that names a loopback address means its own.
        hops = items(headers, "X-Forwarded-For")
        if not hops:
            return Caller(None)
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = address_of(hop)
            here = here and address is not None and address.is_loopback
            if not self._is_trusted(address):
                return Caller(address, here=here)
        return Caller(address, here=here) if len(hops) <= _MOST_HOPS else Caller(None)

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _is_local(caller: Caller, headers: Mapping[str, str]) -> bool:
    """Whether a request is from this machine and names it as host: a page in a browser here must not reach us under
    another host name (DNS rebinding)."""
    host = headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return caller.here and name.lower() in _LOCAL_NAMES


def address_of(text: str) -> Address | None:
    """The address in a text; None if it is not one. IPv4-mapped addresses of a dual-stack socket become IPv4."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    text = text.strip().strip("[]").partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
