"""The tokens of a provider become an identity: the ID token names the person, one of the two the roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.access import Identity, RoleTable, identity_of
from gantry.common.access.logouts import SignedOut, signed_out_of
from gantry.common.access.signatures import LOGOUT_TYPES
from gantry.common.errors import DependencyUnavailable, LoginRefused, TokenRefused
from gantry.common.web.issuers import IssuerTokens
from gantry.services.query.login.exchange import GivenTokens, OurClient, check_id_token

_CLOCKS = frozenset(("expired", "early"))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The identity that signed in; when its token expires, in seconds since the epoch; and the session at the provider
    (`sid`), "" if it names none."""

    identity: Identity
    expires: float
    sid: str


class TokenReader:
    """Checks tokens of one issuer, by the rules of `access.issuers`."""

    def __init__(self, issuers: IssuerTokens, name: str, table: RoleTable, *, from_id_token: bool) -> None:
        self._issuers = issuers
        self._rules = issuers.rules(name)
        self._table = table
        self._from_id_token = from_id_token

    async def read(
        self, tokens: GivenTokens, client: OurClient, *, nonce: str | None = None, subject: str = ""
    ) -> SignedIn:
        """The identity. `nonce` is that of the login, `subject` the person whose session is renewed. Raises
        `LoginRefused`."""
        claims: Mapping[str, Any] = {}
        sid: object = ""
        if tokens.identity or nonce is not None or self._from_id_token:
            claims = await self._claims("ID token", tokens.identity, client.client_id)
            check_id_token(claims, client, self._rules.url, nonce)
            subject = subject or str(claims.get("sub", ""))
            sid = claims.get("sid", "")
        if not self._from_id_token:
            claims = await self._claims("access token", tokens.access, "")
        if claims.get("iss") != self._rules.url or claims.get("sub") != subject:
            raise LoginRefused("token", 400, "The tokens are not about one and the same person.")
        try:
            identity = identity_of(claims, self._rules)
        except TokenRefused as refused:
            raise LoginRefused("token", 400, f"The token is not accepted: {refused.reason}.") from refused
        self._require_role(identity)
        return SignedIn(identity, float(claims["exp"]), sid if isinstance(sid, str) else "")

    async def signed_out(self, token: str, client: OurClient) -> SignedOut:
        """The person or session that a logout token signs out. Raises `TokenRefused`, and `DependencyUnavailable` if
        the provider's keys cannot be read."""
        return signed_out_of(await self._issuers.claims(token, client.client_id, LOGOUT_TYPES))

    async def _claims(self, label: str, token: str, audience: str) -> Mapping[str, Any]:
        if not token:
            raise LoginRefused("token", 400, f"The identity provider gave no {label}.")
        try:
            return await self._issuers.claims(token, audience)
        except TokenRefused as refused:
            if refused.kind in _CLOCKS:
                words = f"The {label} is refused: {refused.reason}. The clocks of the archive and the provider differ."
                raise LoginRefused("clock", 400, words) from refused
            raise LoginRefused("token", 400, f"The {label} is not accepted: {refused.reason}.") from refused
        except DependencyUnavailable as error:
            raise LoginRefused("away", 503, "The keys of the identity provider cannot be had just now.") from error

    def _require_role(self, identity: Identity) -> None:
        """A person without any role is told so at once: an empty page would look like an empty archive."""
        if self._table.verbs_of(identity):
            return
        label = "ID token" if self._from_id_token else "access token"
        claim = self._rules.claims.roles
        words = f"You are known, but have no role here: the claim {claim} of your {label} names none of this archive's."
        raise LoginRefused("role", 403, f"{words} Ask who administers it.")
