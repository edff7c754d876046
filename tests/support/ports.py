"""Free ports of this machine, for servers of tests."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

_PORTS = range(15000, 32000)
"""Below the ports that the kernel assigns to clients."""


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive free ports. No other caller on this machine gets them for a while, since it may
    take time until a server listens on them."""
    with Path(tempfile.gettempdir(), f"gantry-test-ports-{os.getuid()}").open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        first = int(counter.read() or _PORTS.start)
        while not _free(first, count):
            first = first + 1 if first + count < _PORTS.stop else _PORTS.start
        counter.truncate(0)
        counter.write(str(first + count))
    return first


def _free(first: int, count: int) -> bool:
    if first + count > _PORTS.stop:
        return False
    with ExitStack() as sockets:
        try:
            for port in range(first, first + count):
                sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
