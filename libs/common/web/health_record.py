"""The Patient of a token is asked for at the health record that gave it (SMART App Launch), and remembered for a while.

the same token, asked about by many at once     one question
a token that was asked about before             the answer counts for `every` seconds
the record does not let the token read him      the token names no patient: refused
the record is away, or answers what is none     503: nobody can tell who he is
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import partial

import aiohttp

from gantry.common.access import Identity
from gantry.common.access.health_records import patients_of, systems_of
from gantry.common.clock import Clock
from gantry.common.config.access_sections import IssuerSettings
from gantry.common.errors import DependencyUnavailable, NotUnderstood, TokenRefused
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.issuer_http import body_of, issuer_session

_MOST_KNOWN = 4096
_AT_ONCE = 8
_DEPENDENCY = "health record"
_REFUSED = frozenset((401, 403, 404, 410))
_FAULTS = (aiohttp.ClientError, OSError, ValueError, NotUnderstood)
"""Among them a deadline that is over, and a file that cannot be read (OSError)."""
Patients = tuple[tuple[str, str], ...]
logger = get_logger("access")


class HealthRecord:
    """The health record of one issuer."""

    def __init__(self, settings: IssuerSettings, clock: Clock, every: float, deadline: float) -> None:
        """`every` and `deadline` in seconds."""
        self._settings = settings
        self._systems = systems_of(settings.patient_systems)
        self._clock = clock
        self._every = every
        self._deadline = deadline
        self._known: dict[bytes, tuple[float, Patients]] = {}
        """Until when (monotonic seconds), and what was said. By digest: tokens are secrets."""
        self._asking: dict[bytes, asyncio.Task[Patients]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def known(self, identity: Identity, token: str) -> Identity:
        """Whoever has the token, with the Patient IDs of the patient that it is about. Raises `TokenRefused`, and
        `DependencyUnavailable` where nobody can say."""
        url = identity.facts.record
        if not url:
            return identity
        key = hashlib.sha256(f"{url} {token}".encode()).digest()
        until, said = self._known.get(key, (float("-inf"), ()))
        if self._clock.monotonic() >= until:
            task = self._asking.get(key)
            if task is None:
                task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key, url, token))
                task.add_done_callback(partial(self._is_over, key))
            # Whoever goes away does not end it for the others.
            said = await asyncio.shield(task)
        return replace(identity, facts=replace(identity.facts, patients=said))

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._asking.values()):
            task.cancel()

    def _is_over(self, key: bytes, task: asyncio.Task[Patients]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # it is known, also where nobody waits any more

    async def _ask(self, key: bytes, url: str, token: str) -> Patients:
        try:
            async with asyncio.timeout(self._deadline), self._turns:
                said = await self._answer(url, token)
        except _FAULTS as error:
            reason = str(error) or type(error).__name__
            logger.warning("a health record cannot be asked", issuer=self._settings.name, reason=reason)
            raise DependencyUnavailable(_DEPENDENCY, f"that of {self._settings.name} cannot be asked") from error
        now = self._clock.monotonic()
        self._known.pop(key, None)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = now + self._every, said
        return said

    async def _answer(self, url: str, token: str) -> Patients:
        headers = {"Accept": "application/fhir+json", "Authorization": f"Bearer {token}"}
        async with (
            issuer_session(self._settings.ca) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status in _REFUSED:
                raise TokenRefused("patient", "its health record does not show its patient with it")
            if response.status != 200:
                raise NotUnderstood(f"answered {response.status}")
            return patients_of(await body_of(response), url, self._systems)
