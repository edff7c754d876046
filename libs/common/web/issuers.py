"""Bearer tokens that identity providers signed: their identity, or why they are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

from gantry.common.access import (
    CallerRole,
    ClaimNames,
    Identity,
    IssuerRules,
    claims_of,
    identity_of,
)
from gantry.common.access.signatures import TYPES, is_signed, presented, verified
from gantry.common.clock import Clock
from gantry.common.config.access_sections import AccessSettings, IssuerSettings
from gantry.common.errors import TokenRefused
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.health_record import HealthRecord
from gantry.common.web.introspection import Introspection
from gantry.common.web.issuer_keys import IssuerKeys


class IssuerTokens:
    """The issuers of the settings."""

    def __init__(self, settings: AccessSettings, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._issuers = {
            issuer.url: (
                issuer,
                rules_of_issuer(issuer),
                IssuerKeys(issuer, clock, settings.keys_every, settings.keys_deadline, self._count(issuer.name)),
            )
            for issuer in settings.issuers
        }
        self._introspections = {
            issuer.url: Introspection(
                issuer,
                clock,
                settings.introspect_every,
                settings.keys_deadline,
                self._introspection_counter(issuer.name),
            )
            for issuer in settings.issuers
            if issuer.introspect
        }
        self._records = {
            issuer.url: HealthRecord(issuer, clock, settings.introspect_every, settings.keys_deadline)
            for issuer in settings.issuers
            if issuer.fhir_url
        }
        self._of_opaque = next((issuer.url for issuer in settings.issuers if "opaque" in issuer.introspect), "")

    def __bool__(self) -> bool:
        return bool(self._issuers)

    def may_know(self, token: str) -> bool:
        """Whether a token can be from an issuer."""
        return is_signed(token) or (bool(self._of_opaque) and bool(token))

    def names_an_issuer(self, token: str) -> bool:
        """Whether a token states one of the issuers, genuine or not. Opaque tokens do not."""
        try:
            return is_signed(token) and presented(token, TYPES).issuer in self._issuers
        except TokenRefused:
            return False

    async def identity(self, token: str, workers: Executor | None = None) -> Identity:
        """The identity in a token. Raises `TokenRefused`, and `DependencyUnavailable` if it cannot be verified. Its
        signature is checked by one of the `workers`, if they are given."""
        try:
            claims, rules = await self._claims(token, workers)
            identity = identity_of(claims, rules)
            record = self._records.get(rules.url)
            return identity if record is None else await record.known(identity, token)
        except TokenRefused as refused:
            self._metrics.tokens_refused.labels(refused.kind).inc()
            raise

    async def claims(self, token: str, audience: str = "", types: frozenset[str] = TYPES) -> Mapping[str, Any]:
        """The claims of a token that is for us, or for `audience` in place of us: an ID token is for the client (OpenID
        Connect Core 1.0 2). `types` are the permitted ones. Raises as `identity`, and moves no metric."""
        claims, _ = await self._claims(token, None, audience, types)
        return claims

    def rules(self, issuer: str) -> IssuerRules:
        """The rules for tokens of the issuer with our name. Raises `KeyError`."""
        return next(rules for _, rules, _ in self._issuers.values() if rules.name == issuer)

    async def close(self) -> None:
        """End the requests under way."""
        for _, _, keys in self._issuers.values():
            await keys.close()
        for introspection in self._introspections.values():
            await introspection.close()
        for record in self._records.values():
            await record.close()

    async def _claims(
        self, token: str, workers: Executor | None, audience: str = "", types: frozenset[str] = TYPES
    ) -> tuple[Mapping[str, Any], IssuerRules]:
        if self._of_opaque and not is_signed(token) and types is TYPES:
            _, rules, _ = self._issuers[self._of_opaque]
            answer = await self._introspections[self._of_opaque].claims(token)
            return claims_of(answer, _for_audience(rules, audience), self._clock.now_us() / 1e6), rules
        header = presented(token, types)
        known = self._issuers.get(header.issuer)
        if known is None:
            raise TokenRefused("issuer", "it is from another issuer")
        settings, rules, keys = known
        if header.algorithm not in settings.algorithms:
            raise TokenRefused("algorithm", "its algorithm is not allowed")
        check = partial(verified, header, await keys.key(header), settings.algorithms)
        claims = check() if workers is None else await asyncio.get_running_loop().run_in_executor(workers, check)
        fitting = claims_of(claims, _for_audience(rules, audience), self._clock.now_us() / 1e6)
        # An ID token is not an access token: an issuer never reports it as active.
        if "signed" in settings.introspect and not audience:
            await self._introspections[settings.url].claims(token)
        return fitting, rules

    def _introspection_counter(self, issuer: str) -> Callable[[str], None]:
        return lambda result: self._metrics.token_introspections.labels(issuer, result).inc()

    def _count(self, issuer: str) -> Callable[[str], None]:
        return lambda result: self._metrics.issuer_key_fetches.labels(issuer, result).inc()


def _for_audience(rules: IssuerRules, audience: str) -> IssuerRules:
    return replace(rules, audiences=frozenset((audience,)), scopes=frozenset()) if audience else rules


def rules_of_issuer(settings: IssuerSettings) -> IssuerRules:
    """The settings of an issuer, as rules for its tokens."""
    named = {line.partition("=")[0]: CallerRole(line.partition("=")[2]) for line in settings.roles}
    return IssuerRules(
        settings.name,
        settings.url,
        frozenset(settings.audience),
        frozenset(settings.scopes),
        settings.leeway,
        ClaimNames(
            settings.name_claim,
            settings.roles_claim,
            settings.referrer_claim,
            settings.referrer_id_claim,
            settings.patient_claim,
            settings.patient_issuer,
            settings.institution_claim,
            settings.department_claim,
        ),
        named or {role.value: role for role in CallerRole},
        settings.fhir_url or "",
    )
