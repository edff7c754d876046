"""Links by which somebody outside sees some studies: what became of each. Pure.

Every process folds the same events in the order of the log, so all of them say the same of who was let in: of two who
come at once for the last opening, the first on the log, and of tries at a password no more than there may be, however
many processes are asked. Times are microseconds since the epoch.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import Enum

from gantry.common.access.asked_shares import MOST_OPENINGS
from gantry.common.events import Event, ShareCopied, ShareCreated, ShareOpened, ShareRevoked, ShareTried

TOKEN_BYTES = 32
"""Random bytes of a token: nobody guesses 256 bits."""
MOST_TRIES, TRIES_WITHIN = 5, 900 * 1_000_000
"""So many wrong passwords in so many microseconds, and the link waits."""
MOST_WRONG = 50
"""So many wrong passwords in all, and the link opens no more."""
_DAY_US = 24 * 3600 * 1_000_000
_REMEMBERED_US = 90 * _DAY_US
"""A link that is over is listed for so long."""


class Refusal(Enum):
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
    """A link, as far as events tell of it. `openings` are those that were let in, by name, with their times."""

    created: ShareCreated | None = None
    copied: ShareCopied | None = None
    """What was made for it, where it shows copies that are de-identified."""
    revoked_at: int = 0
    openings: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Openings that were not let in: an event that comes twice changes nothing."""
    tries: dict[str, int] = field(default_factory=dict)
    """Tries that were let through, and after which nobody was let in: wrong ones, and those under way."""
    right: set[str] = field(default_factory=set)
    """Tries after which somebody was let in."""

    @property
    def most(self) -> int:
        """How often it opens in all."""
        return MOST_OPENINGS if self.created is None or not self.created.openings else self.created.openings

    def refusal(self, now: int) -> Refusal | None:
        """Why it does not let anybody in now; None where it does."""
        if self.created is None:
            return Refusal.UNKNOWN
        if self.is_over(now):
            return Refusal.REVOKED if self.revoked_at else Refusal.EXPIRED
        if self.created.deidentified_by and self.copied is None:
            return Refusal.PREPARING
        if len(self.openings) >= self.most:
            return Refusal.USED_UP
        if len(self.tries) >= MOST_WRONG:
            return Refusal.CLOSED
        return None

    def is_over(self, now: int) -> bool:
        """Whether whoever is in is out now."""
        return self.created is None or bool(self.revoked_at) or now >= self.created.expires_at

    def waits_for(self, now: int) -> int:
        """Seconds until a password may be tried again; 0 for now."""
        recent = sorted(at for at in self.tries.values() if at > now - TRIES_WITHIN)
        return 0 if len(recent) < MOST_TRIES else (recent[-MOST_TRIES] + TRIES_WITHIN - now) // 1_000_000 + 1


class Shares:
    """All links that events told of."""

    def __init__(self) -> None:
        self._by_name: dict[str, Share] = {}
        self._by_digest: dict[str, Share] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def apply(self, event: Event) -> None:
        """Take an event. One that came before changes nothing."""
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
        """Those that were created, the latest first."""
        made = [(share.created.at, name, share) for name, share in self._by_name.items() if share.created is not None]
        return [share for *_, share in sorted(made, key=lambda one: one[:2], reverse=True)]

    def forget(self, now: int) -> None:
        """Forget what has been over for long."""
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
    # A try that was not let through, or that somebody came in by already, lets nobody in.
    if share.refusal(event.at) is not None or (needs_password and event.trial not in share.tries):
        share.refused.add(event.opening)
        return
    share.openings[event.opening] = event.at
    if needs_password:
        del share.tries[event.trial]
        share.right.add(event.trial)


def digest_of(token: str) -> str:
    """What is kept of a token. It is as random as a key, so that a plain SHA-256 tells nothing of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def token_of(random: bytes) -> str:
    """A token, as it stands in a link."""
    return urlsafe_b64encode(random).rstrip(b"=").decode()
