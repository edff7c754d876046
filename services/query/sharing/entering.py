"""A visitor opens a link. Each step is published before it takes effect, and the order of the log decides."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from secrets import token_hex

from gantry.common.access.asked_shares import LONGEST_PASSWORD, password_bytes
from gantry.common.access.share_passes import SharePass
from gantry.common.access.shares import Share, ShareRefusal
from gantry.common.access.user_file import hash_of
from gantry.common.clock import Clock
from gantry.common.events import ShareOpened, ShareTried
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.followed_shares import NEWS_SECONDS, FollowedShares


@dataclass(frozen=True, slots=True)
class RefusedVisitor:
    """Why a visitor was refused; `wait` is in seconds. `share` is the link's name, "" if there is none."""

    share: str
    refusal: ShareRefusal
    wait: int = 0


@dataclass(frozen=True, slots=True)
class LetIn:
    """A visitor was admitted."""

    share_pass: SharePass
    studies: tuple[str, ...]
    """The studies as the visitor sees them."""
    originals: tuple[str, ...]
    """The studies as the archive has them."""


class Entrance:
    """Opens links."""

    def __init__(self, shares: FollowedShares, clock: Clock) -> None:
        self._shares = shares
        self._clock = clock

    async def share_of(self, token: str) -> Share | None:
        """The link of a token. Viewing it changes nothing. Raises `DependencyUnavailable`."""
        known = (await self._shares.current()).of_token(token)
        return known or (await self._shares.current(NEWS_SECONDS)).of_token(token)

    async def enter(self, token: str, password: str, trace: str) -> LetIn | RefusedVisitor:
        """Open the link of a token. Raises `DependencyUnavailable`: an opening may then be used up."""
        share = await self.share_of(token)
        if share is None or share.created is None:
            return RefusedVisitor("", ShareRefusal.UNKNOWN)
        name = share.created.share
        refusal = share.refusal(self._clock.now_us())
        if refusal is not None:
            return RefusedVisitor(name, refusal)
        trial = ""
        if share.created.password:
            trial = token_hex(8)
            refused = await self._try(share, trial, password, trace)
            if refused is not None:
                return refused
        return await self._open(share, trial, trace)

    async def _try(self, share: Share, trial: str, password: str, trace: str) -> RefusedVisitor | None:
        """Why a password does not open the link; None if it does. A try counts before the password is compared, so that
        parallel tries, even at several processes, cannot exceed the limit."""
        assert share.created is not None
        name, now = share.created.share, self._clock.now_us()
        if wait := share.waits_for(now):
            return RefusedVisitor(name, ShareRefusal.WAITING, wait)
        if not password or len(password) > LONGEST_PASSWORD:
            return RefusedVisitor(name, ShareRefusal.WRONG)  # no password was given: not a guess
        await self._shares.tell(ShareTried(DEFAULT_PARTITION, trace, name, trial, now))
        if trial not in share.tries:
            return RefusedVisitor(name, ShareRefusal.WAITING, share.waits_for(now))
        known = hash_of(share.created.password)
        if await asyncio.to_thread(known.is_of, password_bytes(password)):
            return None
        return RefusedVisitor(name, ShareRefusal.WRONG)

    async def _open(self, share: Share, trial: str, trace: str) -> LetIn | RefusedVisitor:
        assert share.created is not None
        made, now, opening = share.created, self._clock.now_us(), token_hex(16)
        await self._shares.tell(ShareOpened(DEFAULT_PARTITION, trace, made.share, opening, trial, now))
        if opening not in share.openings:
            return RefusedVisitor(made.share, share.refusal(now) or ShareRefusal.USED_UP)
        return LetIn(
            SharePass(made.share, opening, made.expires_at / 1e6), made.studies, made.copies_of or made.studies
        )
