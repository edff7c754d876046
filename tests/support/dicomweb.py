"""HTTP requests to an archive, as from a browser or a script."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.support.archive import RunningArchive


def ask(archive: RunningArchive, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers (names in lower case)."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{archive.http_port}{path}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read(), {name.lower(): v for name, v in response.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {name.lower(): v for name, v in error.headers.items()}


def ask_json(archive: RunningArchive, path: str) -> Any:
    """The document at a path."""
    status, body, _ = ask(archive, path)
    assert status == 200, (status, body)
    return json.loads(body)


def ask_parts(archive: RunningArchive, path: str, accept: str) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part, parsed by the standard library's mail parser."""
    status, body, headers = ask(archive, path, Accept=accept)
    assert status == 200, (status, body)
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    return [(str(part["Content-Type"]), bytes(part.get_payload(decode=True))) for part in message.iter_parts()]
