"""Reads the first PDU of a connection (PS3.8 table 9-10, Sta2), with the same state machine as the services.

Bytes that cannot begin an A-ASSOCIATE-RQ are answered as a service answers them; a request retains its bytes.
"""

from __future__ import annotations

from gantry.common.ul import AssociateReject, AssociateRequest, PduLimits, Requested, State, UpperLayer
from gantry.common.ul.upper_layer import WORKSPACE

_workspace = memoryview(bytearray(WORKSPACE))
"""Shared by all openings: its bytes are consumed before the next are fed."""


class FirstPdu:
    """The caller feeds it until there is a `request` or it `is_over`, and sends `take_output` after every call."""

    def __init__(self, limits: PduLimits) -> None:
        self._ul = UpperLayer(requestor=False, limits=limits, workspace=_workspace)
        self._ul.connected()
        self.raw = b""
        """All received bytes: the request, and any bytes after it."""
        self.request: AssociateRequest | None = None

    @property
    def is_over(self) -> bool:
        """Whether no association can result any more: send the output, and close."""
        return self.request is None and self._ul.state is not State.STA2

    @property
    def why(self) -> str:
        """Why there is no association; "" if there is a request."""
        if self.request is not None:
            return ""
        begins = f"{self.raw[0]:#04x}" if self.raw else "nothing"
        return f"not an association request: it begins with {begins}"

    @property
    def has_begun(self) -> bool:
        """Whether any byte has been received."""
        return bool(self.raw)

    def feed(self, data: bytes) -> None:
        """Add received bytes. Never raises, whatever they contain."""
        self.raw += data  # bounded: the state machine refuses PDUs longer than its limit
        for indication in self._ul.feed(data):
            if isinstance(indication, Requested):
                self.request = indication.request

    def reject(self, reject: AssociateReject) -> None:
        """Answer the request with A-ASSOCIATE-RJ."""
        self.request = None
        self._ul.reject(reject)

    def take_output(self) -> bytes:
        """The bytes to send now."""
        return self._ul.take_output()


def called_as(raw: bytes, ae_title: str) -> bytes:
    """An A-ASSOCIATE-RQ with another called AE title (PS3.8 table 9-11: 16 characters from byte 11)."""
    return raw[:10] + ae_title.encode("latin-1", "replace")[:16].ljust(16) + raw[26:]
