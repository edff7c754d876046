"""Links for people outside, at a server (docs/sharing.md): a request carries the pass that its browser got when a link
admitted it. Every process with the same `sharing.key_file` and `http.url` opens what any of them sealed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gantry.common.access import NOTHING
from gantry.common.access.share_passes import SharedView, SharePass, of_pass, pass_of
from gantry.common.clock import Clock
from gantry.common.config.access_sections import is_safe_url
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.cookies import SHARE, CookieNames
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import SHARE as PATH
from gantry.common.web.same_origin import is_from_our_page, origin_of
from gantry.common.web.seals import WatchedSeals

_USE = "share"
OVER = HttpProblem(403, "this link has ended: ask whoever sent it for another one")
logger = get_logger("access")


class SealedShares:
    """Seals passes, and opens them again."""

    standing: Callable[[SharePass], Awaitable[SharedView | None]] | None = None
    """What a link shows now, None if it has ended; set by a process that reads the log. The front door does not: it
    forwards what seems valid, and the service decides."""

    def __init__(self, file: Path, url: str, clock: Clock) -> None:
        """`url` is the origin of this installation. Raises `ConfigError`."""
        self.url = url
        self._origin = origin_of(url)
        self._clock = clock
        self._cookies = CookieNames(secure=url.startswith("https:"))
        self._seals = WatchedSeals(file, (_USE,), self._origin)

    def link(self, token: str) -> str:
        """The link with a token."""
        return f"{self.url}{PATH}/{token}"

    def brought(self, headers: Mapping[str, str]) -> SharePass | None:
        """The pass of a request, even an expired one; None if it has none that was sealed here."""
        value = self._cookies.value(headers, SHARE)
        content = self._seals.of(_USE).open(value) if value else None
        if value and content is None:
            logger.warning("a cookie is not of this installation, or was changed", cookie=_USE)
        return None if content is None else pass_of(content)

    def is_from_our_page(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a pass may authorise a request."""
        return is_from_our_page(method, headers, self._origin)

    def is_over(self, share_pass: SharePass) -> bool:
        """Whether a pass has expired."""
        return self._now() >= share_pass.until

    async def shown(self, share_pass: SharePass) -> SharedView:
        """What a pass shows now. Raises `HttpProblem` 403 if it has ended, `DependencyUnavailable` while that cannot be
        determined."""
        if self.is_over(share_pass):
            raise OVER
        if self.standing is None:
            return SharedView(NOTHING, download=True)
        share = await self.standing(share_pass)
        if share is None:
            raise OVER
        return share

    def sealed(self, share_pass: SharePass) -> str:
        """Set-Cookie of a pass. Other sites cannot use it: a browser opens a link from our own page."""
        return self._cookies.set_cookie(
            SHARE, self._seals.of(_USE).seal(of_pass(share_pass)), share_pass.until - self._now(), strict=True
        )

    def gone(self) -> str:
        """A Set-Cookie that deletes the pass in a browser."""
        return self._cookies.set_cookie(SHARE, "", 0, strict=True)

    def _now(self) -> float:
        return self._clock.now_us() / 1e6


def sealed_shares_of(settings: Settings, clock: Clock) -> SealedShares | None:
    """The links of the settings; None without `sharing.key_file`. Raises `ConfigError`."""
    file, url = settings.sharing.key_file, (settings.http.url or "").rstrip("/")
    if file is None:
        return None
    if not settings.audit.on:
        raise ConfigError("sharing.key_file", None, "audit.on is needed: no link without a record of who used it")
    if not is_safe_url(url) or url.count("/") != 2:
        raise ConfigError("http.url", None, "links need it: https://HOST, as people outside write it in their browsers")
    return SealedShares(file, url, clock)
