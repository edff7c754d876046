"""Links by which people outside see some studies: the state of each. Pure.

Every process folds the same events in the order of the log, so all of them agree on who was admitted: of two visitors
at once for the last opening, the first on the log; and the limit on password tries holds, however many processes are
asked. Times are microseconds since the epoch.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import Enum

from gantry.common.access.asked_shares import MOST_OPENINGS
from gantry.common.events import Event, ShareCopied, ShareCreated, ShareOpened, ShareRevoked, ShareTried

TOKEN_BYTES = 32
"""Random bytes of a token: 256 bits cannot be guessed."""
MOST_TRIES, TRIES_WITHIN = 5, 900 * 1_000_000
"""After this many wrong passwords within this many microseconds, the link waits."""
MOST_WRONG = 50
"""After this many wrong passwords in all, the link does not open any more."""
_DAY_US = 24 * 3600 * 1_000_000
_REMEMBERED_US = 90 * _DAY_US
"""How long an ended link is listed."""


class ShareRefusal(Enum):
    """Why a link does not open; the values are those of the metric."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED_UP = "used-up"
    WRONG = "wrong-password"
    WAITING = "too-many-tries"
    CLOSED = "closed"
    PREPARING = "preparing"


@dataclass(slots=True)
class Share:
    """A link, from its events. `openings` are the admitted ones, by name, with their times."""

    created: ShareCreated | None = None
    copied: ShareCopied | None = None
    """The copies that were made for it, if it shows de-identified ones."""
    revoked_at: int = 0
    openings: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Openings that were refused: a repeated event changes nothing."""
    tries: dict[str, int] = field(default_factory=dict)
    """Permitted tries that did not admit a visitor: wrong ones, and those under way."""
    right: set[str] = field(default_factory=set)
    """Tries that admitted a visitor."""

    @property
    def most(self) -> int:
        """How often it opens in all."""
        return MOST_OPENINGS if self.created is None or not self.created.openings else self.created.openings

    def refusal(self, now: int) -> ShareRefusal | None:
        """Why it does not admit visitors now; None if it does."""
        if self.created is None:
            return ShareRefusal.UNKNOWN
        if self.is_over(now):
            return ShareRefusal.REVOKED if self.revoked_at else ShareRefusal.EXPIRED
        if self.created.deidentified_by and self.copied is None:
            return ShareRefusal.PREPARING
        if len(self.openings) >= self.most:
            return ShareRefusal.USED_UP
        if len(self.tries) >= MOST_WRONG:
            return ShareRefusal.CLOSED
        return None

    def is_over(self, now: int) -> bool:
        """Whether its visitors have lost access."""
        return self.created is None or bool(self.revoked_at) or now >= self.created.expires_at

    def waits_for(self, now: int) -> int:
        """Seconds until a password may be tried again; 0 for now."""
        recent = sorted(at for at in self.tries.values() if at > now - TRIES_WITHIN)
        return 0 if len(recent) < MOST_TRIES else (recent[-MOST_TRIES] + TRIES_WITHIN - now) // 1_000_000 + 1


class Shares:
    """All links, from the events."""

    def __init__(self) -> None:
        self._by_name: dict[str, Share] = {}
        self._by_digest: dict[str, Share] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def apply(self, event: Event) -> None:
        """Take an event. A repeated one changes nothing."""
        if not isinstance(event, ShareCreated | ShareCopied | ShareTried | ShareOpened | ShareRevoked):
            return
        share = self._by_name.setdefault(event.share, Share())
        if isinstance(event, ShareCreated):
            if share.created is None:
                share.created = event
                self._by_digest[event.token_digest] = share
        elif isinstance(event, ShareCopied):
            share.copied = share.copied or event
        elif isinstance(event, ShareRevoked):
            share.revoked_at = share.revoked_at or event.at
        elif isinstance(event, ShareTried):
            _try(share, event)
        else:
            _open(share, event)

    def named(self, name: str) -> Share | None:
        """The link of this name."""
        return self._by_name.get(name)

    def of_token(self, token: str) -> Share | None:
        """The link that a token opens."""
        return self._by_digest.get(digest_of(token))

    def all(self) -> list[Share]:
        """The created links, the latest first."""
        made = [(share.created.at, name, share) for name, share in self._by_name.items() if share.created is not None]
        return [share for *_, share in sorted(made, key=lambda row: row[:2], reverse=True)]

    def forget(self, now: int) -> None:
        """Drop links that ended long ago."""
        for name, share in list(self._by_name.items()):
            made = share.created
            # Not before its end, or a try at a link that was revoked would begin it anew.
            if made is not None and now > max(share.revoked_at, made.expires_at) + _REMEMBERED_US:
                del self._by_name[name], self._by_digest[made.token_digest]


def _try(share: Share, event: ShareTried) -> None:
    if event.trial in share.tries or event.trial in share.right or share.waits_for(event.at):
        return
    if len(share.tries) < MOST_WRONG:
        share.tries[event.trial] = event.at


def _open(share: Share, event: ShareOpened) -> None:
    if event.opening in share.openings or event.opening in share.refused:
        return
    needs_password = share.created is not None and bool(share.created.password)
    # A try that was not permitted, or was used already, admits no visitor.
    if share.refusal(event.at) is not None or (needs_password and event.trial not in share.tries):
        share.refused.add(event.opening)
        return
    share.openings[event.opening] = event.at
    if needs_password:
        del share.tries[event.trial]
        share.right.add(event.trial)


def digest_of(token: str) -> str:
    """The stored digest of a token. A token is as random as a key, so that a plain SHA-256 reveals nothing of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def token_of(random: bytes) -> str:
    """A token as it appears in a link."""
    return urlsafe_b64encode(random).rstrip(b"=").decode()
