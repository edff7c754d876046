"""An issuer's answers about tokens (RFC 7662), cached for a short time.

the same token, in many requests at once         one query
a known token                                    the answer, even a no, is valid for `every` seconds
the issuer is unavailable, or refuses our client 503: the token cannot be verified
"""

from __future__ import annotations

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
from gantry.common.web.remembered import RememberedAnswers

_DEPENDENCY = "identity provider"
_FAULTS = (aiohttp.ClientError, OSError, ValueError, RecursionError, NotUnderstood)
"""These include an expired deadline, and a file that cannot be read (OSError)."""
Claims = Mapping[str, Any]
logger = get_logger("access")


class Introspection:
    """One issuer, asked about tokens."""

    def __init__(
        self, settings: IssuerSettings, clock: Clock, every: float, deadline: float, count: Callable[[str], None]
    ) -> None:
        """`every` and `deadline` in seconds; `count` is called with "active", "inactive" or "failed" for each query."""
        self._settings = settings
        self._count = count
        self._answers: RememberedAnswers[Claims | None] = RememberedAnswers(clock, every, deadline)

    async def claims(self, token: str) -> Claims:
        """The claims of an active token. Raises `TokenRefused`, and `DependencyUnavailable` if it cannot be
        verified."""
        if len(token) > LONGEST:
            raise TokenRefused("malformed", "it is too long")
        if not token.isascii():  # RFC 6750 2.1
            raise TokenRefused("malformed", "it has characters that no token has")
        answer = await self._answers.answer(token, partial(self._ask, token))
        if answer is None:
            raise TokenRefused("inactive", "its issuer says that it is not active")
        return answer

    async def close(self) -> None:
        """End the queries under way."""
        await self._answers.close()

    async def _ask(self, token: str) -> Claims | None:
        try:
            async with self._answers.turn():
                answer = answered(await self._answer(token))
        except _FAULTS as error:
            reason = str(error) or type(error).__name__
            logger.warning("the issuer cannot be asked about a token", issuer=self._settings.name, reason=reason)
            self._count("failed")
            raise DependencyUnavailable(_DEPENDENCY, f"{self._settings.name} cannot be asked about a token") from error
        self._count("inactive" if answer is None else "active")
        return None if answer is None else as_claims(answer, self._settings.url)

    async def _answer(self, token: str) -> bytes:
        issuer = self._settings
        assert issuer.client_secret_file is not None  # the settings require it
        secret = issuer.client_secret_file.read_text(encoding="utf-8").strip()
        headers = {"Accept": "application/json", "Authorization": basic(issuer.client_id, secret)}
        async with issuer_session(issuer.ca) as session:
            url = issuer.introspection_url or await discovered_place(session, issuer.url, "introspection_endpoint")
            async with session.post(url, data=question(token), headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise NotUnderstood(f"answered {response.status}{_HINTS.get(response.status, '')}")
                return await body_of(response)


_HINTS = {401: ": it does not know `client_id`, or the secret is another", 403: ": `client_id` may not ask there"}
