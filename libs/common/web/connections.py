"""HTTP connections: their number, their deadlines, and the headers of every answer.

There is a reserve for probes: if all connections are taken, a few more may ask for health and metrics, if they come
from an address that holds few. A supervisor must not mistake a full process for a dead one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.web.access import address_of
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.headers import combined
from gantry.common.web.progress import SLOWEST, Progress, unsent

logger = get_logger("web")

PROBE_RESERVE = 32
"""Connections beyond the limit that may ask for health and metrics."""
_PROBES_OF_ONE = 4
"""An address that holds this many connections already may not use the reserve."""
_PROBE_SECONDS = 5.0
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # RFC 9111 4.2.2: a shared cache may store answers without directives, but those by a cookie are for one reader
    # only.
    "Cache-Control": "no-store",
}
"""Default headers of answers."""
_FULL = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\n"
    f"Cache-Control: no-store\r\nRetry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n"
    "all connections are in use.\n"
).encode()

_silent = logging.getLogger("gantry.web.silent")
_silent.disabled = True


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Sizes in bytes, times in seconds. `header_deadline` runs from the connection, or the end of the answer before, to
    a complete request header; `stall` is how long a body may stall, in either direction. Addresses in `proxies` have no
    limit per address: they act for many clients."""

    max_connections: int = 1000
    max_per_address: int = 256
    max_header: int = 16384
    header_deadline: float = 30.0
    stall: float = 60.0
    cors_origins: tuple[str, ...] = ()
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    def may_hold(self, address: str, held: int) -> bool:
        """Whether an address that has `held` connections may have one more."""
        return held < self.max_per_address or self._is_proxy(address)

    def _is_proxy(self, text: str) -> bool:
        address = address_of(text)
        return address is not None and any(address in network for network in self.proxies)


class Capacity(Enum):
    """What a new connection may request."""

    ANYTHING = auto()
    PROBES = auto()
    NONE = auto()


class Connections:
    """The open connections."""

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._open: dict[object, str] = {}
        self._per_address: Counter[str] = Counter()
        self._seldom = RateLimited()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: object, address: str) -> Capacity:
        """Register a connection. Whatever the result, the caller must call `leave` at its end."""
        others, held = len(self._open), self._per_address[address]
        self._open[connection] = address
        self._per_address[address] += 1
        if others < self._limits.max_connections and self._limits.may_hold(address, held):
            return Capacity.ANYTHING
        if others < self._limits.max_connections + PROBE_RESERVE and held < _PROBES_OF_ONE:
            return Capacity.PROBES
        return Capacity.NONE

    def times(self, connection: object, kind: str) -> int:
        """How often to log now about the address of a connection; mostly not at all."""
        return self._seldom.times((self._open.get(connection, ""), kind), asyncio.get_running_loop().time())

    def leave(self, connection: object) -> None:
        """A connection has closed."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]


def as_response(problem: HttpProblem) -> web.Response:
    """A status and a line; closes the connection if the problem's headers say so."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    response = web.Response(status=problem.status, text=f"{problem.line}\n", headers=headers)
    if headers.get("Connection") == "close":
        response.force_close()
    return response


class HttpRequest(web.BaseRequest):
    """A request whose header fields are combined as in RFC 9110. `problem` is what is wrong with them, if anything."""

    problem: HttpProblem | None = None

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Set the headers of every answer: browsers must not guess media types, pages of other sites must not show our
        answers, and caches must not store them without permission."""
        for name, value in _ALWAYS.items():
            response.headers.setdefault(name, value)
        # aiohttp puts its version and Python's there, which must not be disclosed.
        response.headers["Server"] = "Gantry"


def request_of(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> HttpRequest:
    """aiohttp's request factory."""
    problem: HttpProblem | None = None
    if message.version not in (HttpVersion10, HttpVersion11):
        problem = HttpProblem(505, "only HTTP/1.0 and HTTP/1.1 are served", {"Connection": "close"})
        message = message._replace(version=HttpVersion11, should_close=True)
    try:
        message = message._replace(headers=combined(message.headers))
    except ValueError as error:
        problem = HttpProblem(400, str(error), {"Connection": "close"})
    else:
        problem = problem or _unclear_length(message)
    request = HttpRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
    request.problem = problem
    return request


def _unclear_length(message: RawRequestMessage) -> HttpProblem | None:
    """What is wrong with the stated body length of a request, if a proxy before us may read it differently (request
    smuggling): RFC 9112 6.1 has no codings in HTTP/1.0, and an unknown one cannot be decoded."""
    coding = message.headers.get("Transfer-Encoding")
    if coding is None:
        return None
    if message.version == HttpVersion10:
        return HttpProblem(400, "HTTP/1.0 has no Transfer-Encoding", {"Connection": "close"})
    if coding.strip().lower() != "chunked":
        return HttpProblem(501, "Transfer-Encoding is chunked, and nothing besides", {"Connection": "close"})
    return None


class HttpConnection(web.RequestHandler):
    """A connection that is closed if no complete request header arrives in time, or an answer is not accepted."""

    def __init__(self, manager: web.Server, connections: Connections, limits: WebLimits, **arguments: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **arguments)
        self._connections = connections
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._socket: asyncio.Transport | None = None
        self.room = Capacity.ANYTHING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not a subclass of asyncio.Transport.
        self._socket = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.room = self._connections.enter(self, str(peer[0]) if peer else "")
        super().connection_made(transport)
        if self.room is Capacity.NONE:
            self._socket.write(_FULL)
            self.force_close()
        self.wait_for_header()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.stop_waiting()
        self._connections.leave(self)
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP. Neither the answer nor the log repeats them: they may contain names."""
        # An address that sends nothing else must not fill the disk.
        if times := self._connections.times(self, type(exc).__name__):
            logger.warning("not an HTTP request", status=status, error=type(exc).__name__, count=times)
        response = as_response(
            HttpProblem(status, "internal error" if status >= 500 else "this is not an HTTP request")
        )
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of the response. The deadline for the next header runs from here."""
        if self._socket is None:
            return await super().finish_response(request, resp, start_time)
        try:
            with Progress(self._socket, self._limits.stall):
                return await super().finish_response(request, resp, start_time)
        finally:
            self.wait_for_header()

    def wait_for_header(self) -> None:
        """Start the deadline for a request header."""
        self.stop_waiting()
        if self._socket is not None:
            self._unsent = unsent(self._socket)
            seconds = self._limits.header_deadline
            if self.room is not Capacity.ANYTHING:
                seconds = min(seconds, _PROBE_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def stop_waiting(self) -> None:
        """Stop the deadline: a request has arrived, or none can."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self._socket is None:
            return
        left = unsent(self._socket)
        if left and left <= self._unsent - SLOWEST * self._limits.header_deadline:
            self.wait_for_header()  # the client is still receiving the last answer
        else:
            self._socket.abort()


class HttpConnectionFactory(web.Server):
    """Makes a `HttpConnection` for each connection."""

    def __init__(self, handle: Callable[[Any], Awaitable[Any]], connections: Connections, limits: WebLimits) -> None:
        self._arguments: dict[str, Any] = {
            "keepalive_timeout": limits.header_deadline,
            "access_log": None,
            "logger": _silent,  # it would log requests whole
            "max_line_size": limits.max_header,
            "max_field_size": limits.max_header,
            "auto_decompress": False,  # a body is inflated, if at all, under a limit of ours
        }
        super().__init__(handle, request_factory=request_of, handler_cancellation=True, **self._arguments)
        self._web_connections = connections
        self._limits = limits

    def __call__(self) -> HttpConnection:
        return HttpConnection(self, self._web_connections, self._limits, **self._arguments)
