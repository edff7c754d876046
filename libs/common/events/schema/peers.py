"""Peers that administrators add beside the policy file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerSet:
    """Somebody (`by`) was going to add or change a peer, by the API: `entry` is all of it, as JSON with the names of
    `peers:`, and `before` what stood there ("" where nothing did). `change` is the name of this change, `replaces` that
    of the one which it was made after, "" for the first of an AE title. Whether it was taken is decided by the fold
    (`gantry.common.access.added_peers`): of two after the same one, the first on the log."""

    partition: str
    trace: str
    ae_title: str
    change: str
    replaces: str
    entry: str
    before: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PeerRemoved:
    """Somebody was going to remove a peer that the API added; the fields are those of `PeerSet`."""

    partition: str
    trace: str
    ae_title: str
    change: str
    replaces: str
    before: str
    reason: str
    by: str
    at: int
