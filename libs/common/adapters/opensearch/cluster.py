"""The addresses and the settings of the nodes."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field

from gantry.common.config.secret_files import Secret, text_of

LEVELS = ("patients", "studies", "series", "instances")
"""The levels that are searched, from the top."""
KINDS = (*LEVELS, "receipts", "fates", "holds", "corrections", "accesses", "places")
"""The kinds of documents, each with an index of its own."""


@dataclass(frozen=True, slots=True)
class OpenSearchCluster:
    """One installation's share of an OpenSearch cluster. Indices are named `prefix-KIND`; `prefix` is in lower case.

    `deadline` (seconds) bounds each request. `shards` holds for the instances, of which there are most, and `replicas`
    for all indices that we make.
    """

    hosts: tuple[str, ...]
    prefix: str = "gantry"
    shards: int = 1
    replicas: int = 1
    deadline: float = 30.0
    connections: int = 32
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)

    def signed_in(self) -> dict[str, str]:
        """The headers that authenticate us (RFC 7617), with the current password."""
        if self.username is None:
            return {}
        credentials = f"{self.username}:{text_of(self.password)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(credentials).decode('ascii')}"}

    def alias(self, kind: str) -> str:
        """The name that is searched."""
        return f"{self.prefix}-{kind}"
