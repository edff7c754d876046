"""Subscribers: the content of a subscription, and whether its subscriber may be notified by the current settings."""

from __future__ import annotations

from gantry.common.access import Identity, Means, Sight, Verb, role_table, rules_of, sight_of
from gantry.common.config.settings import Settings
from gantry.common.errors import NotUnderstood
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.common.subscriptions.fold import Subscription
from gantry.common.subscriptions.model import SubscriptionRequest
from gantry.common.web.callers import LOOPBACK
from gantry.common.web.tokens import Tokens

_MOST_OPENED = 2000


class Subscribers:
    """What is known of subscribers. The rules are the current ones; what they compare (roles and patients from an
    identity provider) was recorded when the subscription was made. An unknown subscriber sees nothing."""

    def __init__(self, settings: Settings, seal: SubscriptionSeal) -> None:
        """Raises `ConfigError`."""
        access, http = settings.access, settings.http
        self._seal = seal
        self._table = role_table(access.roles)
        self._rules = rules_of(access.sees, access.confidential)
        self._issuers = frozenset(issuer.name for issuer in access.issuers)
        self._tokens = Tokens(http.tokens_file)
        self._may_subscribe = frozenset(http.may_subscribe)
        self._opened: dict[str, tuple[SubscriptionRequest, Identity]] = {}

    def opened(self, known: Subscription) -> tuple[SubscriptionRequest, Identity]:
        """The content of a subscription, and its subscriber. Raises `NotUnderstood`."""
        assert known.created is not None
        sealed = known.created.sealed
        contents = self._opened.get(sealed)
        if contents is None:
            if len(self._opened) >= _MOST_OPENED:
                self._opened.clear()
            contents = self._opened[sealed] = self._seal.open(sealed)
        return contents

    def sight(self, identity: Identity) -> Sight:
        """What the subscriber sees. Raises `NotUnderstood`, in words, if it may not be notified any more."""
        now = self._now(identity)
        verbs = self._table.verbs_of(now)
        by_name = now.means is not Means.ISSUER and (now.name or LOOPBACK) in self._may_subscribe
        if Verb.SUBSCRIBE not in verbs and not by_name:
            raise NotUnderstood("whoever made it may not subscribe any more")
        return sight_of(now, self._rules)

    def _now(self, identity: Identity) -> Identity:
        if identity.means is Means.MACHINE:
            return identity
        if identity.means is Means.ISSUER and identity.issuer in self._issuers:
            return identity
        known = self._tokens.named(identity.name) if identity.means is Means.TOKEN else None
        if known is None:
            raise NotUnderstood("whoever made it is not known here any more")
        return Identity(identity.subject, identity.name, identity.means, known.roles)
