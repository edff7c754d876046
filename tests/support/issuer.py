"""An identity provider over HTTP on this machine: discovery, keys that change, and tokens."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey


class TestIssuer:
    """`fetches` counts the answers with keys; `answer` replaces them."""

    __test__ = False

    def __init__(self) -> None:
        self.keys = {"k1": RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})}
        self.fetches = 0
        self.answer: bytes | None = None
        self.port = 0
        self.discovered: dict[str, Any] = {}
        self.hold: asyncio.Event | None = None
        self.said: dict[str, dict[str, Any]] = {}
        """The answers about tokens; all other tokens are not active."""
        self.asked: list[str] = []
        self.refuses: int | None = None
        self.patients: dict[str, dict[str, Any]] = {}
        """The Patients of its health record, by id."""
        self.read: list[tuple[str, str]] = []
        """Which Patients were requested, and with which token."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/h"

    def token(
        self, key: str = "k1", *, algorithm: str = "RS256", signer: Any = None, kind: str = "", **claims: Any
    ) -> str:
        now = int(time.time())
        body = {"iss": self.url, "aud": "gantry", "sub": "u1", "exp": now + 300, "iat": now, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        header = {"alg": algorithm, "kid": key} | ({"typ": kind} if kind else {})
        return jwt.encode(header, body, signer or self.keys[key], [algorithm])

    def rotate(self, old: str, new: str) -> None:
        self.keys[new] = RSAKey.generate_key(2048, {"kid": new, "use": "sig"})
        if old:
            del self.keys[old]

    async def _keys(self, _: web.Request) -> web.Response:
        self.fetches += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.answer is not None:
            return web.Response(body=self.answer, content_type="application/json")
        keys = [key.as_dict(private=False) for key in self.keys.values()]
        return web.Response(body=json.dumps({"keys": keys}).encode(), content_type="application/jwk-set+json")

    async def _introspection(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(str(form["token"]))
        if self.hold is not None:
            await self.hold.wait()
        if self.refuses is not None:
            return web.Response(status=self.refuses)
        if self.answer is not None:
            return web.Response(body=self.answer, content_type="application/json")
        # "checker" with the secret "s:1/"
        if request.headers.get("Authorization") != "Basic Y2hlY2tlcjpzJTNBMSUyRg==":
            return web.Response(status=401)
        return web.json_response(self.said.get(str(form["token"]), {"active": False}))

    @property
    def fhir_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    async def _patient(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self.read.append((name, request.headers.get("Authorization", "").removeprefix("Bearer ")))
        if self.hold is not None:
            await self.hold.wait()
        if self.refuses is not None:
            return web.Response(status=self.refuses)
        if self.answer is not None:
            return web.Response(body=self.answer, content_type="application/fhir+json")
        if name not in self.patients:
            return web.Response(status=404)
        return web.json_response({"resourceType": "Patient", "id": name, **self.patients[name]})

    async def _discovery(self, _: web.Request) -> web.Response:
        document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "introspection_endpoint": f"{self.url}/ask",
            **self.discovered,
        }
        return web.json_response(document)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve, on the same port as before, if there was one."""
        app = web.Application()
        app.router.add_get("/realms/h/keys", self._keys)
        app.router.add_get("/realms/h/.well-known/openid-configuration", self._discovery)
        app.router.add_post("/realms/h/ask", self._introspection)
        app.router.add_get("/fhir/Patient/{id}", self._patient)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield
        finally:
            await runner.cleanup()


@contextmanager
def in_a_thread(issuer: TestIssuer) -> Iterator[None]:
    """The issuer for tests without an event loop."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with issuer.serving():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()
