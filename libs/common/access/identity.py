"""The identity of an admitted caller. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gantry.common.access.verbs import CallerRole


class Means(Enum):
    """How an identity was established."""

    MACHINE = "loopback"
    """From this machine, without a token."""
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    """By a token of `http.tokens_file`."""
    ISSUER = "issuer"
    """By a token that an identity provider signed (`access.issuers`)."""
    USER = "user"
    """By a name, with a passcode or without, of `access.users_file`, on an association."""
    SHARE = "share"
    """By a link for people outside (`gantry.common.access.shares`)."""
    NONE = "none"
    """Not at all: for pages that every caller gets."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The values that rules about studies compare (`gantry.common.access.sight`): names of a referring physician in
    DICOM's form (PS3.5 6.2, PN), the physician's identifications, Patient IDs with their issuer ("" for any), names of
    institutions and of their departments."""

    referrers: tuple[str, ...] = ()
    referrer_ids: tuple[str, ...] = ()
    patients: tuple[tuple[str, str], ...] = ()
    institutions: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    record: str = ""
    """The URL of a Patient of a health record, whose studies an app was opened for (SMART App Launch)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or a machine. `subject` never changes and is unique with `issuer`; `name` is the one in logs and events.
    An issuer's identity has a colon in its name, which no token's name has."""

    subject: str
    name: str
    means: Means
    roles: frozenset[CallerRole] = frozenset()
    facts: Facts = Facts()
    issuer: str = ""


NOBODY = Identity("", "", Means.NONE)
