"""Messages as P-DATA-TF PDUs (PS3.8 9.3.5, Annex E), never longer than the peer's maximum (PS3.8 D.1).

Small messages are cut from bytes. Objects go through a `PduFrame`: a buffer laid out as PDUs whose headers are written
once, with holes between them that a store fills in place, so that no byte of an object is copied before it is sent.
"""

from __future__ import annotations

from struct import Struct

_PDU = Struct(">BBIIBB").pack
_pdu_into = Struct(">BBIIBB").pack_into
HEADER = 12
"""Bytes of a PDU header and a PDV header together."""

_COMMAND, _LAST = 1, 2


def payload_limit(peer_max: int, ceiling: int = 131072) -> int:
    """Bytes of payload in one PDU: the peer's maximum less the PDV header, even (PS3.8 9.3.5.1), at most `ceiling`.

    PS3.8 D.1.1: 0 means that the peer sets no limit. For an unusably small maximum the smallest usable one is taken.
    """
    usable = ceiling if peer_max == 0 else min(peer_max, ceiling)
    return max(usable - 6, 16) & ~1


def _cut(context_id: int, control: int, payload: bytes, room: int) -> bytes:
    if len(payload) <= room:
        return _PDU(4, 0, len(payload) + 6, len(payload) + 2, context_id, control | _LAST) + payload
    out = []
    for start in range(0, len(payload), room):
        part = payload[start : start + room]
        last = _LAST if start + room >= len(payload) else 0
        out.append(_PDU(4, 0, len(part) + 6, len(part) + 2, context_id, control | last) + part)
    return b"".join(out)


def message_pdus(context_id: int, command: bytes, data: bytes | None, peer_max: int) -> bytes:
    """The PDUs of a message in memory. Command and data share one PDU if they fit."""
    room = payload_limit(peer_max)
    if data is None:
        return _cut(context_id, _COMMAND, command, room)
    both = len(command) + len(data) + 6
    if both <= room:
        return b"".join(
            (
                b"\4\0",
                (both + 6).to_bytes(4, "big"),
                (len(command) + 2).to_bytes(4, "big"),
                bytes((context_id, _COMMAND | _LAST)),
                command,
                (len(data) + 2).to_bytes(4, "big"),
                bytes((context_id, _LAST)),
                data,
            )
        )
    return _cut(context_id, _COMMAND, command, room) + _cut(context_id, 0, data, room)


class PduFrame:
    """A reusable send buffer for one peer maximum: `holes` are filled with data set bytes, `finish` makes PDUs of them.

    Use: write the command in front with `begin`, fill `holes` in order with up to `capacity` bytes, call `finish` with
    the number of filled bytes; send the view; `reopen` and repeat until the data set has ended.
    """

    __slots__ = ("_buffer", "_context", "_lead", "_lead_length", "_payload", "_view", "capacity", "holes")

    LEAD = 4096

    def __init__(self, peer_max: int, size: int = 1 << 20) -> None:
        self._payload = payload_limit(peer_max)
        count = max(1, size // (self._payload + HEADER))
        self.capacity = count * self._payload
        self._buffer = bytearray(self.LEAD + count * (self._payload + HEADER))
        self._view = memoryview(self._buffer)
        self._context = 0
        self._lead_length = 0
        self.holes = [
            self._view[start + HEADER : start + HEADER + self._payload]
            for start in range(self.LEAD, len(self._buffer), self._payload + HEADER)
        ]

    def begin(self, context_id: int, command: bytes) -> None:
        """Begin a new message: its command is sent before the first data."""
        if context_id != self._context:
            self._context = context_id
            for start in range(self.LEAD, len(self._buffer), self._payload + HEADER):
                self._write_header(start, 0, self._payload)
        pdus = _cut(context_id, _COMMAND, command, self._payload)
        if len(pdus) > self.LEAD:
            raise ValueError("command set too long to send")
        self._lead_length = len(pdus)
        self._buffer[self.LEAD - len(pdus) : self.LEAD] = pdus

    def finish(self, filled: int, *, is_end: bool) -> memoryview:
        """The PDUs of the `filled` bytes; the holes may be filled again once they are sent, after `reopen`."""
        full, rest = divmod(filled, self._payload)
        whole = full if rest or not is_end or not full else full - 1
        tail = rest if rest or not full else self._payload
        stop = self.LEAD + full * (self._payload + HEADER)
        if is_end or rest:
            start = self.LEAD + whole * (self._payload + HEADER)
            self._write_header(start, _LAST if is_end else 0, tail)
            stop = start + HEADER + tail
        first = self.LEAD - self._lead_length
        self._lead_length = 0
        return self._view[first:stop]

    def reopen(self, filled: int) -> None:
        """Restore the header that `finish` shortened."""
        index = max(0, (filled - 1) // self._payload) if filled else 0
        self._write_header(self.LEAD + index * (self._payload + HEADER), 0, self._payload)

    def _write_header(self, start: int, control: int, length: int) -> None:
        _pdu_into(self._buffer, start, 4, 0, length + 6, length + 2, self._context, control)
