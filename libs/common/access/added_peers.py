"""Peers that were added by the API: the state of each, from the events of the log. Pure.

Every process folds the same events in the order of the log, so all of them have the same peers. A change names the
change before it; if that is not the last one of its AE title, it is rejected. So of two administrators at two processes
the first on the log prevails, and a repeated event changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gantry.common.config.peer_entries import peer_in
from gantry.common.config.policy import KnownPeer
from gantry.common.events import PeerRemoved, PeerSet

MOST_PEERS = 10_000
"""At once."""
MOST_TITLES = 100_000
"""Most AE titles ever added: the last change of a removed one is stored for ever."""


class PeerChangeOutcome(Enum):
    """The outcome of a change."""

    TAKEN = "taken"
    OVERTAKEN = "overtaken"
    TOO_MANY = "too many"
    UNREADABLE = "unreadable"
    """The entry is of a newer release: it is the last change of its title, and the peer is not admitted here."""


@dataclass(frozen=True, slots=True)
class AddedPeer:
    """The last change of an AE title: who made it when (microseconds since the epoch), and why. `peer` is None if it
    was removed, or this release does not understand its `entry`."""

    change: str
    peer: KnownPeer | None
    entry: str
    by: str
    reason: str
    at: int


class AddedPeers:
    """All added peers, from the events."""

    def __init__(self, most_peers: int = MOST_PEERS, most_titles: int = MOST_TITLES) -> None:
        self._most_peers = most_peers
        self._most_titles = most_titles
        self._last: dict[str, AddedPeer] = {}
        self._peers: dict[str, KnownPeer] = {}
        self._standing = 0

    @property
    def peers(self) -> Mapping[str, KnownPeer]:
        """The existing peers that are understood, by AE title. It changes with the events."""
        return self._peers

    def version(self, ae_title: str) -> str:
        """The name of the last change of an AE title, even if that was a removal; "" if there was none."""
        last = self._last.get(ae_title)
        return "" if last is None else last.change

    def of(self, ae_title: str) -> AddedPeer | None:
        """The entry in force for an AE title; None if there is none."""
        last = self._last.get(ae_title)
        return last if last is not None and last.entry else None

    def standing(self) -> Mapping[str, AddedPeer]:
        """All entries in force, by AE title."""
        return {title: last for title, last in self._last.items() if last.entry}

    def apply(self, event: PeerSet | PeerRemoved) -> PeerChangeOutcome:
        """Take a change."""
        title, removed = event.ae_title, isinstance(event, PeerRemoved)
        if event.replaces != self.version(title):
            return PeerChangeOutcome.OVERTAKEN
        stood = self.of(title) is not None
        if removed and not stood:
            return PeerChangeOutcome.OVERTAKEN
        if not removed and self._is_full(title, stood):
            return PeerChangeOutcome.TOO_MANY
        entry = event.entry if isinstance(event, PeerSet) else ""
        peer = peer_in(entry) if entry else None
        if peer is not None and peer.ae_title != title:
            peer = None
        self._standing += bool(entry) - stood
        self._last[title] = AddedPeer(event.change, peer, entry, event.by, event.reason, event.at)
        if peer is None:
            self._peers.pop(title, None)
        else:
            self._peers[title] = peer
        return PeerChangeOutcome.TAKEN if removed or peer is not None else PeerChangeOutcome.UNREADABLE

    def _is_full(self, title: str, stood: bool) -> bool:
        if not stood and self._standing >= self._most_peers:
            return True
        return title not in self._last and len(self._last) >= self._most_titles
