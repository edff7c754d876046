"""STOW-RS requests, written by hand, as well-behaved and other senders write them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.archive import RunningArchive

BOUNDARY = "----a-boundary"
FILES = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
METADATA = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        response: dict[str, Any] = json.loads(self.body)
        return response

    def stored(self) -> list[str]:
        """The SOP Instance UIDs of the stored instances."""
        return [item["00081155"]["Value"][0] for item in self._items("00081199")]

    def failures(self) -> dict[str, int]:
        """Failure Reason by SOP Instance UID."""
        return {item["00081155"]["Value"][0]: item["00081197"]["Value"][0] for item in self._items("00081198")}

    def others(self) -> list[int]:
        """Failure Reasons without a SOP Instance UID."""
        return [item["00081197"]["Value"][0] for item in self._items("0008119A")]

    def warnings(self) -> list[int]:
        """Warning Reasons."""
        return [item["00081196"]["Value"][0] for item in self._items("00081199") if "00081196" in item]

    def _items(self, tag: str) -> list[dict[str, Any]]:
        return list(self.json.get(tag, {}).get("Value", []))


def part(content: bytes, type_: str | None = "application/dicom", **headers: str) -> bytes:
    """One part; in the names of header fields _ becomes -."""
    lines = [f"Content-Type: {type_}"] if type_ is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content


def multipart(parts: Sequence[bytes]) -> bytes:
    """A whole body."""
    mark = b"--" + BOUNDARY.encode()
    return b"".join(mark + b"\r\n" + body + b"\r\n" for body in parts) + mark + b"--\r\n"


def files(contents: Iterable[bytes]) -> bytes:
    """A body of Part 10 files."""
    return multipart([part(content) for content in contents])


def post(
    archive: RunningArchive, body: bytes | Iterable[bytes], type_: str = FILES, study: str = "", **headers: str
) -> Answer:
    """One STOW-RS request."""
    path = f"/dicom-web/studies/{study}" if study else "/dicom-web/studies"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", archive.http_port, timeout=60)
    try:
        chunked = not isinstance(body, bytes)
        connection.request("POST", path, body, {"Content-Type": type_, **sent}, encode_chunked=chunked)
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    finally:
        connection.close()
