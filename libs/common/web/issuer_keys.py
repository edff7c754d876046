"""The keys of an identity provider: fetched (OpenID Connect Discovery 1.0 4, RFC 7517), cached, and fetched again.

when they are first needed      the caller waits; while the issuer is unavailable, 503
after `every` seconds           in the background; known keys stay valid until new ones arrive
an unknown key                  the caller waits; at most once a minute, for all callers and keys
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from gantry.common.access.signatures import IssuerKey, PresentedToken, key_for, keys_in
from gantry.common.clock import Clock
from gantry.common.config.access_sections import IssuerSettings
from gantry.common.errors import DependencyUnavailable, NotUnderstood, TokenRefused
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.issuer_http import discovered_place, get, issuer_session

UNKNOWN_SECONDS = 60.0
"""Seconds between two fetches because of unknown keys."""
_AWAY_SECONDS = 5.0
"""Seconds before an unreachable issuer without known keys is asked again."""
_DEPENDENCY = "identity provider"
logger = get_logger("access")


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(
        self, settings: IssuerSettings, clock: Clock, every: float, deadline: float, fetched: Callable[[str], None]
    ) -> None:
        """`every` and `deadline` in seconds; `fetched` is called with "taken" or "failed"."""
        self._settings = settings
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._fetched = fetched
        self._keys: tuple[IssuerKey, ...] = ()
        self._next = float("-inf")
        self._next_unknown = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, token: PresentedToken) -> IssuerKey:
        """The key that a token names. Raises `TokenRefused`, and `DependencyUnavailable` while no key is known."""
        now = self._clock.monotonic()
        if now >= self._next:
            task = self._begin(now)
            if not self._keys:
                await asyncio.shield(task)
        if not self._keys:
            if self._fetching is not None:
                await asyncio.shield(self._fetching)
            if not self._keys:
                raise DependencyUnavailable(_DEPENDENCY, f"the keys of {self._settings.name} cannot be had")
        key = key_for(token, self._keys, self._settings.algorithms)
        if key is None:
            await self._look_again(now)
            key = key_for(token, self._keys, self._settings.algorithms)
        if key is None:
            raise TokenRefused("key", "its key is not known")
        return key

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()

    async def _look_again(self, now: float) -> None:
        """Fetch for the sake of an unknown key, if its time has come; or wait for the fetch that is under way."""
        if now >= self._next_unknown and self._fetching is None:
            self._next_unknown = now + UNKNOWN_SECONDS
            self._begin(now)
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    def _begin(self, now: float) -> asyncio.Task[None]:
        if self._fetching is None:
            self._next = now + self._every
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        """Take new keys; after a failure the old ones stay."""
        name = self._settings.name
        try:
            async with asyncio.timeout(self._deadline):
                keys = keys_in(await self._document())
        except (aiohttp.ClientError, OSError, ValueError, RecursionError, NotUnderstood) as error:
            # These include an expired deadline, and a file of `ca` that cannot be read (OSError).
            reason = str(error) or type(error).__name__
            logger.warning("keys cannot be fetched", issuer=name, reason=reason, known=len(self._keys))
            self._next = self._clock.monotonic() + (UNKNOWN_SECONDS if self._keys else _AWAY_SECONDS)
            self._fetched("failed")
        else:
            if {key.kid for key in keys} != {key.kid for key in self._keys}:
                logger.info("keys taken", issuer=name, keys=[key.kid for key in keys])
            self._keys = keys
            self._fetched("taken")
        finally:
            self._fetching = None

    async def _document(self) -> bytes:
        async with issuer_session(self._settings.ca) as session:
            url = self._settings.jwks_url or await discovered_place(session, self._settings.url, "jwks_uri")
            return await get(session, url)
