"""What an issuer says of tokens that it is asked about (RFC 7662), remembered for a short time.

the same token, asked about by many at once      one question
a token that was asked about before              the answer counts for `every` seconds, a no as well
the issuer is away, or refuses our client        503: nobody can tell a good token from a bad one
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import aiohttp

from gantry.common.access.introspection import answered, as_claims, basic, question
from gantry.common.access.signatures import LONGEST
from gantry.common.clock import Clock
from gantry.common.config.access_sections import IssuerSettings
from gantry.common.errors import DependencyUnavailable, NotUnderstood, TokenRefused
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.issuer_http import body_of, discovered_place, issuer_session

_MOST_KNOWN = 4096
_AT_ONCE = 8
"""Questions to one issuer under way; who comes then waits for his turn."""
_DEPENDENCY = "identity provider"
_FAULTS = (aiohttp.ClientError, OSError, ValueError, RecursionError, NotUnderstood)
"""Among them a deadline that is over, and a file that cannot be read (OSError)."""
Claims = Mapping[str, Any]
logger = get_logger("access")


class Introspection:
    """One issuer, asked about tokens."""

    def __init__(
        self, settings: IssuerSettings, clock: Clock, every: float, deadline: float, told: Callable[[str], None]
    ) -> None:
        """`every` and `deadline` in seconds; `told` hears "active", "inactive" or "failed" for each question."""
        self._settings = settings
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._told = told
        self._known: dict[bytes, tuple[float, Claims | None]] = {}
        """Until when (monotonic seconds), and what was said. By digest: tokens are secrets."""
        self._asking: dict[bytes, asyncio.Task[Claims | None]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def claims(self, token: str) -> Claims:
        """The claims of an active token. Raises `TokenRefused`, and `DependencyUnavailable` where nobody can say."""
        if len(token) > LONGEST:
            raise TokenRefused("malformed", "it is too long")
        if not token.isascii():  # RFC 6750 2.1
            raise TokenRefused("malformed", "it has characters that no token has")
        key = hashlib.sha256(token.encode()).digest()
        until, said = self._known.get(key, (float("-inf"), None))
        if self._clock.monotonic() >= until:
            said = await self._asked(key, token)
        if said is None:
            raise TokenRefused("inactive", "its issuer says that it is not active")
        return said

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._asking.values()):
            task.cancel()

    async def _asked(self, key: bytes, token: str) -> Claims | None:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key, token))
            task.add_done_callback(partial(self._is_over, key))
        # Whoever goes away does not end it for the others.
        return await asyncio.shield(task)

    def _is_over(self, key: bytes, task: asyncio.Task[Claims | None]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # it is known, also where nobody waits any more

    async def _ask(self, key: bytes, token: str) -> Claims | None:
        try:
            async with asyncio.timeout(self._deadline), self._turns:
                said = answered(await self._answer(token))
        except _FAULTS as error:
            reason = str(error) or type(error).__name__
            logger.warning("a token cannot be asked about", issuer=self._settings.name, reason=reason)
            self._told("failed")
            raise DependencyUnavailable(_DEPENDENCY, f"{self._settings.name} cannot be asked about a token") from error
        self._told("inactive" if said is None else "active")
        claims = None if said is None else as_claims(said, self._settings.url)
        self._remember(key, claims)
        return claims

    async def _answer(self, token: str) -> bytes:
        one = self._settings
        assert one.client_secret_file is not None  # the settings see to that
        secret = one.client_secret_file.read_text(encoding="utf-8").strip()
        headers = {"Accept": "application/json", "Authorization": basic(one.client_id, secret)}
        async with issuer_session(one.ca) as session:
            url = one.introspection_url or await discovered_place(session, one.url, "introspection_endpoint")
            async with session.post(url, data=question(token), headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise NotUnderstood(f"answered {response.status}{_HINTS.get(response.status, '')}")
                return await body_of(response)

    def _remember(self, key: bytes, claims: Claims | None) -> None:
        now = self._clock.monotonic()
        self._known.pop(key, None)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = now + self._every, claims


_HINTS = {401: ": it does not know `client_id`, or the secret is another", 403: ": `client_id` may not ask there"}
