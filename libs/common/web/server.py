"""One HTTP server for a process: paths that are open to all, and DICOMweb for authorised callers.

A request passes, in this order: the limits of its connection, CORS preflight, access, the routing table, the handler of
the role. An error of a handler becomes a status and a line (`errors`); an unexpected exception is logged here, with its
stack trace, and answered 500 without it. A client that disconnects cancels the handler.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn
from urllib.parse import urlsplit

from aiohttp import web

from gantry.common.access import EVERYTHING, SIGHT
from gantry.common.clock import SystemClock
from gantry.common.errors import ConfigError, DependencyUnavailable, GantryError
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.spans import Tracer
from gantry.common.telemetry.traces import is_trace
from gantry.common.web.access import AccessControl, Caller
from gantry.common.web.bodies import BEGUN, CORS
from gantry.common.web.connections import (
    Capacity,
    Connections,
    HttpConnection,
    HttpConnectionFactory,
    HttpRequest,
    WebLimits,
    as_response,
)
from gantry.common.web.endings import Endings, is_stream
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem, problem_of
from gantry.common.web.permitted import require
from gantry.common.web.rates import CallerRates
from gantry.common.web.routes import BASE, Match, Resource, WebRole, allowed, find, is_ours, is_page

logger = get_logger("web")

Handler = Callable[[web.BaseRequest, Match], Awaitable[web.StreamResponse]]
OpenHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Observer = Callable[[str, int, float], None]
"""Called for each DICOMweb request with resource, status and seconds."""

Witness = Callable[[web.BaseRequest, Match | None, int, str], None]
"""Called at the end of each DICOMweb request, with its resource (None if there is none), the status of its answer, and
why it was refused."""

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
"""The caller of an admitted request."""
ENDING: web.RequestKey[asyncio.Event] = web.RequestKey("ending", asyncio.Event)
"""Set when this process drains, or the caller loses access: endless answers end then (`endings`)."""
TRACE: web.RequestKey[str] = web.RequestKey("trace", str)
"""The traceparent of an admitted request: a child of the caller's, if it brought one."""
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_FULL = HttpProblem(503, "all connections are in use", {"Retry-After": str(RETRY_AFTER_SECONDS), "Connection": "close"})
_EXPOSED = "ETag, Location, Content-Location, Warning, Link, Content-Range, Accept-Ranges, Retry-After"


__all__ = [
    "CALLER",
    "ENDING",
    "TRACE",
    "Handler",
    "OpenHandler",
    "WebLimits",
    "WebServer",
    "Witness",
    "add_cors",
    "in_words",
    "is_own_origin",
]


def in_words(error: OSError) -> str:
    """The system's reason, without asyncio's sentence around it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


class WebServer:
    """A component of the lifecycle. Handlers may be added at any time before requests for them arrive."""

    name = "http"

    def __init__(
        self,
        host: str,
        port: int,
        open_paths: Mapping[str, OpenHandler],
        access: AccessControl,
        limits: WebLimits | None = None,
        observe: Observer = lambda *_: None,
        witness: Witness = lambda *_: None,
        tracer: Tracer | None = None,
        rates: CallerRates | None = None,
    ) -> None:
        """`open_paths` are answered without access control: health and metrics. `rates` limit callers; they do not
        count the page's own files."""
        self.port = port
        self.limits = limits or WebLimits()
        self._host = host
        self._open = dict(open_paths)
        self._access = access
        self._observe = observe
        self._witness = witness
        self._tracer = tracer or Tracer(SystemClock())
        self._rates = rates
        self._handlers: dict[Resource, Handler] = {}
        self._expected: dict[WebRole, Callable[[], str]] = {}
        self._protocols: HttpConnectionFactory | None = None
        self._listening: list[asyncio.Server] = []
        self.connections = Connections(self.limits)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._endings = Endings(SystemClock())
        self._looking: asyncio.Task[None] | None = None

    def serve(self, handlers: Mapping[Resource, Handler]) -> None:
        """Answer these resources from now on."""
        self._handlers.update(handlers)

    def expect(self, service: WebRole, why: Callable[[], str]) -> None:
        """This process will serve a role. Until `serve` adds its handlers, requests for its resources are answered 503
        with `why`, and not as missing."""
        self._expected[service] = why

    # ---- the lifecycle's side

    def begin(self) -> None:
        """Answer from now on, without listening: for a server whose requests another one passes to it."""
        self._looking = asyncio.create_task(self._endings.run())

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen, on `sockets` if they are given. Raises `ConfigError`."""
        self._protocols = HttpConnectionFactory(self.handle, self.connections, self.limits)
        loop = asyncio.get_running_loop()
        try:
            if sockets:
                self._listening = [await loop.create_server(self._protocols, sock=sock) for sock in sockets]
            else:
                self._listening = [await loop.create_server(self._protocols, self._host, self.port, backlog=1024)]
        except OSError as error:
            raise ConfigError("http", None, f"cannot listen on port {self.port}: {in_words(error)}") from error
        self.port = self._listening[0].sockets[0].getsockname()[1]
        self.begin()

    async def drain(self) -> None:
        """Wait for current requests; new DICOMweb requests are refused. Probes are answered until the end."""
        self._endings.end_all()
        await self._idle.wait()

    async def close(self) -> None:
        await end_tasks(self._looking)
        for server in self._listening:
            server.close()
        if self._protocols is not None:
            self._protocols.pre_shutdown()  # idle connections end now: `shutdown` would wait for them
            await self._protocols.shutdown(1.0)

    # ---- requests

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        connection = request.protocol
        assert isinstance(connection, HttpConnection)
        assert isinstance(request, HttpRequest)
        connection.stop_waiting()
        if request.problem is not None:
            return as_response(request.problem)
        path = request.rel_url.raw_path
        if path in self._open:
            response = await self._open_path(request, self._open[path])
        elif connection.room is not Capacity.ANYTHING:
            response = as_response(_FULL)
        else:
            return await self.answer(request, path)
        if connection.room is not Capacity.ANYTHING:
            response.force_close()  # frees the reserve for another probe
        return response

    async def _traced(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Call the handler, as a span of the caller's trace."""
        parent = request.headers.get("traceparent", "")
        trace = request[TRACE] = self._tracer.child_of(parent)
        name = f"{request.method} {match.resource.name.lower()}"
        with self._tracer.span(name, trace, parent if is_trace(parent) else "") as fields:
            try:
                response = await self._handler(match)(request, match)
            except GantryError as error:
                fields["status"] = problem_of(error).status
                if problem_of(error).status >= 500:
                    raise
                refused = error
            else:
                fields["status"] = response.status
                return response
        # The caller's fault is not an error of ours: the span ends without one.
        raise refused

    async def _open_path(self, request: web.BaseRequest, handler: OpenHandler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return as_response(HttpProblem(405, "only GET and HEAD", {"Allow": "GET, HEAD"}))
        return await handler(request)

    async def answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer a request for anything but an open path, as if it had been sent to `path`. Listening is not needed."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        self._under_way += 1
        self._idle.clear()
        resource, status, why, match = "none", 500, "", None
        cors = self._cors(request)
        try:
            try:
                # OPTIONS of the base asks for the capabilities (PS3.18 8.9); with the header, it is a preflight.
                if request.method == "OPTIONS" and (path != BASE or "Access-Control-Request-Method" in request.headers):
                    response: web.StreamResponse = _options(request, path, cors)
                else:
                    request[CORS] = cors
                    with self._endings.begun() as request[ENDING]:
                        match = await self._admitted(request, path)
                        resource = match.resource.name.lower()
                        response = await self._traced(request, match)
            except GantryError as error:
                if request.get(BEGUN):
                    logger.warning("answer broke off", resource=resource, error=str(error))
                    _cut(request)
                response, why = as_response(problem_of(error)), problem_of(error).line
                if response.status >= 500:
                    logger.warning("request failed", resource=resource, status=response.status, error=str(error))
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:
                logger.exception("request failed", resource=resource)
                if request.get(BEGUN):
                    _cut(request)
                response = as_response(HttpProblem(500, "internal error"))
            status = response.status
            if not response.prepared:
                add_cors(response, cors)
            return response
        finally:
            SIGHT.set(EVERYTHING)  # the next request of this connection, such as a probe, is in the same task
            self._observe(resource, status, clock() - begun)
            self._witness(request, match, status, why)
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _admitted(self, request: web.BaseRequest, path: str) -> Match:
        if not is_ours(path):
            raise HttpProblem(404, "no such resource")
        _refuse_foreign_pages(request, path)
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        address = str(peer[0]) if peer else ""
        self._access.check_origin(address, request.headers, request.method, request.raw_path, _own_address(request))
        if is_page(path):
            caller = self._access.admit_to_page(address, request.headers)
        else:
            caller = await self._access.identify(address, request.headers, request.method)
        request[CALLER] = caller
        SIGHT.set(caller.sight)
        if self._endings.all_end:
            raise HttpProblem(503, "this process is shutting down", {"Retry-After": "1", "Connection": "close"})
        if self._rates is not None and not is_page(path):
            self._rates.require(caller, asyncio.get_running_loop().time())
        match = find("GET" if request.method == "OPTIONS" else request.method, path)
        require(caller, match.resource)
        if match.resource is Resource.CHANGES or is_stream(request):
            self._endings.watch(request[ENDING], partial(self._still_admitted, request, match, address))
        return match

    async def _still_admitted(self, request: web.BaseRequest, match: Match, address: str) -> bool:
        """Whether the caller of an endless answer would still be admitted to it now."""
        try:
            caller = await self._access.identify(address, request.headers, request.method)
            require(caller, match.resource)
        except HttpProblem:
            return False
        except DependencyUnavailable:
            return True  # cannot be determined
        before = request[CALLER]
        return (caller.identity, caller.sight, caller.verbs) == (before.identity, before.sight, before.verbs)

    def _handler(self, match: Match) -> Handler:
        handler = self._handlers.get(match.resource)
        if handler is not None:
            return handler
        service = match.resource.service
        if service in self._expected:
            raise HttpProblem(503, self._expected[service](), {"Retry-After": str(RETRY_AFTER_SECONDS)})
        raise HttpProblem(404, f"not served by this process: it is of the role {service.value}")

    def knows_the_token_of(self, request: web.BaseRequest) -> bool:
        """Whether a request has a bearer token that may be known: from our file, or from an issuer of ours."""
        return self._access.may_know(request.headers)

    def _cors(self, request: web.BaseRequest) -> dict[str, str]:
        """The headers of the Fetch standard's CORS protocol; none if the origin is not configured."""
        origin = request.headers.get("Origin", "")
        if not origin or not ({origin, "*"} & set(self.limits.cors_origins)):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": _EXPOSED}


def _own_address(request: web.BaseRequest) -> tuple[str, int]:
    """The address that a request came to."""
    ours = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return (str(ours[0]), int(ours[1])) if ours else ("::", 0)


def add_cors(response: web.StreamResponse, cors: Mapping[str, str]) -> None:
    """Add CORS headers to a response that is not sent yet."""
    vary = response.headers.get("Vary")
    response.headers.update(cors)
    if vary and cors:
        response.headers["Vary"] = f"{vary}, Origin"


def _refuse_foreign_pages(request: web.BaseRequest, path: str) -> None:
    """A page of another site may neither show our pictures nor cause work, unless its origin is allowed (CORS). A link
    to the study list may be followed (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/). Raises `HttpProblem`
    403."""
    if request.get(CORS):
        return
    site = request.headers.get("Sec-Fetch-Site", "").lower()
    foreign = site == "cross-site"
    if request.method not in _SAFE and not foreign:
        # A page on another port of this machine is "same-site"; an older browser states only its origin.
        foreign = site == "same-site" or (not site and not is_own_origin(request))
    if not foreign:
        return
    if is_page(path) and request.headers.get("Sec-Fetch-Mode", "") == "navigate":
        return
    raise HttpProblem(403, "pages of other sites may not ask; http.cors_origins names those that may")


def is_own_origin(request: web.BaseRequest) -> bool:
    """Whether the origin is this server's, or not stated. A proxy may pass on the host without its port."""
    origin = request.headers.get("Origin", "")
    if not origin:
        return True
    url, ours = urlsplit(origin), urlsplit(f"//{request.headers.get('Host', '')}")
    if request.headers.keys() & {"X-Forwarded-For", "Forwarded"}:
        return url.hostname == ours.hostname
    return bool(url.netloc) and url.netloc.lower() == ours.netloc.lower()


def _options(request: web.BaseRequest, path: str, cors: Mapping[str, str]) -> web.Response:
    """The methods of a path, without access control, since a preflight carries no token (Fetch 3.2.2)."""
    if not is_ours(path):
        raise HttpProblem(404, "no such resource")
    methods = allowed(path)
    headers = {"Allow": methods}
    if cors:
        names = request.headers.get("Access-Control-Request-Headers", "")
        headers |= {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": names or "Accept, Authorization, Content-Type, If-None-Match, Range",
            "Access-Control-Max-Age": "600",
        }
    return web.Response(status=204, headers=headers)


def _cut(request: web.BaseRequest) -> NoReturn:
    """Abort the connection, so that the client sees that the answer is incomplete."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("the answer broke off")
