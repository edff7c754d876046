"""A real web server on this machine that receives objects by STOW-RS, and answers as a test wants."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pydicom
from aiohttp import web

from gantry.common.web.multipart import MultipartParser, PartBegan, PartEnded
from gantry.services.ingest.stow.response import StowOutcome, response_of, status_of


@dataclass
class Posted:
    """One request: its header, and the type and the content of each part."""

    path: str
    headers: dict[str, str]
    parts: list[tuple[str, bytes]]

    @property
    def uids(self) -> list[str]:
        return [str(pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID) for _, content in self.parts]


Answer = Callable[[Posted], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass
class StowServer:
    """The posted requests, in order. Instances in `refuses` fail with that reason; `answer` replaces the answer."""

    posted: list[Posted] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    answer: Answer | None = None
    unread: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None
    """Answers before the body is read."""
    port: int = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.unread is not None:
            return await self.unread(request)
        posted = Posted(
            request.path, dict(request.headers), _parts(request.headers["Content-Type"], await request.content.read())
        )
        self.posted.append(posted)
        if self.answer is not None:
            answered = self.answer(posted)
            return answered if isinstance(answered, web.StreamResponse) else await answered
        outcomes = []
        for (_, content), uid in zip(posted.parts, posted.uids, strict=True):
            failure = self.refuses.get(uid, 0)
            outcomes.append(StowOutcome("1.2", uid, "1.2", "1.2.3", failure=failure))
            if not failure:
                self.kept[uid] = content
        return web.Response(
            status=status_of(outcomes),
            text=json.dumps(response_of(outcomes, "http://server")),
            content_type="application/dicom+json",
        )


def _parts(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    parser = MultipartParser(content_type.partition("boundary=")[2])
    parts: list[tuple[str, bytes]] = []
    for event in parser.feed(body):
        if isinstance(event, PartBegan):
            parts.append((event.headers["content-type"], b""))
        elif not isinstance(event, PartEnded):
            parts[-1] = parts[-1][0], parts[-1][1] + event
    parser.finish()
    return parts


@asynccontextmanager
async def stow_server(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[StowServer]:
    """A server on `port`, or a free one."""
    server = StowServer()
    runner = web.ServerRunner(web.Server(server.serve, max_line_size=16_384), shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
