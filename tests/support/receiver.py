"""A destination of C-STORE sub-operations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gantry.common.net import Peer, Server, connect
from gantry.services.retrieve.dimse.suboperations import Deidentifies, StoreSubOperations, SubOperations
from tests.integration.common.net.conftest import Echo, Seen
from tests.support.wire import CT

EXPLICIT = "1.2.840.10008.1.2.1"


class Receiver:
    """A destination: a real server whose answers wait for `service.gate`."""

    def __init__(self) -> None:
        self.service = Echo()
        self.server = Server([self.service], Seen(), Seen())
        self.port = 0

    @asynccontextmanager
    async def called(
        self, operations: SubOperations, window: int = 1, through: Deidentifies | None = None
    ) -> AsyncIterator[StoreSubOperations]:
        peer = Peer("127.0.0.1", self.port, "DEST", "GANTRY")
        async with connect(peer, [(CT, [EXPLICIT])], window=window) as association:
            async with operations.over(association, through) as transfer:
                yield transfer

    @property
    def uids(self) -> list[str]:
        return [uid for uid, _ in self.service.received]


Receive = Callable[[], Awaitable[Receiver]]
