"""The canary's own storage port, to which the archive sends the image by C-MOVE."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gantry.cli.canary.phantom import SECONDARY_CAPTURE
from gantry.cli.retrieve import FolderService
from gantry.common.net import Association, Server
from gantry.common.ul import AssociateReject, AssociateRequest

_NOT_RECOGNISED = AssociateReject(1, 1, 3)
"""PS3.8 9.3.4: permanent, calling AE title not recognised."""


class _OneCaller:
    """Admits one AE title, and counts nothing."""

    def __init__(self, title: str) -> None:
        self._title = title

    def admit(
        self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str
    ) -> AssociateReject | None:
        return None if request.calling_ae_title == self._title else _NOT_RECOGNISED

    def opened(self, association: Association) -> None:
        return None

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        return None

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        return None

    def message(self, association: Association, field: int, seconds: float) -> None:
        return None

    def closed(self, association: Association, outcome: str) -> None:
        return None


@asynccontextmanager
async def listening(host: str, port: int, caller: str) -> AsyncIterator[Path]:
    """A folder that receives the images of `caller`, one file each. Raises `OSError`."""
    with TemporaryDirectory(prefix="gantry-canary-") as name:
        admission = _OneCaller(caller)
        server = Server([FolderService(Path(name), [SECONDARY_CAPTURE])], admission, admission)
        await server.start(host, port)
        try:
            yield Path(name)
        finally:
            await server.drain(5.0)
