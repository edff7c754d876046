"""Evidence that nobody changed what was sealed: statements, each signed and naming the one before, without I/O.

What belongs here: the tree of digests (RFC 9162 2.1.1), and a statement as it is signed and read (RFC 7515, RFC 9864).
What does not: which segments there are, and where statements lie.
"""

from gantry.common.evidence.merkle import root_of
from gantry.common.evidence.statements import (
    ROOT,
    SignedStatement,
    StatedSegment,
    Statement,
    keys_in,
    read,
    sign,
    stated,
)

__all__ = [
    "ROOT",
    "SignedStatement",
    "StatedSegment",
    "Statement",
    "keys_in",
    "read",
    "root_of",
    "sign",
    "stated",
]
