"""The first PDU of a connection, until it is whole: PS3.8 table 9-10, Sta2, with the machine that the services use.

What no A-ASSOCIATE-RQ begins with is answered as a service answers it; a request keeps the bytes it came in.
"""

from __future__ import annotations

from gantry.common.ul import AssociateReject, AssociateRequest, PduLimits, Requested, State, UpperLayer
from gantry.common.ul.upper_layer import WORKSPACE

_workspace = memoryview(bytearray(WORKSPACE))
"""Shared by all openings: bytes leave it before the next are fed."""


class FirstPdu:
    """Feed it until there is a `request` or it `is_over`; `take_output` is to be sent after every call."""

    def __init__(self, limits: PduLimits) -> None:
        self._ul = UpperLayer(requestor=False, limits=limits, workspace=_workspace)
        self._ul.connected()
        self.raw = b""
        """Everything that came: the request, and what its sender may have put behind it."""
        self.request: AssociateRequest | None = None

    @property
    def is_over(self) -> bool:
        """Whether what came cannot become an association any more: send the output, and close."""
        return self.request is None and self._ul.state is not State.STA2

    @property
    def why(self) -> str:
        """Why it is over; empty where there is a request."""
        if self.request is not None:
            return ""
        begins = f"{self.raw[0]:#04x}" if self.raw else "nothing"
        return f"no association request, but what begins with {begins}"

    @property
    def has_begun(self) -> bool:
        """Whether a part of a PDU is here."""
        return bool(self.raw)

    def feed(self, data: bytes) -> None:
        """More bytes. Never raises for what they are."""
        self.raw += data  # bounded: the machine refuses what is longer than its limit
        for indication in self._ul.feed(data):
            if isinstance(indication, Requested):
                self.request = indication.request

    def reject(self, reject: AssociateReject) -> None:
        """A-ASSOCIATE-RJ for the request."""
        self.request = None
        self._ul.reject(reject)

    def take_output(self) -> bytes:
        """What is to be sent now."""
        return self._ul.take_output()
