"""What an entry of `peers:` must not contain, given the other settings of the archive. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gantry.common.access.views import views_of
from gantry.common.config.policy import KnownPeer
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, Conflicting


@dataclass(frozen=True, slots=True)
class PeerRules:
    """`views` are those of `lifecycle.views`; `taken` are names of destinations other than peers."""

    views: Collection[str]
    taken: Collection[str]

    def require(self, peer: KnownPeer) -> None:
        """Raises `ConfigError` for a field that contradicts the settings, `Conflicting` for a name that is taken."""
        if peer.view and peer.view not in self.views:
            raise ConfigError("peer", None, "view: is none of lifecycle.views")
        if peer.ae_title in self.taken:
            raise Conflicting(f"{peer.ae_title} is a name of routing.servers or routing.receivers: take another one")


def peer_rules(settings: Settings) -> PeerRules:
    """The rules of an archive with these settings."""
    routing = settings.routing
    names = {server.name for server in routing.servers} | {receiver.name for receiver in routing.receivers}
    return PeerRules(frozenset(views_of(settings.lifecycle.views)), frozenset(names))
