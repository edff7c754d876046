"""HTTP over TLS, beside the plain port (PS3.15 B.12): the same answers, for the same callers.

Clients need no certificate: people would have to choose one in their browsers, and machines have tokens. The handshake
must end before HTTP begins, within a deadline; a failed one is logged with the address and the reason.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from gantry.common.errors import ConfigError
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.incoming import handshake_words
from gantry.common.net.proxy import Origin
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.connections import HttpConnectionFactory, WebLimits
from gantry.common.web.server import in_words

__all__ = ["HttpsPort"]

logger = get_logger("web")

_HANDSHAKE_SECONDS = 10.0


class HttpsPort:
    """A port that speaks TLS; after the handshake its connections are handled like those of the plain port."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        limits: WebLimits,
        deadline: float = _HANDSHAKE_SECONDS,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """`context` is called for each connection, so that a renewed certificate applies at once; `failed` is called
        for each failed handshake. Times in seconds."""
        self._context = context
        self._limits = limits
        self._deadline = deadline
        self._failed = failed
        self._shaking: dict[asyncio.Task[None], str] = {}
        self._of_one: Counter[str] = Counter()
        self._acceptor: Acceptor | None = None

    def open(self, host: str, port: int, connections: HttpConnectionFactory) -> int:
        """Listen; returns the port. Raises `ConfigError`."""
        try:
            sock = listen(host, port, 1024)
        except OSError as error:
            raise ConfigError("http.tls_port", None, f"cannot listen on port {port}: {in_words(error)}") from error

        def take(accepted: socket.socket, origin: Origin) -> None:
            self._take(accepted, origin.address, connections)

        self._acceptor = Acceptor(sock, take, lambda address, why: None)
        bound: int = sock.getsockname()[1]
        logger.info("listening", port=bound, tls=True)
        return bound

    async def close(self) -> None:
        """Close the port, and connections before their first request."""
        if self._acceptor is not None:
            self._acceptor.close()
        await end_tasks(*self._shaking)

    def _take(self, sock: socket.socket, address: str, connections: HttpConnectionFactory) -> None:
        # Silent clients may hold as many handshakes as connections; the limits of connections apply after it.
        may_hold = self._limits.may_hold(address, self._of_one[address])
        if len(self._shaking) >= self._limits.max_connections or not may_hold:
            sock.close()
            self._report_refusal(address, "TLS: too many handshakes at once")
            return
        task = asyncio.get_running_loop().create_task(self._handshake(sock, address, connections))
        self._shaking[task] = address
        self._of_one[address] += 1
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        address = self._shaking.pop(task)
        self._of_one[address] -= 1
        if not self._of_one[address]:
            del self._of_one[address]

    async def _handshake(self, sock: socket.socket, address: str, connections: HttpConnectionFactory) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                connections, sock, ssl=self._context(), ssl_handshake_timeout=self._deadline
            )
        except (OSError, TimeoutError) as error:
            with suppress(OSError):
                sock.close()
            self._report_refusal(address, handshake_words(error))

    def _report_refusal(self, address: str, why: str) -> None:
        self._failed()
        logger.warning("connection refused", peer=address, reason=why)
