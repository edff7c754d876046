"""The users of `access.users_file`, and their passcodes hashed by scrypt (RFC 7914). Pure.

    NAME:scrypt$16384$8$1$SALT$HASH roles=technologist   # `gantry passcode NAME` makes such a line
    NAME:- roles=radiologist                             # without a passcode: the name alone identifies the user

A user without roles has the permissions of a token without roles (`FORMER_VERBS`), as far as the peer has them, too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gantry.common.access.users import LONGEST_NAME
from gantry.common.access.verbs import CallerRole
from gantry.common.errors import ConfigError

_LINE = re.compile(
    r"(?P<name>[^:]+):(-|scrypt\$(?P<n>\d{5,7})\$(?P<r>\d{1,2})\$(?P<p>\d)\$(?P<salt>[\w+/=]+)\$(?P<hash>[\w+/=]+))"
    r"(\s+roles=(?P<roles>\S*))?"
)
_COST = (1 << 14, 8, 1)
"""N, r and p: 16 MB and some 50 ms for each try."""
_MOST_MEMORY = 160 << 20
_LENGTH = 32


@dataclass(frozen=True, slots=True)
class PasscodeHash:
    """The hash of a passcode."""

    cost: tuple[int, int, int]
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def is_of(self, passcode: bytes) -> bool:
        """Whether it is the hash of this passcode. Takes tens of milliseconds of processor time: not for the event
        loop."""
        return hmac.compare_digest(_scrypt(passcode, self.salt, self.cost), self.digest)


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A line of the file. `passcode` is None for a user without one."""

    name: str
    passcode: PasscodeHash | None
    roles: frozenset[CallerRole] = frozenset()


NOBODY_S_PASSCODE = PasscodeHash(_COST, bytes(16), bytes(_LENGTH))
"""Compared with the passcode of an unknown user, so that it takes as long."""


def line_of(name: str, passcode: bytes, salt: bytes, roles: Iterable[CallerRole] = ()) -> str:
    """The line for a user. `salt` is 16 random bytes or more."""
    words = ",".join(sorted(role.value for role in roles))
    line = f"{name}:{hashed(passcode, salt)}"
    return f"{line} roles={words}" if words else line


def hashed(passcode: bytes, salt: bytes) -> str:
    """The hash of a passcode, as in a line of the file. Takes tens of milliseconds of processor time."""
    n, r, p = _COST
    made = _scrypt(passcode, salt, _COST)
    return f"scrypt${n}${r}${p}${b64encode(salt).decode()}${b64encode(made).decode()}"


def hash_of(text: str) -> PasscodeHash:
    """Parse the result of `hashed`. Raises `ValueError` for anything else."""
    match = _LINE.fullmatch(f"any:{text}")
    if match is None or not match["n"] or match["roles"] is not None:
        raise ValueError("not what scrypt leaves of a passcode")
    return _passcode(match)


def users_of(text: str, file: str) -> Mapping[str, KnownUser]:
    """The users of a file by name. Raises `ConfigError` with the line."""
    users: dict[str, KnownUser] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            user = _user(line.strip())
        except ValueError as error:
            raise ConfigError(file, number, str(error)) from None
        if user.name in users:
            raise ConfigError(file, number, "a user is there twice")
        users[user.name] = user
    return users


def _user(line: str) -> KnownUser:
    match = _LINE.fullmatch(line)
    if match is None or len(match["name"].strip()) > LONGEST_NAME or not match["name"].strip():
        raise ValueError("not NAME:scrypt$… or NAME:-, and roles=ROLE,ROLE behind it (`gantry passcode` makes a line)")
    try:
        roles = frozenset(CallerRole(word) for word in (match["roles"] or "").split(",") if word)
    except ValueError:
        words = ", ".join(role.value for role in CallerRole)
        raise ValueError(f"roles are some of {words}, with commas between") from None
    return KnownUser(match["name"].strip(), None if match["n"] is None else _passcode(match), roles)


def _passcode(match: re.Match[str]) -> PasscodeHash:
    n, r, p = (int(match[key]) for key in "nrp")
    if n & (n - 1) or n < _COST[0] or not r or not p or 128 * n * r > _MOST_MEMORY - (1 << 20):
        raise ValueError("scrypt: N is a power of 2 from 16384, and 128 * N * r at most 159 MB")
    try:
        salt, digest = b64decode(match["salt"], validate=True), b64decode(match["hash"], validate=True)
    except ValueError:
        raise ValueError("scrypt: salt and hash are base64") from None
    if len(digest) != _LENGTH or len(salt) < 16:
        raise ValueError("scrypt: 16 bytes of salt or more, and a hash of 32 bytes")
    return PasscodeHash((n, r, p), salt, digest)


def _scrypt(passcode: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(passcode, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_LENGTH)
