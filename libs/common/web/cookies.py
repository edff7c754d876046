"""Cookies (RFC 6265): one of a request by its name, and the ones that we have a browser keep. Pure.

With https they are called `__Host-…`: a browser takes such a cookie from this host alone, by https, for all paths, so
that no neighbour below the same domain can put one of his own in its place (RFC 6265bis 4.1.3.2). On this machine, by
http, browsers do not know that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SESSION, GRANT, CAME = "gantry-session", "gantry-grant", "gantry-came"
OVERRIDE = "gantry-override"
SHARE = "gantry-share"
FLOW = "gantry-flow-"
"""Begins the names of logins that are under way: each tab may have one."""
_MOST = 64


@dataclass(frozen=True, slots=True)
class CookieNames:
    """How cookies are called and kept, by the URL of this installation."""

    secure: bool

    def name(self, plain: str) -> str:
        """The name that the browser has."""
        return f"__Host-{plain}" if self.secure else plain

    def value(self, headers: Mapping[str, str], plain: str) -> str:
        """The value that a request brings; "" where it brings none, or two of that name: then one is somebody's."""
        wanted = self.name(plain)
        values = [value for name, value in _pairs(headers) if name == wanted]
        return values[0] if len(values) == 1 else ""

    def beginning(self, headers: Mapping[str, str], plain: str) -> list[str]:
        """The names, as we call them, of what a request brings that begin so."""
        begin = self.name(plain)
        return [plain + name.removeprefix(begin) for name, _ in _pairs(headers) if name.startswith(begin)]

    def kept(self, plain: str, value: str, seconds: float, *, strict: bool = False) -> str:
        """A Set-Cookie that has the browser keep a value for so long, from scripts and from other sites; `strict`: also
        where a link on another site leads here."""
        same_site = "Strict" if strict else "Lax"
        end = f"{self.name(plain)}={value}; Path=/; Max-Age={max(int(seconds), 0)}; HttpOnly; SameSite={same_site}"
        return f"{end}; Secure" if self.secure else end

    def gone(self, plain: str) -> str:
        """A Set-Cookie that has the browser forget it."""
        return self.kept(plain, "", 0)


def _pairs(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for pair in headers.get("Cookie", "").split(";", _MOST):
        name, equals, value = pair.strip().partition("=")
        if equals:
            yield name, value
