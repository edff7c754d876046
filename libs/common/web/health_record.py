"""Reads the Patient of a token from the health record that issued it (SMART App Launch), and caches it for a while.

the same token, in many requests at once        one query
a known token                                   the answer is valid for `every` seconds
the record does not let the token read it       the token names no patient: refused
the record is unavailable, or answers nonsense  503: the patient cannot be identified
"""

from __future__ import annotations

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
from gantry.common.web.remembered import RememberedAnswers

_DEPENDENCY = "health record"
_REFUSED = frozenset((401, 403, 404, 410))
_FAULTS = (aiohttp.ClientError, OSError, ValueError, NotUnderstood)
"""These include an expired deadline, and a file that cannot be read (OSError)."""
Patients = tuple[tuple[str, str], ...]
logger = get_logger("access")


class HealthRecord:
    """The health record of one issuer."""

    def __init__(self, settings: IssuerSettings, clock: Clock, every: float, deadline: float) -> None:
        """`every` and `deadline` in seconds."""
        self._settings = settings
        self._systems = systems_of(settings.patient_systems)
        self._answers: RememberedAnswers[Patients] = RememberedAnswers(clock, every, deadline)

    async def known(self, identity: Identity, token: str) -> Identity:
        """The identity of the token, with the Patient IDs of its patient. Raises `TokenRefused`, and
        `DependencyUnavailable` if these cannot be read."""
        url = identity.facts.record
        if not url:
            return identity
        patients = await self._answers.answer(f"{url} {token}", partial(self._ask, url, token))
        return replace(identity, facts=replace(identity.facts, patients=patients))

    async def close(self) -> None:
        """End the queries under way."""
        await self._answers.close()

    async def _ask(self, url: str, token: str) -> Patients:
        try:
            async with self._answers.turn():
                return await self._answer(url, token)
        except _FAULTS as error:
            reason = str(error) or type(error).__name__
            logger.warning("a health record cannot be asked", issuer=self._settings.name, reason=reason)
            raise DependencyUnavailable(_DEPENDENCY, f"that of {self._settings.name} cannot be asked") from error

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
