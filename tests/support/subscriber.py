"""A receiver of FHIR subscription notifications on this machine, and the Subscriptions for it."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FHIR_JSON = "application/fhir+json"


class Subscriber:
    """`bundles` are the accepted ones, in order, `heads` the headers of each; `status` is its answer."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.status = 200
        self.posts = 0
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                subscriber.posts += 1
                if subscriber.status == 200:
                    subscriber.heads.append(dict(self.headers))
                    subscriber.bundles.append(body)
                self.send_response(subscriber.status)
                if 300 <= subscriber.status < 400:
                    self.send_header("Location", f"{subscriber.base}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.base = f"http://127.0.0.1:{self.port}/told"

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The bundles of one notification type, in R4."""
        return [bundle for bundle in self.bundles if bundle["type"] == "history" and value(bundle, "type") == kind]

    def events(self, subscription: str = "") -> list[tuple[int, str, str]]:
        """Number, method and study of each reported event, each number once; of one subscription, or of all."""
        notified: dict[int, tuple[int, str, str]] = {}
        for bundle in self.of_type("event-notification"):
            if subscription and not value(bundle, "subscription").endswith(f"/{subscription}"):
                continue
            methods = {entry["fullUrl"]: entry["request"]["method"] for entry in bundle["entry"][1:]}
            for event in parameters(bundle, "notification-event"):
                parts = {part["name"]: part for part in event["part"]}
                focus = parts.get("focus", {}).get("valueReference", {}).get("reference", "")
                number = int(parts["event-number"]["valueString"])
                notified[number] = number, methods.get(focus, ""), focus.rpartition("/")[2]
        return [notified[number] for number in sorted(notified)]

    @contextmanager
    def running(self) -> Iterator[Subscriber]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def parameters(bundle: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The parameters of a name in the status of a notification."""
    return [part for part in bundle["entry"][0]["resource"]["parameter"] if part["name"] == name]


def value(bundle: dict[str, Any], name: str) -> str:
    """The value of the only parameter of a name, as text."""
    (parameter,) = parameters(bundle, name)
    (content,) = (parameter[key] for key in parameter if key.startswith("value"))
    return str(content["reference"] if isinstance(content, dict) else content)


def subscription(
    topic: str,
    endpoint: str,
    content: str = "id-only",
    *filters: str,
    heartbeat: int = 0,
    most: int = 0,
    headers: tuple[str, ...] = (),
    **fields: Any,
) -> dict[str, Any]:
    """A requested Subscription."""
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": FHIR_JSON,
        "_payload": {"extension": [{"url": f"{GUIDE}backport-payload-content", "valueCode": content}]},
    }
    extensions: list[dict[str, Any]] = []
    if heartbeat:
        extensions.append({"url": f"{GUIDE}backport-heartbeat-period", "valueUnsignedInt": heartbeat})
    if most:
        extensions.append({"url": f"{GUIDE}backport-max-count", "valuePositiveInt": most})
    if extensions:
        channel["extension"] = extensions
    if headers:
        channel["header"] = list(headers)
    made: dict[str, Any] = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "images for the record",
        "criteria": topic,
        "channel": channel,
    }
    if filters:
        extended = [{"url": f"{GUIDE}backport-filter-criteria", "valueString": criterion} for criterion in filters]
        made["_criteria"] = {"extension": extended}
    return made | fields


def subscription_r5(topic: str, endpoint: str, content: str = "id-only", **fields: Any) -> dict[str, Any]:
    """A requested Subscription in R5."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "topic": topic,
        "channelType": {
            "system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
            "code": "rest-hook",
        },
        "endpoint": endpoint,
        "contentType": FHIR_JSON,
        "content": content,
        **fields,
    }


def ask(
    base: str,
    method: str,
    path: str,
    body: object = None,
    token: str = "",
    kind: str = FHIR_JSON,
    release: str = "r4",
) -> tuple[int, Any]:
    """The archive's answer below its FHIR base; the body as JSON, None without one."""
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{base}/fhir/{release}/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The result of `holds`, once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)
    return result
