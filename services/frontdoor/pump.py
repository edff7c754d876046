"""Forwards bytes between two connections, in both directions, until both have ended.

Back-pressure: one side is read only while the other accepts its bytes. An end is forwarded as it is: a half close as a
half close, a reset as a reset, so that neither side mistakes a broken connection for an orderly end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from gantry.services.frontdoor.wire import RawConnection

_CHUNK = 1 << 18
_workspace = memoryview(bytearray(_CHUNK))
"""Shared by all pumps of the process: bytes that the other side does not accept at once are copied."""


class TrafficListener(Protocol):
    """Gets the forwarded bytes. Its methods must neither raise nor wait; the bytes are valid only during the call."""

    def observe_request_bytes(self, data: memoryview) -> None:
        """Bytes from the front."""

    def observe_response_bytes(self, data: memoryview) -> None:
        """Bytes from the back."""


class Pump:
    """Two directions. `ended` is set when both sides have been closed."""

    def __init__(
        self, front: RawConnection, back: RawConnection, half_closed: float, listener: TrafficListener | None = None
    ) -> None:
        """After one side has ended, the other must end within `half_closed` seconds."""
        self._loop = asyncio.get_running_loop()
        self._wires = (front, back)
        self._half_closed = half_closed
        self._timer: asyncio.TimerHandle | None = None
        self.inwards = _Flow(self, front, back, listener.observe_request_bytes if listener is not None else None)
        self.outwards = _Flow(self, back, front, listener.observe_response_bytes if listener is not None else None)
        self.ended = asyncio.Event()
        self.outcome = ""

    def start(self, first: bytes = b"") -> None:
        """Begin; `first` holds bytes that the front has sent already."""
        self.inwards.start(first)
        self.outwards.start(b"")

    def cut(self, outcome: str) -> None:
        """End both sides now, so that they see it (RST)."""
        if self.ended.is_set():
            return
        self._close(outcome, reset=True)

    def end(self, outcome: str) -> None:
        """End both sides now, in order: forwarded bytes are not lost."""
        if self.ended.is_set():
            return
        for wire in self._wires:
            wire.shut()
        self._close(outcome, reset=False)

    def flow_ended(self) -> None:
        """One direction has forwarded its end."""
        if self.inwards.is_over and self.outwards.is_over:
            self._close("ended", reset=False)
        elif self._timer is None and not self.ended.is_set():
            self._timer = self._loop.call_later(self._half_closed, self.cut, "half closed for too long")

    def _close(self, outcome: str, *, reset: bool) -> None:
        self.outcome = outcome
        self.inwards.stop()
        self.outwards.stop()
        if self._timer is not None:
            self._timer.cancel()
        for wire in self._wires:
            wire.close(reset=reset)
        self.ended.set()


class _Flow:
    """One direction."""

    def __init__(
        self,
        pump: Pump,
        source: RawConnection,
        sink: RawConnection,
        tell: Callable[[memoryview], None] | None = None,
    ) -> None:
        self._pump = pump
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._source, self._sink = source, sink
        self._left = memoryview(b"")
        self._source_ended = False
        self._stopped = False
        self.is_over = False
        self.bytes = 0

    @property
    def is_behind(self) -> bool:
        """Whether bytes wait for the sink."""
        return bool(self._left)

    def start(self, first: bytes) -> None:
        self._loop.add_reader(self._source.fd, self._on_readable)
        if first:
            self.bytes += len(first)
            self._pass_on(memoryview(first))
        if self._source.pending:
            self._loop.call_soon(self._on_readable)

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._loop.remove_reader(self._source.fd)
            self._loop.remove_writer(self._sink.fd)

    def _on_readable(self) -> None:
        if self._stopped or self._left or self._source_ended:
            return
        try:
            count = self._fill()
        except OSError:
            self._pump.cut("lost")
            return
        if count:
            self.bytes += count
            self._pass_on(_workspace[:count])
        if self._source_ended:
            self._loop.remove_reader(self._source.fd)
            if not self._left:
                self._pass_the_end_on()
        elif not self._left and not self._stopped and self._source.pending:
            self._loop.call_soon(self._on_readable)

    def _fill(self) -> int:
        """Read available bytes into the workspace: several TLS records, which are then sent in one call."""
        filled = 0
        while filled < _CHUNK:
            try:
                count = self._source.recv_into(_workspace[filled:])
            except BlockingIOError:
                break
            if not count:
                self._source_ended = True
                break
            filled += count
            if not self._source.is_tls:
                break
        return filled

    def _pass_on(self, data: memoryview) -> None:
        self._send(data)
        if self._tell is not None:
            self._tell(data)  # after sending: a listener delays only the next bytes

    def _send(self, data: memoryview) -> None:
        try:
            sent = self._sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._pump.cut("lost")
            return
        if sent < len(data):
            self._left = memoryview(bytes(data[sent:]))
            self._loop.remove_reader(self._source.fd)
            self._loop.add_writer(self._sink.fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            self._left = self._left[self._sink.send(self._left) :]
        except BlockingIOError:
            return
        except OSError:
            self._pump.cut("lost")
            return
        if self._left:
            return
        self._loop.remove_writer(self._sink.fd)
        if self._source_ended:
            self._pass_the_end_on()
            return
        self._loop.add_reader(self._source.fd, self._on_readable)
        if self._source.pending:
            self._loop.call_soon(self._on_readable)

    def _pass_the_end_on(self) -> None:
        self._sink.shut()
        self.is_over = True
        self._pump.flow_ended()
