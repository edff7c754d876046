"""A small S3 server that archives: archived objects answer 403 InvalidObjectState to GET until they are restored, as
with S3's GLACIER storage class. It runs in memory, on the loopback interface, in its own thread; credentials are not
checked. The real server of these tests (versitygw) has no such class."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

from tests.support.ports import free_port

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def _refused(status: int, code: str) -> web.Response:
    return web.Response(status=status, body=f"<Error><Code>{code}</Code></Error>".encode(), content_type="text/xml")


@dataclass
class ArchivingS3:
    """One bucket. `archive` archives its objects; `thaw` restores those that were requested."""

    port: int
    objects: dict[str, bytes] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def archive(self) -> None:
        """Archive all objects, as a lifecycle rule of the bucket does."""
        self.archived |= self.objects.keys()

    def thaw(self) -> None:
        """Make the requested objects readable."""
        self.archived -= set(self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        _, _, key = request.path.lstrip("/").partition("/")
        if not key:
            return self._bucket(request)
        match request.method:
            case "PUT":
                self.objects[key] = await request.read()
                return web.Response(headers={"ETag": '"e"'})
            case "POST" if "restore" in request.query:
                return self._restore(key, await request.text())
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case "HEAD" | "GET":
                return self._read(request, key)
        return _refused(501, "NotImplemented")

    def _restore(self, key: str, body: str) -> web.Response:
        if key not in self.objects:
            return _refused(404, "NoSuchKey")
        if "<Days>" not in body:
            return _refused(400, "MalformedXML")
        if key not in self.archived:
            return _refused(403, "InvalidObjectState")
        if key in self.asked:
            return _refused(409, "RestoreAlreadyInProgress")
        self.asked.append(key)
        return web.Response(status=202)

    def _read(self, request: web.Request, key: str) -> web.Response:
        content = self.objects.get(key)
        if content is None:
            return _refused(404, "NoSuchKey")
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(content))})
        if key in self.archived:
            return _refused(403, "InvalidObjectState")
        match = _RANGE.fullmatch(request.headers.get("Range", ""))
        if match is None:
            return web.Response(body=content)
        first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        if first >= len(content):
            return _refused(416, "InvalidRange")
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return web.Response(status=206, body=content[first : last + 1], headers=headers)

    def _bucket(self, request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response()
        prefix, after = request.query.get("prefix", ""), request.query.get("start-after", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        elements = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size></Contents>" for key in keys
        )
        kind = "ListMultipartUploadsResult" if "uploads" in request.query else "ListBucketResult"
        body = f"<{kind}><IsTruncated>false</IsTruncated>{elements if 'uploads' not in request.query else ''}</{kind}>"
        return web.Response(body=body.encode(), content_type="application/xml")


@contextmanager
def archiving_s3() -> Iterator[ArchivingS3]:
    """A running server."""
    server, started, loop = ArchivingS3(free_port()), threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", server.port).start()
        started.set()

    thread = threading.Thread(target=lambda: (loop.create_task(serve()), loop.run_forever()), daemon=True)
    thread.start()
    assert started.wait(20)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
