"""Who asks, as the archive knows them once they are admitted. Pure."""

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
    """By a link that somebody made for it (`gantry.common.access.shares`)."""
    NONE = "none"
    """Not at all: a page is being read that everybody gets."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules about studies compare (`gantry.common.access.sight`): names of a referring physician as DICOM writes
    them (PS3.5 6.2, PN), his identifications, Patient IDs with their issuer ("" where it does not matter), names of
    institutions and of their departments."""

    referrers: tuple[str, ...] = ()
    referrer_ids: tuple[str, ...] = ()
    patients: tuple[tuple[str, str], ...] = ()
    institutions: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, or a machine. `subject` never changes and is unique with `issuer`; `name` is what logs and events call
    it. The name of one from an issuer has a colon in it, which no name of a token has."""

    subject: str
    name: str
    means: Means
    roles: frozenset[CallerRole] = frozenset()
    facts: Facts = Facts()
    issuer: str = ""


NOBODY = Identity("", "", Means.NONE)
