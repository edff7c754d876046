"""What a server needs besides services, for tests that look elsewhere."""

from __future__ import annotations

from gantry.common.net import Association
from gantry.common.ul import AssociateReject, AssociateRequest


class Silence:
    """An observer that looks away."""

    def opened(self, association: Association) -> None: ...
    def message(self, association: Association, field: int, seconds: float) -> None: ...
    def closed(self, association: Association, outcome: str) -> None: ...
    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None: ...
    def failed(self, peer_address: str, why: str, certificate: str = "") -> None: ...


class OpenDoor:
    """A admission that admits everybody, for everything."""

    def admit(self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str) -> None: ...
