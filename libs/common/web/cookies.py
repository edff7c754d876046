"""Cookies (RFC 6265): reading those of a request by name, and setting ours. Pure.

With https their names begin with `__Host-`: a browser accepts such a cookie only from this host, by https, for all
paths, so that no other host of the same domain can replace it (RFC 6265bis 4.1.3.2). On this machine, by http, browsers
refuse such names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SESSION, GRANT, CAME = "gantry-session", "gantry-grant", "gantry-came"
OVERRIDE = "gantry-override"
SHARE = "gantry-share"
FLOW = "gantry-flow-"
"""Prefix of the cookies of logins that are under way: each tab may have one."""
_MOST = 64


@dataclass(frozen=True, slots=True)
class CookieNames:
    """The names and attributes of cookies, by the URL of this installation."""

    secure: bool

    def name(self, plain: str) -> str:
        """The name in the browser."""
        return f"__Host-{plain}" if self.secure else plain

    def value(self, headers: Mapping[str, str], plain: str) -> str:
        """The value in a request; "" if there is none, or two of that name: then one may be forged."""
        wanted = self.name(plain)
        values = [value for name, value in _pairs(headers) if name == wanted]
        return values[0] if len(values) == 1 else ""

    def beginning(self, headers: Mapping[str, str], plain: str) -> list[str]:
        """Our names of a request's cookies that begin like this."""
        begin = self.name(plain)
        return [plain + name.removeprefix(begin) for name, _ in _pairs(headers) if name.startswith(begin)]

    def set_cookie(self, plain: str, value: str, seconds: float, *, strict: bool = False) -> str:
        """A Set-Cookie that stores a value for the given time, hidden from scripts and other sites; `strict`: also not
        sent when a link on another site leads here."""
        same_site = "Strict" if strict else "Lax"
        end = f"{self.name(plain)}={value}; Path=/; Max-Age={max(int(seconds), 0)}; HttpOnly; SameSite={same_site}"
        return f"{end}; Secure" if self.secure else end

    def delete_cookie(self, plain: str) -> str:
        """A Set-Cookie that deletes it."""
        return self.set_cookie(plain, "", 0)


def _pairs(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for pair in headers.get("Cookie", "").split(";", _MOST):
        name, equals, value = pair.strip().partition("=")
        if equals:
            yield name, value
