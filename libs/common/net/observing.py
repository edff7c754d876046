"""Observers of associations."""

from __future__ import annotations

from typing import Protocol

from gantry.common.net.association import Association


class AssociationObserver(Protocol):
    """Called for every message; for metrics and logs."""

    def message(self, association: Association, field: int, seconds: float) -> None:
        """A request of the peer was performed; the answer is in `association.tally`."""

    def closed(self, association: Association, outcome: str) -> None:
        """The association ended: "released", "aborted by peer", "aborted", "lost"."""
