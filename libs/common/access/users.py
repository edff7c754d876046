"""Users of associations (PS3.7 D.3.3.7): what a peer states about its user, and who is admitted. Pure.

A name alone and a name with a passcode are compared with a file of ours, a JSON Web Token is checked as over HTTP.
Kerberos tickets and SAML assertions are refused: they cannot be verified here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from gantry.common.access.identity import Identity
from gantry.common.access.sight import Sight
from gantry.common.access.signatures import LONGEST
from gantry.common.access.verbs import Verb
from gantry.common.errors import UserRefused

LONGEST_NAME = 64
LONGEST_PASSCODE = 1024
"""Bytes; a longer one is not even hashed."""


class UserIdentityType(IntEnum):
    """PS3.7 table D.3-14."""

    USERNAME = 1
    PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class PresentedUser:
    """A user who is not verified yet: a name, with a passcode or without (None), or a token."""

    name: str
    passcode: bytes | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AdmittedUser:
    """The user of an association: the user's permissions and sight there, as far as the peer has them, too."""

    identity: Identity
    verbs: frozenset[Verb]
    sight: Sight


def word_of(kind: int) -> str:
    """A type in a word, for counting."""
    return UserIdentityType(kind).name.lower() if kind in set(UserIdentityType) else "other"


def presented_user(kind: int, primary: bytes, secondary: bytes) -> PresentedUser:
    """The user in the fields of a user identity item. Raises `UserRefused`, in words that do not echo them."""
    if kind == UserIdentityType.KERBEROS:
        raise UserRefused("a Kerberos ticket is not accepted here: a name and passcode or a JSON Web Token is")
    if kind == UserIdentityType.SAML:
        raise UserRefused("a SAML assertion is not accepted here: a name and passcode or a JSON Web Token is")
    if kind == UserIdentityType.JWT:
        if not primary or len(primary) > LONGEST or not primary.isascii():
            raise UserRefused("its JSON Web Token is empty, too long or not ASCII")
        return PresentedUser("", token=primary.decode("ascii").strip())
    if kind not in (UserIdentityType.USERNAME, UserIdentityType.PASSCODE):
        raise UserRefused(f"user identity type {kind} is none of PS3.7 D.3.3.7")
    name = _name(primary)
    if kind == UserIdentityType.USERNAME:
        return PresentedUser(name)
    if not secondary or len(secondary) > LONGEST_PASSCODE:
        raise UserRefused(f"its passcode is empty or longer than {LONGEST_PASSCODE} bytes")
    return PresentedUser(name, secondary)


def _name(primary: bytes) -> str:
    """PS3.7 table D.3-14: a name is UTF-8."""
    try:
        name = primary.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        name = ""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UserRefused(f"its user name is empty, longer than {LONGEST_NAME} characters or not printable")
    return name
