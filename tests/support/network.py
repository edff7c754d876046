"""A minimal observer and admission, for tests of other parts of a server."""

from __future__ import annotations

from gantry.common.net import Association
from gantry.common.ul import AssociateReject, AssociateRequest


class Silence:
    """An observer that does nothing."""

    def opened(self, association: Association) -> None: ...
    def message(self, association: Association, field: int, seconds: float) -> None: ...
    def closed(self, association: Association, outcome: str) -> None: ...
    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None: ...
    def failed(self, peer_address: str, why: str, certificate: str = "") -> None: ...


class OpenDoor:
    """An admission that admits every peer, for everything."""

    def admit(self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str) -> None: ...
