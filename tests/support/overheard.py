"""Finds patients' names in the error messages that clients of tests receive: every test is checked, whatever it is
about, and even if it does not read these messages.

Checked are headers and failures over HTTP (aiohttp and the standard library), Error Comment (0000,0902) of each DIMSE
response (our client and pynetdicom's), MSA and ERR of each HL7 acknowledgement, and the output of commands that show no
patients (`tests.support.preloaded`). Names are recorded, and the test fails at its end: the client can continue.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import unquote_plus

from tests.support.leaks import names_in

_CODE = re.compile(r"\b\d+\^[A-Za-z ]+\^HL70357\b")
"""The error in ERR-3: a code and its text."""
_found: list[str] = []
_listening: set[str] = set()


def note(where: str, text: str) -> None:
    """Record the names in a text that a client received."""
    for line in names_in(text):
        _found.append(f"a patient's name is in {where}: {line[:300]}")


def noted() -> list[str]:
    """The names found since the last call."""
    faults, _found[:] = list(_found), []
    return faults


def listen() -> None:
    """Hook into the clients that are imported so far; a later call hooks into further ones."""
    for module, begin in _CLIENTS.items():
        if module in sys.modules and module not in _listening:
            _listening.add(module)
            begin(sys.modules[module])


def _note_http(status: int, headers: Any, body: bytes | None = None) -> None:
    for name, value in headers.items():
        if status < 400 and name.lower() == "link":
            continue  # the next page of a listing: the client's own query
        note(f"the header {name} of an answer {status}", unquote_plus(str(value)))
    if status >= 400 and body:
        note(f"an answer {status}", body.decode("utf-8", "replace"))


def _listen_aiohttp(module: Any) -> None:
    response = module.ClientResponse
    read, leave, start = response.read, response.__aexit__, response.start

    @wraps(start)
    async def started(self: Any, connection: Any) -> Any:
        made = await start(self, connection)
        _note_http(self.status, self.headers)
        return made

    @wraps(read)
    async def reading(self: Any) -> bytes:
        first = self._body is None
        body: bytes = await read(self)
        if first:
            _note_http(self.status, {}, body)
        return body

    @wraps(leave)
    async def leaving(self: Any, *raised: Any) -> None:
        if self.status >= 400 and self._body is None:
            with suppress(Exception):  # the caller ignores the body, so an error in it does not matter
                await self.read()
        await leave(self, *raised)

    response.start, response.read, response.__aexit__ = started, reading, leaving


def _listen_http(module: Any) -> None:
    response = module.HTTPResponse
    read, begin = response.read, response.begin

    @wraps(begin)
    def begun(self: Any) -> None:
        begin(self)
        _note_http(self.status, self.headers)

    @wraps(read)
    def reading(self: Any, *length: Any) -> bytes:
        body: bytes = read(self, *length)
        _note_http(self.status, {}, body)
        return body

    response.begin, response.read = begun, reading


def _listen_dimse(module: Any) -> None:
    decode = module.Command.decode
    comment, field = module.Element.ERROR_COMMENT, module.Element.COMMAND_FIELD

    @wraps(decode)
    def decoding(data: Any) -> Any:
        command = decode(data)
        if command.number(field) & module.RESPONSE:
            note("an Error Comment", command.text(comment))
        return command

    module.Command.decode = staticmethod(decoding)


def _listen_pynetdicom(module: Any) -> None:
    message = module.DIMSEMessage
    to_primitive = message.message_to_primitive

    @wraps(to_primitive)
    def with_note(self: Any) -> Any:
        note("an Error Comment", str(self.command_set.get("ErrorComment", "")))
        return to_primitive(self)

    message.message_to_primitive = with_note


def _listen_hl7(module: Any) -> None:
    decoder = module.MllpDecoder
    following = decoder.next

    @wraps(following)
    def next_frame(self: Any) -> Any:
        frame = following(self)
        lines = getattr(frame, "message", b"").decode("utf-8", "replace").split("\r")
        if any(line.startswith("MSA") for line in lines):
            codes = [_CODE.sub("", line) for line in lines if line.startswith(("MSA", "ERR"))]
            note("an acknowledgement", "\n".join(codes))
        return frame

    decoder.next = next_frame


_CLIENTS: dict[str, Callable[[Any], None]] = {
    "aiohttp": _listen_aiohttp,
    "http.client": _listen_http,
    "gantry.common.dimse.command": _listen_dimse,
    "gantry.common.hl7.mllp": _listen_hl7,
    "pynetdicom.dimse_messages": _listen_pynetdicom,
}
