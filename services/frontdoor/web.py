"""DICOMweb through the door: forwards to a process of the role that serves the path, streaming in both directions.

The door checks the token as a service does, before it forwards anything. It names the caller to the service by
X-Forwarded-For, which the service trusts from addresses in its `http.proxy_from`. With a shared key the door adds a
proof, and the service trusts nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gantry.common.clock import Clock
from gantry.common.errors import ConnectionFailed
from gantry.common.telemetry.logs import get_logger
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.endings import is_stream, is_websocket
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.origins import PROOF
from gantry.common.web.routes import BASE, Match, Resource, WebRole
from gantry.common.web.server import CALLER, ENDING, Handler
from gantry.common.web.targets import host_in, target_of
from gantry.common.web.urls import PROTO, scheme_of
from gantry.services.frontdoor.backends import Backend, Backends
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.shadow.web import WebMirror, WebShadow
from gantry.services.frontdoor.shadow.web_stores import WebStore, WebStores
from gantry.services.frontdoor.web_sockets import relay
from gantry.services.process.door_key import OriginProver

logger = get_logger("door")

_POOLS = {role: Pool(role.value) for role in WebRole}
# RFC 9110 7.6.1: headers of one connection only. CORS headers are set by the door, not by the service.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "forwarded", "x-forwarded-for", PROOF.lower()),
    )
)
TARGET: web.RequestKey[str] = web.RequestKey("target", str)
"""The target of a request with its query, if it differs from the one sent: without the path of a partition."""
_CHUNK = 1 << 18
_SOCKETS = (Resource.CHANGE_FEED, Resource.WORKITEM_EVENTS)
"""Resources that may be read over a WebSocket."""
_OF_ONE_PROCESS = (Resource.TRANSFER, Resource.CANCEL_TRANSFER)
"""Resources that only the process that created them knows."""


class Forwarder:
    """Forwards requests to the backends that were discovered."""

    def __init__(
        self,
        backends: Backends,
        clock: Clock,
        connect_timeout: float,
        stall: float,
        prover: OriginProver | None = None,
    ) -> None:
        """Times in seconds; `stall` is how long a body may stall. `prover` proves the caller's address to the
        services."""
        self._prover = prover
        self._backends = backends
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=stall)
        self._stall = stall
        self._session: aiohttp.ClientSession | None = None
        self.shadow: WebShadow | None = None
        """Repeats requests that read at another archive."""
        self.shadow_stores: WebStores | None = None
        """Repeats requests that store at another archive."""

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server: every resource is forwarded."""
        return dict.fromkeys(Resource, self.forward)

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def forward(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Try one process after the other, until one accepts the request. Raises `HttpProblem` 502, 503."""
        if match.resource in _OF_ONE_PROCESS:
            return await self._find(request, match)
        begun = self._clock.monotonic()
        store = self._store(request, match, begun)
        try:
            return await self._forward(request, match, begun, store)
        finally:
            if store is not None:
                store.ended(whole=False)  # has no effect if it has ended already

    async def _forward(
        self, request: web.BaseRequest, match: Match, begun: float, store: WebStore | None
    ) -> web.StreamResponse:
        pool = _POOLS[match.resource.service]
        for backend in self._backends.candidates([pool], self._clock.monotonic()):
            try:
                if match.resource in _SOCKETS and is_websocket(request):
                    return await self._relay(request, backend)
                response = await self._ask(request, backend, store)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                self._backends.failed(backend, self._clock.monotonic())
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.warning("backend broke off", pool=pool, backend=backend.name, error=type(error).__name__)
                raise HttpProblem(502, f"the {pool} service broke off") from error
            mirror = store if _stores(request, match) else self._mirror(request, match, pool, begun)
            return await self._answer(request, response, backend, endless=_is_endless(request, match), mirror=mirror)
        raise HttpProblem(503, f"no {pool} service can be reached", {"Retry-After": str(RETRY_AFTER_SECONDS)})

    def _store(self, request: web.BaseRequest, match: Match, begun: float) -> WebStore | None:
        """The mirror of a request that stores, in shadow mode."""
        if self.shadow_stores is None or not _stores(request, match):
            return None
        target = request.get(TARGET) or target_of(request)
        return self.shadow_stores.mirror(target.removeprefix(BASE), request.headers, begun)

    def _mirror(self, request: web.BaseRequest, match: Match, pool: Pool, begun: float) -> WebMirror | None:
        """The mirror of a request that reads, in shadow mode."""
        if self.shadow is None:
            return None

        async def retry() -> aiohttp.ClientResponse:
            for backend in self._backends.candidates([pool], self._clock.monotonic()):
                return await self._ask(request, backend)
            raise ConnectionFailed(f"no {pool} service is known")

        target = request.get(TARGET) or target_of(request)
        return self.shadow.mirror(request.method, match, target, request.headers, retry, begun)

    async def _find(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Try all processes for a resource that one of them has; 404 if none has it, 503 if one was not reached."""
        pool, absent, unasked = _POOLS[match.resource.service], None, False
        for backend in self._backends.candidates([pool], self._clock.monotonic()):
            try:
                response = await self._ask(request, backend)
            except (aiohttp.ClientError, TimeoutError):
                unasked = True
                continue
            if response.status != 404:
                return await self._answer(request, response, backend, endless=False)
            absent = await response.text()
        if absent is None or unasked:
            line = f"not every {pool} service can be reached"
            raise HttpProblem(503, line, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        raise HttpProblem(404, absent.strip())

    async def _relay(self, request: web.BaseRequest, backend: Backend) -> web.StreamResponse:
        url = URL(f"http://{backend.name}{request.get(TARGET) or target_of(request)}", encoded=True)
        backend.last_chosen = self._clock.monotonic()
        backend.open += 1
        try:
            headers = self._request_headers(request, url, backend)
            return await relay(request, self._opened(), url, headers, self._clock, self._stall)
        finally:
            backend.open -= 1

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=self._timeout)
        return self._session

    async def _ask(
        self, request: web.BaseRequest, backend: Backend, store: WebStore | None = None
    ) -> aiohttp.ClientResponse:
        backend.last_chosen = self._clock.monotonic()
        url = URL(f"http://{backend.name}{request.get(TARGET) or target_of(request)}", encoded=True)
        return await self._opened().request(
            request.method,
            url,
            headers=self._request_headers(request, url, backend),
            data=_body(request, store) if request.body_exists else None,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            allow_redirects=False,
        )

    def _request_headers(self, request: web.BaseRequest, url: URL, backend: Backend) -> CIMultiDict[str]:
        """The headers for one try at one backend: a proof is valid once, and only there."""
        headers = CIMultiDict((n, v) for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP)
        if host := host_in(request):
            headers["Host"] = host
        headers[PROTO] = scheme_of(request)
        forwarded = headers["X-Forwarded-For"] = str(request[CALLER].address or "unknown")
        if self._prover is not None:
            headers[PROOF] = self._prover.request(request.method, url.raw_path_qs, forwarded, backend.address)
        return headers

    async def _answer(
        self,
        request: web.BaseRequest,
        response: aiohttp.ClientResponse,
        backend: Backend,
        *,
        endless: bool,
        mirror: WebMirror | WebStore | None = None,
    ) -> web.StreamResponse:
        """Forward an answer. An `endless` one ends when the door drains: the client then reconnects elsewhere."""
        backend.open += 1
        ending = asyncio.ensure_future(request[ENDING].wait()) if endless else None
        if ending is not None:
            ending.add_done_callback(lambda _: response.close())
        out = BodyWriter(request, self._stall)
        whole = False
        try:
            if mirror is not None:
                mirror.began(response.status, response.headers)
            if await out.begin(response.status, _answered(response.headers)):
                async for chunk in response.content.iter_chunked(_CHUNK):
                    await out.write(chunk)
                    if mirror is not None:
                        mirror.observe_response_bytes(chunk)
            ended = await out.end()
            whole = True
            return ended
        except (aiohttp.ClientError, TimeoutError) as error:
            if ending is not None and request[ENDING].is_set():
                return await out.end()
            # Part of the answer has been sent: cutting the connection shows the client that it is incomplete.
            logger.warning("backend broke off", pool=backend.pool, backend=backend.name, error=type(error).__name__)
            out.cut()
            raise ConnectionResetError("backend broke off") from error
        finally:
            backend.open -= 1
            if mirror is not None:
                mirror.ended(whole=whole)
            if ending is not None:
                ending.cancel()
            response.close() if not response.content.is_eof() else response.release()


def _is_endless(request: web.BaseRequest, match: Match) -> bool:
    """Whether the answer continues until one side ends it."""
    return match.resource is Resource.CHANGES or is_stream(request)


def _answered(headers: Mapping[str, str]) -> CIMultiDict[str]:
    fields = CIMultiDict[str]()
    for name, value in headers.items():
        if name.lower() not in _HOP_BY_HOP and not name.lower().startswith("access-control-"):
            fields.add(name, value)
    return fields


def _stores(request: web.BaseRequest, match: Match) -> bool:
    """Whether it is STOW-RS."""
    target = request.get(TARGET) or target_of(request)
    return match.resource is Resource.STORE and request.method == "POST" and target.startswith(f"{BASE}/")


async def _body(request: web.BaseRequest, store: WebStore | None) -> AsyncIterator[bytes]:
    """The body as it arrives; the service validates it."""
    async for chunk in request.content.iter_any():
        yield chunk
        if store is not None:
            store.observe_request_bytes(chunk)
    if store is not None:
        store.end_request()
