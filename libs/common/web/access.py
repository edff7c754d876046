"""Access over HTTP. Closed by default: without tokens only for this machine, with tokens only for their holders.

    no tokens      loopback peers; others 403
    tokens         requests with `Authorization: Bearer TOKEN`; others 401
    tokens, --lab  loopback peers as well

A token is one of `http.tokens_file`, or one that an identity provider of `access.issuers` signed. The permissions of
its holder follow from roles (`gantry.common.access`), and are part of the caller. The browser of a logged-in user has a
session in a cookie in place of a token; a visitor of a link has a pass.

The caller of a request through a proxy is the one that the proxy names, if the proxy is one of `trusted`; otherwise the
caller is unknown, and never this machine. It is also unknown if a trusted proxy names no caller. With a key between
door and services, only a caller named with a proof counts; a request that names one without a proof is answered 400.
One case cannot be detected: a request through a proxy on this machine that is not configured here and adds no header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from gantry.common.access import (
    EVERYTHING,
    FORMER_VERBS,
    NOBODY,
    NOTHING,
    Identity,
    Means,
    RoleTable,
    Sight,
    SightRules,
    Verb,
    sight_of,
)
from gantry.common.access.overrides import Override, widened
from gantry.common.access.share_passes import SharedView, SharePass, visitor
from gantry.common.errors import OriginRefused, TokenRefused
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.web.errors import HttpProblem
from gantry.common.web.headers import items
from gantry.common.web.origins import PROOF, OriginCheck
from gantry.common.web.tokens import KnownToken, Tokens

__all__ = ["AccessControl", "Caller", "Signed", "Tokens", "address_of"]

_MOST_HOPS = 32
_LONGEST_ADDRESS = 128
_LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
_FORWARDED = ("X-Forwarded-For", "Forwarded")
Address = IPv4Address | IPv6Address
_HERE = Identity("loopback", "", Means.MACHINE)
_PAGES = frozenset((Verb.READ,))


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: its address (None if a proxy hides it) and its name, from its token or an issuer, "" for this
    machine. `here`: it is this machine, connected directly. `verbs` are its permissions besides those by name in
    `http.may_*`, and `sight` is which studies it sees, with its `overrides`.
    `by_cookie`: identified by a cookie that its browser sent. `downloads`: it may download objects. `copies_of` maps
    the UIDs that it sees to the studies of the archive if they differ: copies, `deidentified_by` a profile."""

    address: Address | None
    name: str = ""
    here: bool = False
    identity: Identity = NOBODY
    verbs: frozenset[Verb] = frozenset()
    sight: Sight = EVERYTHING
    by_cookie: bool = False
    overrides: tuple[Override, ...] = ()
    downloads: bool = True
    copies_of: Mapping[str, str] = field(default_factory=dict)
    deidentified_by: str = ""


class SessionCookies(Protocol):
    """Knows the session of a request (`gantry.common.web.sessions`)."""

    def identity(self, headers: Mapping[str, str]) -> Identity | None:
        """The identity of the session; None if there is no valid one."""

    def is_from_our_page(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a session may authorise a request."""


class SharePasses(Protocol):
    """Knows the visitors of links (`gantry.common.web.shares`)."""

    def brought(self, headers: Mapping[str, str]) -> SharePass | None:
        """The pass of a request, even an expired one; None if it has none."""

    def is_from_our_page(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a pass may authorise a request."""

    async def shown(self, share_pass: SharePass) -> SharedView:
        """What it shows now. Raises `HttpProblem` 403 if it has ended, `DependencyUnavailable` while that cannot be
        determined."""


class OverrideTokens(Protocol):
    """Knows the overrides of a request (`gantry.common.web.overrides`)."""

    def of(self, headers: Mapping[str, str], identity: Identity) -> tuple[Override, ...]:
        """The overrides of this caller that are in force."""


class Signed(Protocol):
    """Knows the identities in signed tokens (`gantry.common.web.issuers`)."""

    def __bool__(self) -> bool:
        """Whether any issuer is configured."""

    def may_know(self, token: str) -> bool:
        """Whether a token can be from an issuer."""

    def names_an_issuer(self, token: str) -> bool:
        """Whether a token states one of the issuers, genuine or not."""

    async def identity(self, token: str) -> Identity:
        """Raises `TokenRefused`, `DependencyUnavailable`."""


class AccessControl:
    """Decides on every request except those for health and metrics."""

    def __init__(
        self,
        tokens: Tokens,
        trusted: Sequence[IPv4Network | IPv6Network] = (),
        *,
        lab: bool = False,
        signed: Signed | None = None,
        table: RoleTable | None = None,
        rules: SightRules | None = None,
        sessions: SessionCookies | None = None,
        origins: OriginCheck | None = None,
        overrides: OverrideTokens | None = None,
        shares: SharePasses | None = None,
    ) -> None:
        """`signed` are tokens of issuers, `table` has the permissions of roles, and `rules` their sight; `sessions` are
        those of logged-in users; `origins` checks proxies that name callers; `overrides` extend a caller's sight;
        `shares` are links for people outside."""
        self._tokens = tokens
        self._trusted = tuple(trusted)
        self._lab = lab
        self._signed = signed or None
        self._table = table or RoleTable()
        self._rules = rules or SightRules()
        self._sessions = sessions
        self._origins = origins
        self._overrides = overrides
        self._shares = shares
        self._logger = get_logger("access")
        self._seldom = RateLimited()

    def check_origin(
        self, peer: str, headers: Mapping[str, str], method: str, target: str, own_address: tuple[str, int]
    ) -> None:
        """Check, before X-Forwarded-For is believed, that `peer` may name a caller. Raises `HttpProblem` 400.
        `own_address` is the address that the request came to, `target` its target as sent."""
        forwarded = headers.get("X-Forwarded-For", "")
        if self._origins is None or not forwarded or not self._is_trusted(address_of(peer)):
            return
        try:
            self._origins.check_request(method, target, forwarded, headers.get(PROOF, ""), own_address)
        except OriginRefused as refused:
            if times := self._times("origin", peer, refused.kind):
                why = {"kind": refused.kind, "why": refused.reason}
                self._logger.warning("X-Forwarded-For refused", peer=peer, **why, count=times)
            line = f"X-Forwarded-For is taken from the front door alone: {refused.reason}"
            raise HttpProblem(400, line) from refused

    def _times(self, kind: str, peer: str, why: str) -> int:
        """How often a refusal is to be logged now: a caller that is refused all day must not fill the disk."""
        return self._seldom.times((peer, kind, why), asyncio.get_running_loop().time())

    def may_know(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has a token of ours, or one that states an issuer of ours."""
        token = _bearer(headers)
        if not token:
            return False
        return self._tokens.find(token) is not None or (
            self._signed is not None and self._signed.names_an_issuer(token)
        )

    async def identify(self, peer: str, headers: Mapping[str, str], method: str = "GET") -> Caller:
        """The caller, also by an issuer's token, or by a session. Raises as `admit`, and `DependencyUnavailable` while
        a token cannot be verified."""
        token = _bearer(headers)
        # Credentials sent on purpose take precedence over those that a browser sends by itself.
        if self._sessions is not None and not token:
            identity = self._sessions.identity(headers)
            if identity is not None:
                if not self._sessions.is_from_our_page(method, headers):
                    raise HttpProblem(403, "this session is for the archive's own page, at the address of http.url")
                return replace(self._known(self._caller(peer, headers), identity, headers), by_cookie=True)
        if self._shares is not None and not token:
            brought = self._shares.brought(headers)
            if brought is not None:
                return await self._visitor(self._shares, brought, peer, headers, method)
        # A token of ours may look like an issuer's.
        if self._signed is None or not self._signed.may_know(token) or self._tokens.find(token) is not None:
            return self.admit(peer, headers)
        try:
            identity = await self._signed.identity(token)
        except TokenRefused as refused:
            if times := self._times("token", peer, refused.reason):
                self._logger.warning("token refused", reason=refused.reason, peer=peer, count=times)
            raise _unauthorised(refused.reason) from refused
        return self._known(self._caller(peer, headers), identity, headers)

    def admit(self, peer: str, headers: Mapping[str, str]) -> Caller:
        """The caller. Raises `HttpProblem` 401 or 403. `peer` is the address at the other end of the connection."""
        caller = self._caller(peer, headers)
        if self._tokens or self._signed:
            token = _bearer(headers)
            known = self._tokens.find(token) if token else None
            if known is not None:
                return self._known(caller, _identity_of(known), headers)
            if not (self._lab and _is_local(caller, headers)):
                raise _unauthorised("it is not known" if token else "")
        elif not _is_local(caller, headers):
            raise HttpProblem(403, "only this machine may ask while http.tokens_file is not set")
        return replace(caller, identity=_HERE, verbs=FORMER_VERBS)

    def admit_to_page(self, peer: str, headers: Mapping[str, str]) -> Caller:
        """The same for pages, which hold no patient data: with tokens or links, every caller gets them, since a browser
        cannot send a token before it has the page that asks for it."""
        if self._tokens or self._signed or self._shares is not None:
            return replace(self._caller(peer, headers), verbs=_PAGES, sight=NOTHING)
        return self.admit(peer, headers)

    async def _visitor(
        self, shares: SharePasses, brought: SharePass, peer: str, headers: Mapping[str, str], method: str
    ) -> Caller:
        if not shares.is_from_our_page(method, headers):
            raise HttpProblem(403, "this link is for the archive's own page, at the address of http.url")
        shown, identity = await shares.shown(brought), visitor(brought.share)
        address = self._caller(peer, headers).address
        return Caller(
            *(address, identity.name, False, identity, _PAGES, shown.sight),
            by_cookie=True,
            downloads=shown.download,
            copies_of=shown.copies_of,
            deidentified_by=shown.deidentified_by,
        )

    def _known(self, caller: Caller, identity: Identity, headers: Mapping[str, str]) -> Caller:
        verbs, sight = self._table.verbs_of(identity), sight_of(identity, self._rules)
        opened: tuple[Override, ...] = ()
        if self._overrides is not None and Verb.OVERRIDE in verbs and not sight.whole:
            opened = self._overrides.of(headers, identity)
        return Caller(caller.address, identity.name, False, identity, verbs, widened(sight, opened), overrides=opened)

    def _caller(self, peer: str, headers: Mapping[str, str]) -> Caller:
        address = address_of(peer)
        is_local = address is not None and address.is_loopback
        if not self._is_trusted(address):
            forwarded = any(name in headers for name in _FORWARDED)
            return Caller(None) if forwarded else Caller(address, here=is_local)
        # The rightmost address that is not a trusted proxy: entries to its left may be forged. A proxy on another
        # machine that names a loopback address means its own.
        hops = items(headers, "X-Forwarded-For")
        if not hops:
            return Caller(None)
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = address_of(hop)
            is_local = is_local and address is not None and address.is_loopback
            if not self._is_trusted(address):
                return Caller(address, here=is_local)
        return Caller(address, here=is_local) if len(hops) <= _MOST_HOPS else Caller(None)

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _bearer(headers: Mapping[str, str]) -> str:
    """The token of a request (RFC 6750 2.1); "" if there is none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _identity_of(known: KnownToken) -> Identity:
    return Identity(known.name, known.name, Means.TOKEN, known.roles)


def _unauthorised(reason: str) -> HttpProblem:
    """RFC 6750 3: without a token, the answer says that one is needed; with a bad token, why it is bad."""
    challenge = 'Bearer realm="gantry"'
    if not reason:
        return HttpProblem(401, "a bearer token is needed", {"WWW-Authenticate": challenge})
    words = f"the token is not accepted: {reason}"
    challenge += f', error="invalid_token", error_description="{words}"'
    return HttpProblem(401, words, {"WWW-Authenticate": challenge})


def _is_local(caller: Caller, headers: Mapping[str, str]) -> bool:
    """Whether a request is from this machine and names it as host: a page in a browser here must not reach us under
    another host name (DNS rebinding)."""
    host = headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return caller.here and name.lower() in _LOCAL_NAMES


def address_of(text: str) -> Address | None:
    """The address in a text; None if it is not one. IPv4-mapped addresses of a dual-stack socket become IPv4."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    text = text.strip().strip("[]").partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
