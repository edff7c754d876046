"""The root of a tree of digests over a list (RFC 9162 2.1.1, SHA-256): one value that changes with any entry, its place
or their number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The 32 bytes of the root. Of an empty list it is the digest of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    level = [hashlib.sha256(_LEAF + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        # What has no partner goes up as it is: the tree's left half is always the largest power of two.
        pairs = [hashlib.sha256(_NODE + level[n] + level[n + 1]).digest() for n in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]
