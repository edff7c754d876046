"""A receiver of webhooks on this machine: a real HTTP server that checks signatures and answers as a test wants."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.overheard import note

SECRET = b"a secret of both sides"


class HookReceiver:
    """The accepted events, in order. `status` is its answer, `delay` (seconds) the time until it."""

    def __init__(self, port: int = 0) -> None:
        self.changes: list[dict[str, Any]] = []
        self.posts = 0
        self.most_at_once = 0
        self.status = 200
        self.delay = 0.0
        self._now = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def take(self, request: BaseHTTPRequestHandler) -> None:
        self._now += 1
        self.posts += 1
        self.most_at_once = max(self.most_at_once, self._now)
        body = request.rfile.read(int(request.headers["Content-Length"]))
        at, signature = (part.partition("=")[2] for part in request.headers["Gantry-Signature"].split(","))
        note("what a webhook was told", body.decode())
        expected = hmac.new(SECRET, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(signature, expected) and abs(time.time() - int(at)) < 300
        time.sleep(self.delay)
        status = self.status if genuine else 403
        if status == 200:
            self.changes += json.loads(body)["changes"]
        self._now -= 1
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def instances(self) -> list[str]:
        """The SOP Instance UIDs that were stored, each once, in the order of their first mention."""
        stored = [str(change["SOPInstanceUID"]) for change in self.changes if change["type"] == "stored"]
        return list(dict.fromkeys(stored))

    @contextmanager
    def running(self) -> Iterator[HookReceiver]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
