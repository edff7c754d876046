"""Calls to the identity provider: its metadata, tokens for a code or a refresh token, and revocation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from gantry.common.clock import Clock
from gantry.common.config.access_sections import IssuerSettings
from gantry.common.errors import LoginRefused, NotUnderstood
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.issuer_http import DISCOVERY, body_of, get, issuer_session
from gantry.services.query.login.exchange import GivenTokens, OurClient, authenticated, tokens_of
from gantry.services.query.login.metadata import ProviderMetadata, metadata_of

_REVOCATION_SECONDS = 3.0
_FAULTS = (aiohttp.ClientError, OSError, ValueError, RecursionError, NotUnderstood)
"""These include an expired deadline, and a file that cannot be read (OSError)."""
_NOT_ACCEPTED = {
    "invalid_grant": "it was used before, or too long ago",
    "invalid_client": "it does not know login.client_id, or the secret in login.client_secret_file is another",
    "unauthorized_client": "login.client_id may not do that there: see its settings",
}
"""RFC 6749 5.2; other error codes are not echoed."""
logger = get_logger("login")


class Provider:
    """One issuer, as far as logins need it."""

    def __init__(self, settings: IssuerSettings, clock: Clock, every: float, deadline: float) -> None:
        """Its metadata is read again after `every` seconds; `deadline` of each answer in seconds."""
        self.issuer = settings.url
        self.name = settings.name
        self._ca = settings.ca
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._known: ProviderMetadata | None = None
        self._next = float("-inf")
        self._reading = asyncio.Lock()

    async def metadata(self) -> ProviderMetadata:
        """Its metadata. Raises `LoginRefused` while it is unavailable."""
        async with self._reading:
            now = self._clock.monotonic()
            if self._known is None or now >= self._next:
                try:
                    async with asyncio.timeout(self._deadline), issuer_session(self._ca) as session:
                        document = await get(session, self.issuer.rstrip("/") + DISCOVERY)
                    self._known, self._next = metadata_of(document, self.issuer), now + self._every
                except _FAULTS as error:
                    if self._known is None:
                        raise self._unreachable(error) from error
            return self._known

    async def tokens(self, form: Mapping[str, str], client: OurClient) -> GivenTokens:
        """The tokens for a form. Raises `LoginRefused`: `away` (503), or the reason that the provider gives."""
        provider = await self.metadata()
        sent, headers = authenticated(form, client, provider)
        try:
            status, body = await self._post(provider.token, sent, headers)
            if status == 200:
                return tokens_of(body)
        except _FAULTS as error:
            raise self._unreachable(error) from error
        if status not in (400, 401):
            raise self._unreachable(NotUnderstood(f"answered {status}"))
        word = _word(body)
        logger.warning("identity provider gives no token", issuer=self.name, status=status, error=word)
        words = _NOT_ACCEPTED.get(word, "it does not say why")
        raise LoginRefused("code", 400, f"The identity provider does not accept this login: {words}.")

    async def revoke(self, refresh: str, client: OurClient) -> None:
        """Revoke a refresh token (RFC 7009), if the provider supports that; a failure does not affect the sign-out, and
        the wait is short."""
        try:
            async with asyncio.timeout(_REVOCATION_SECONDS):
                provider = await self.metadata()
                if provider.revocation:
                    form = {"token": refresh, "token_type_hint": "refresh_token"}
                    await self._post(provider.revocation, *authenticated(form, client, provider))
        except (*_FAULTS, LoginRefused) as error:
            logger.warning("a refresh token cannot be given up", issuer=self.name, reason=type(error).__name__)

    async def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, bytes]:
        async with asyncio.timeout(self._deadline), issuer_session(self._ca) as session:
            fields = {"Accept": "application/json", **headers}
            async with session.post(url, data=form, headers=fields, allow_redirects=False) as response:
                return response.status, await body_of(response)

    def _unreachable(self, error: Exception) -> LoginRefused:
        reason = str(error) or type(error).__name__
        logger.warning("identity provider cannot be asked", issuer=self.name, reason=reason)
        return LoginRefused("away", 503, "The identity provider cannot be reached just now. Try again in a moment.")


def _word(body: bytes) -> str:
    """The error code of an answer (RFC 6749 5.2), if it is one that we know."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "other"
    word = document.get("error") if isinstance(document, dict) else None
    return word if isinstance(word, str) and word in _NOT_ACCEPTED else "other"
