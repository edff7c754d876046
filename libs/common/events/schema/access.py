"""Who gets in from outside: links, and sessions that end."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class ShareCreated:
    """Somebody (`by`) made a link by which whoever has it sees these `studies` until `expires_at`, for `reason`, which
    says to whom and what for. Of the link only the digest of its token is kept, of the password only what scrypt leaves
    ("" where there is none). It opens so many times; `download`: whole objects may be taken away, too.

    With `deidentified_by`, the name of a profile, copies are shown that are de-identified by it: `studies` are the UIDs
    of these, which nothing in the archive has, and `copies_of` the studies themselves, in the same order. It opens once
    there is a `ShareCopied`."""

    partition: str
    trace: str
    share: str
    token_digest: str
    studies: tuple[str, ...]
    expires_at: int
    openings: int
    password: str
    download: bool
    reason: str
    by: str
    at: int
    deidentified_by: str = field(default="", metadata=OMITTED)
    copies_of: tuple[str, ...] = field(default=(), metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ShareCopied:
    """What a link shows was de-identified, so many `instances`, and lies in the object store. Others were `withheld`:
    they could not be; the `reasons` are words with numbers."""

    partition: str
    trace: str
    share: str
    instances: int
    withheld: int
    reasons: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ShareTried:
    """A password was going to be compared with that of a link: a try, whose outcome is not known yet."""

    partition: str
    trace: str
    share: str
    trial: str
    at: int


@dataclass(frozen=True, slots=True)
class ShareOpened:
    """A link was to be opened, after the try `trial` where it has a password. Whether it was is decided by the fold
    (`gantry.common.access.shares`): of several at once, the first on the log."""

    partition: str
    trace: str
    share: str
    opening: str
    trial: str
    at: int


@dataclass(frozen=True, slots=True)
class ShareRevoked:
    """A link opens no longer, and whoever is in by it is out."""

    partition: str
    trace: str
    share: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """An identity provider, `issuer` as we call it, says that somebody is signed out (OpenID Connect Back-Channel
    Logout 1.0): of his session `sid` there, or, where that is "", of all that began until then. `token` is the `jti` of
    what it said: the same one again changes nothing."""

    partition: str
    trace: str
    issuer: str
    subject: str
    sid: str
    token: str
    at: int
