"""Users that peers name for their associations (PS3.7 D.3.3.7), from the file of users or an identity provider.

A user restricts the rights of the peer, and never extends them; the audit trail names the user. Passcodes and tokens
are never logged. Passcodes are compared, and signatures checked, in threads; the tries of an address are limited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from gantry.common.access import (
    AdmittedUser,
    Identity,
    Means,
    RoleTable,
    SightRules,
    sight_of,
)
from gantry.common.access.failed_tries import FailedTries
from gantry.common.access.user_file import NOBODY_S_PASSCODE, KnownUser, users_of
from gantry.common.access.users import PresentedUser, presented_user, word_of
from gantry.common.clock import Clock
from gantry.common.config.policy import Policy, UserIdentityRule
from gantry.common.config.watched import WatchedFiles
from gantry.common.errors import ConfigError, DependencyUnavailable, TokenRefused, UserRefused
from gantry.common.net.server_state import IdentifiedUser
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateReject, AssociateRequest, UserIdentity
from gantry.common.web.issuers import IssuerTokens

_MOST_AT_ONCE = 64
_MOST_PROVEN = 256
_NOT_ACCEPTED = "its user name or passcode is not accepted"


class UserFile:
    """The users in force. The file is read again when it changes; an invalid file is refused, and the users in force
    stay."""

    def __init__(self, file: Path | None) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._watched = WatchedFiles([file])
        self._logger = get_logger("access")
        self._users = _read(file) if file is not None else {}
        self.version = 0
        """Changes with each new set of users."""

    def find(self, name: str) -> KnownUser | None:
        """The user with a name."""
        if self._file is not None and self._watched.have_changed():
            try:
                self._users = _read(self._file)
                self.version += 1
                self._logger.info("users taken", users=len(self._users))
            except ConfigError as error:
                self._logger.error("new users refused; the old ones stay in force", line=error.line, why=error.reason)
        return self._users.get(name)


class UserIdentities:
    """`gantry.common.net.server_state.UserCheck` for a process."""

    def __init__(
        self,
        users: UserFile,
        issuers: IssuerTokens,
        policy: Callable[[], Policy],
        table: RoleTable,
        rules: SightRules,
        syntaxes_of: Callable[[AdmittedUser], frozenset[str]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`table` has the permissions of roles, `rules` what they see, `syntaxes_of` returns the abstract syntaxes that
        a user may use."""
        self._users = users
        self._issuers = issuers
        self._policy = policy
        self._table = table
        self._rules = rules
        self._syntaxes_of = syntaxes_of
        self._clock = clock
        self._metrics = metrics
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="users")
        self._tries = FailedTries()
        self._under_way = 0
        self._key = token_bytes(32)
        self._proven: dict[bytes, int] = {}
        """Digests of correct names and passcodes, with the version of the file: a modality may open an association for
        each object, and hashing takes 50 ms."""

    def applies(self, request: AssociateRequest) -> bool:
        """See `gantry.common.net.server_state.UserCheck`."""
        rule = self._policy().user_identity(request.calling_ae_title)
        if rule is UserIdentityRule.ALLOWED:
            return request.user_identity is not None
        return rule is UserIdentityRule.REQUIRED

    async def identify(self, request: AssociateRequest, peer_address: str) -> IdentifiedUser | AssociateReject:
        """See `gantry.common.net.server_state.UserCheck`. PS3.8 table 9-21 has no reason for users: 1/1/1 if the user
        is not accepted, 2/3/1 if that cannot be decided now."""
        item = request.user_identity
        if item is None:
            return AssociateReject(1, 1, 1, "this peer must name its user (user_identity: required)")
        if self._under_way >= _MOST_AT_ONCE:
            return self._refused(item, "later", "too many users are being checked")
        self._under_way += 1
        try:
            identity = await self._identity(presented_user(item.type, item.primary, item.secondary), peer_address)
        except UserRefused as refused:
            return self._refused(item, "refused", refused.reason)
        except TokenRefused as refused:
            return self._refused(item, "refused", f"its JSON Web Token is not accepted: {refused.reason}")
        except DependencyUnavailable as error:
            return self._refused(item, "later", f"its user cannot be checked now: {error}")
        finally:
            self._under_way -= 1
        self._metrics.user_identities.labels(word_of(item.type), "accepted").inc()
        user = AdmittedUser(identity, self._table.verbs_of(identity), sight_of(identity, self._rules))
        # PS3.7 D.3.3.7.2: empty for a name, with a passcode or without; for a token, the token.
        response = item.primary if identity.means is Means.ISSUER else b""
        return IdentifiedUser(user, self._syntaxes_of(user), response)

    async def close(self) -> None:
        """End what is in progress."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _refused(self, item: UserIdentity, result: str, why: str) -> AssociateReject:
        self._metrics.user_identities.labels(word_of(item.type), result).inc()
        return AssociateReject(1, 1, 1, why) if result == "refused" else AssociateReject(2, 3, 1, why)

    async def _identity(self, user: PresentedUser, address: str) -> Identity:
        known = None if user.token else self._users.find(user.name)
        proof = self._proof_of(user)
        if known is not None and proof and self._proven.get(proof) == self._users.version:
            return _identity_of(known)
        begun = self._clock.monotonic()
        if not self._tries.begin(address, begun):
            raise DependencyUnavailable("check of users", "too many tries from this address within a minute")
        try:
            identity = await self._looked_at(user, known)
        except DependencyUnavailable:
            self._tries.succeeded(address, begun)  # not a failed try
            raise
        self._tries.succeeded(address, begun)
        if proof:
            self._proven[proof] = self._users.version
            if len(self._proven) > _MOST_PROVEN:
                del self._proven[next(iter(self._proven))]
        return identity

    async def _looked_at(self, user: PresentedUser, known: KnownUser | None) -> Identity:
        if user.token:
            if not self._issuers:
                raise UserRefused("no issuer of JSON Web Tokens is configured (access.issuers)")
            return await self._issuers.identity(user.token, self._workers)
        if user.passcode is None:
            # A name proves nothing: it is enough only for users without a passcode.
            if known is None or known.passcode is not None:
                raise UserRefused("its user is unknown, or needs a passcode")
            return _identity_of(known)
        expected = known.passcode if known is not None and known.passcode is not None else NOBODY_S_PASSCODE
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._workers, expected.is_of, user.passcode)
        if not right or known is None or known.passcode is None:
            raise UserRefused(_NOT_ACCEPTED)
        return _identity_of(known)

    def _proof_of(self, user: PresentedUser) -> bytes:
        if user.passcode is None:
            return b""
        name = user.name.encode()
        return blake2b(len(name).to_bytes(2, "big") + name + user.passcode, key=self._key, digest_size=32).digest()


def _identity_of(known: KnownUser) -> Identity:
    return Identity(known.name, known.name, Means.USER, known.roles)


def _read(file: Path) -> Mapping[str, KnownUser]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(str(file), None, "cannot be read") from error
    return users_of(text, str(file))
