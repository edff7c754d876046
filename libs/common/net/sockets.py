"""Options of all our TCP sockets, in either role."""

from __future__ import annotations

import socket
from contextlib import suppress

_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
"""Seconds of silence, seconds between probes, probes."""


def tune(sock: socket.socket) -> None:
    """Send written bytes at once (TCP_NODELAY), and detect within two minutes a peer that vanished silently (switched
    off, or behind a firewall that has dropped its state)."""
    with suppress(OSError):  # not TCP, or the peer has closed already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
