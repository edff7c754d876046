"""Overrides at a server (docs/access.md#breaking-the-glass): a request carries those of its caller, in a header or in a
cookie, and every process with the same `access.override_key_file` and `http.url` opens what any of them sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gantry.common.access import Identity
from gantry.common.access.overrides import Override, of_overrides, overrides_of, with_further
from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.cookies import OVERRIDE, CookieNames
from gantry.common.web.same_origin import origin_of
from gantry.common.web.seals import WatchedSeals

HEADER = "X-Gantry-Override"
_USE = "override"
logger = get_logger("access")


@dataclass(frozen=True, slots=True)
class SealedOverride:
    """A new override, a token with it and those in force, and the same as Set-Cookie."""

    override: Override
    token: str
    cookie: str


class SealedOverrides:
    """Seals overrides, and opens them again."""

    def __init__(self, file: Path, url: str, seconds: float, clock: Clock) -> None:
        """`url` is the origin of this installation, "" if unknown; an override lasts for `seconds`. Raises
        `ConfigError`."""
        self._seconds = seconds
        self._clock = clock
        self._cookies = CookieNames(secure=url.startswith("https:"))
        self._seals = WatchedSeals(file, (_USE,), origin_of(url) if url else "")

    @property
    def minutes(self) -> float:
        """For how long an override lasts."""
        return self._seconds / 60

    def of(self, headers: Mapping[str, str], identity: Identity) -> tuple[Override, ...]:
        """The unexpired overrides in a request for its caller. A header, which is sent on purpose, takes precedence
        over a cookie."""
        value = headers.get(HEADER, "") or self._cookies.value(headers, OVERRIDE)
        content = self._seals.of(_USE).open(value) if value else None
        overrides = overrides_of(content, identity, self._now()) if content is not None else None
        if value and overrides is None:
            why = "another secret, or changed" if content is None else "somebody else's"
            logger.warning("override not accepted", caller=identity.name, reason=why)
        return overrides or ()

    def begun(self, request: Override, standing: tuple[Override, ...], identity: Identity) -> SealedOverride:
        """A new override, with those in force: the oldest are dropped if a cookie has no room for all."""
        override = replace(request, until=self._now() + self._seconds)
        overrides = with_further(standing, override)
        while True:
            try:
                token = self._seals.of(_USE).seal(of_overrides(overrides, identity))
                return SealedOverride(override, token, self._cookies.set_cookie(OVERRIDE, token, self._seconds))
            except NotUnderstood:
                overrides = overrides[:-1]

    def gone(self) -> str:
        """A Set-Cookie that deletes the overrides in a browser."""
        return self._cookies.delete_cookie(OVERRIDE)

    def _now(self) -> float:
        return self._clock.now_us() / 1e6


def sealed_overrides_of(settings: Settings, clock: Clock) -> SealedOverrides | None:
    """The overrides of the settings; None without `access.override_key_file`. Raises `ConfigError`."""
    access, url = settings.access, (settings.http.url or "").rstrip("/")
    if access.override_key_file is None:
        return None
    if not settings.audit.on:
        raise ConfigError("access.override_key_file", None, "audit.on is needed: no override without a record of it")
    return SealedOverrides(access.override_key_file, url, access.override_minutes * 60.0, clock)
