"""Destinations that may get identified objects: not those to which rules send de-identified ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.common.errors import DependencyUnavailable
from gantry.common.net import Peer
from gantry.common.telemetry.logs import get_logger
from gantry.services.context import Peers

logger = get_logger("retrieve")


@dataclass(frozen=True, slots=True)
class IdentifiedDestinations:
    """The destinations of C-MOVE and of the page, without those that get only de-identified objects, by rules."""

    peers: Peers
    deidentified: frozenset[str]

    def destinations(self) -> Sequence[str]:
        """The AE titles that may be sent to."""
        return [title for title in self.peers.destinations() if title not in self.deidentified]

    def destination(self, ae_title: str, ours: str) -> Peer | None:
        """The address of an AE title, for calls from our title `ours`; None if nothing may be sent there from it.
        Raises `DependencyUnavailable` while it may be a peer that has not been read yet."""
        if ae_title in self.deidentified:
            logger.warning(
                "not sent: this destination gets de-identified objects, by rules alone", destination=ae_title
            )
            return None
        peer = self.peers.destination(ae_title, ours)
        if peer is None and not self.peers.are_whole():
            raise DependencyUnavailable("peers", "those of the api are not read yet")
        return peer
