"""The roles that a process can play, and where each listens when it runs alone."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """One per service, and the front door, which has no stores and runs alone."""

    INGEST = "ingest"
    INDEXER = "indexer"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMITMENT = "commitment"
    ORDERS = "orders"
    DOOR = "door"

    @property
    def purpose(self) -> str:
        """What it does, in a line."""
        return _PURPOSES[self]

    @property
    def serves_dimse(self) -> bool:
        """Whether it takes associations."""
        return self is not Role.INDEXER


EVERY = frozenset(Role) - {Role.DOOR}
"""The archive: what `gantry serve` runs where no role is named."""

_PURPOSES = {
    Role.INGEST: "receives objects (C-STORE)",
    Role.INDEXER: "makes what was received searchable",
    Role.QUERY: "answers searches (C-FIND, QIDO-RS)",
    Role.RETRIEVE: "gives objects back (C-MOVE, C-GET, WADO)",
    Role.COMMITMENT: "takes responsibility for objects (Storage Commitment)",
    Role.ORDERS: "keeps orders: worklist, procedure steps",
    Role.DOOR: "one address for all of them: passes associations on to the role they ask for",
}

# Together the roles share the configured ports, which the door has too; alone each has its own, as many apart as here.
_DIMSE_OFFSET = {Role.INGEST: 1, Role.QUERY: 2, Role.RETRIEVE: 3, Role.COMMITMENT: 4, Role.ORDERS: 5}
_HTTP_OFFSET = {
    **_DIMSE_OFFSET,
    Role.INDEXER: 5,
    Role.ORDERS: 6,
}


def dimse_port(roles: frozenset[Role], configured: int) -> int:
    """The DIMSE port of a process with these roles."""
    return configured + _DIMSE_OFFSET.get(next(iter(roles)), 0) if len(roles) == 1 and configured else configured


def http_port(roles: frozenset[Role], configured: int) -> int:
    """The HTTP port of a process with these roles."""
    return configured + _HTTP_OFFSET.get(next(iter(roles)), 0) if len(roles) == 1 and configured else configured
