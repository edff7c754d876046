"""Parsers of what peers and clients send, beside those of headers: work grows with the input, not with its square."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import pytest

from gantry.common.config.peer_entries import peer_from
from gantry.common.dicom.query.matching import _pattern
from gantry.common.dicom.query.person_names import fold_name, words_of
from gantry.common.dimse import Assembler
from gantry.common.dimse.command import Command, CommandError
from gantry.common.errors import GantryError
from gantry.common.hl7.answers import acknowledged
from gantry.common.hl7.message import parse
from gantry.common.hl7.orders import MessageOrigin
from gantry.common.hl7.problems import MessageRefused
from gantry.common.hl7.profiles import DEFAULT
from gantry.common.hl7.reports import report_actions
from gantry.common.net.proxy import SIGNATURE, ProxyError, decode
from gantry.common.ul import AssociateAccept, ContextResult, Fragment, PduError, UpperLayer
from gantry.common.ul.pdu import decode_request, encode_accept
from gantry.common.web.conditions import require_condition
from gantry.common.web.routes import Match, Resource
from gantry.services.frontdoor.shadow.comparing import FindAnswer
from gantry.services.frontdoor.shadow.overhearing import Overheard, Room
from gantry.services.frontdoor.shadow.stow_answers import read_stow
from gantry.services.frontdoor.shadow.web_answers import FRAMES, SEARCH, WebAnswer, compare_web
from gantry.services.frontdoor.shadow.worklists import compare_worklists
from gantry.services.ingest.stow.conflicts import is_preferred
from gantry.services.query.qido_parameters import place_of, search_of
from gantry.services.retrieve.pixels.image import frame_numbers
from gantry.services.retrieve.pixels.look import look_of
from tests.support.wire import (
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    associate_rq,
    echo_command,
    pdata,
    pdv,
    rq_bytes,
    store_command,
)
from tests.support.work import LINEAR, growth


def _quietly(parse: Callable[[], object]) -> object:
    try:
        return parse()
    except (GantryError, PduError, ProxyError, CommandError, MessageRefused, ValueError):
        return None


def _request(items: bytes) -> bytes:
    head = bytearray(rq_bytes()[:74])
    head[2:6] = struct.pack(">I", 68 + len(items))
    return bytes(head) + items


def _user_information(sub_item: bytes, n: int) -> bytes:
    body = sub_item * min(n, 65_000 // len(sub_item))
    return b"\x50\0" + struct.pack(">H", len(body)) + body


def _fed(stream: bytes, size: int) -> None:
    ul = UpperLayer(requestor=False)
    ul.connected()
    for at in range(0, len(stream), size):
        ul.feed(stream[at : at + size])


def _assembled(count: int) -> None:
    assembler = Assembler({1}, max_command=1 << 24)
    assembler.feed([Fragment(1, True, False, memoryview(b"x")) for _ in range(count)])


def _peer(entry: dict[str, object]) -> object:
    return peer_from(entry, "CT9")


def _overheard(data: bytes) -> None:
    heard = Overheard(associate_rq(), lambda *_: True, Room(1 << 30))
    heard.take_requests(memoryview(rq_bytes()), 0.0)
    results = (ContextResult(1, 0, EXPLICIT), ContextResult(3, 0, IMPLICIT))
    heard.take_responses(memoryview(encode_accept(AssociateAccept("A", "B", 16384, "1.2.3", results=results))), 0.0)
    heard.take_requests(memoryview(data), 0.0)


def _stored(fragments: int) -> bytes:
    return pdata(pdv(1, 3, store_command())) + pdata(pdv(1, 0, b"x")) * fragments


def _reported(segments: str) -> object:
    message = parse(f"MSH|^~\\&|X\rPID|||1\r{segments}")
    return _quietly(lambda: report_actions(message, DEFAULT, MessageOrigin.of(message, "c")))


def _compared(operation: str, target: str, kind: str, body: bytes) -> None:
    answer = WebAnswer(200, kind, body)
    for _ in compare_web(operation, target, answer, answer, ()):
        pass


def _matches(n: int, *, alike: bool) -> bytes:
    uids = [b'{"0020000D":{"vr":"UI","Value":["1.%d"]}}' % (0 if alike else number) for number in range(n)]
    return b"[" + b",".join(uids) + b"]"


STUDIES = Match(Resource.SEARCH_STUDIES)
CASES: dict[str, tuple[Callable[[int], Callable[[], object]], int]] = {
    "items of an A-ASSOCIATE-RQ": (lambda n: lambda: decode_request(_request(b"\x99\0\0\0" * n)), 4_000),
    "roles": (
        lambda n: lambda: decode_request(_request(_user_information(b"\x54\0\0\x05\0\x011\1\1", n))),
        800,
    ),
    "contexts": (
        lambda n: lambda: decode_request(_request(b"\x20\0\0\x0e\1\0\0\0\x30\0\0\x011\x40\0\0\x012" * n)),
        1_000,
    ),
    "transfer syntaxes of a context": (
        lambda n: (
            lambda: decode_request(
                _request(b"\x20\0" + struct.pack(">H", 9 + 5 * n) + b"\1\0\0\0\x30\0\0\x011" + b"\x40\0\0\x012" * n)
            )
        ),
        1_500,
    ),
    "PDUs of one byte": (lambda n: lambda: _fed(RELEASE_RQ * n, 1), 2_000),
    "PDVs of nothing": (lambda n: lambda: _fed(pdata(*[pdv(1, 0, b"")] * n), 1 << 16), 2_000),
    "fragments of a command": (lambda n: lambda: _assembled(n), 3_000),
    "elements of a command": (
        lambda n: lambda: Command.decode(b"\0\0\x10\x01\2\0\0\0\1\0" * n),
        1_000,
    ),
    "TLVs of the PROXY protocol": (
        lambda n: lambda: decode(SIGNATURE + b"\x21\x11" + struct.pack(">H", 12 + 3 * n) + bytes(12) + b"\x01\0\0" * n),
        150,
    ),
    "problems of an HL7 acknowledgement": (
        lambda n: lambda: acknowledged(parse("MSH|^~\\&|X\rMSA|AE|1\r" + "ERR||PID^1^3|101\r" * n)),
        620,
    ),
    "escapes of an HL7 acknowledgement": (
        lambda n: lambda: acknowledged(parse("MSH|^~\\&|X\rMSA|AE|1|" + "\\F\\&^" * n)),
        2_000,
    ),
    "results of a report": (
        lambda n: lambda: _reported("OBR" + "|A1" * 24 + "|F\r" + "OBX|1|TX|A^B||x~y\r" * n),
        2_000,
    ),
    "orders of a report without a result": (lambda n: lambda: _reported("ORC|RE\r" * n), 2_000),
    "lines of a report": (lambda n: lambda: _reported("OBR" + "|A1" * 24 + "|F\rOBX|1|TX|||" + "\\F\\~" * n), 4_000),
    "asterisks of a pattern": (lambda n: lambda: _pattern("*a" * 20).match("a" * n + "b"), 10_000),
    "question marks of a pattern": (lambda n: lambda: _pattern("*??????????x").match("a" * n), 10_000),
    "accents of a person name": (lambda n: lambda: fold_name("a" + "\u0301\u0316" * n), 2_000),
    "letters of a person name that become accents": (lambda n: lambda: fold_name("\u0f73\u0f75" * n), 2_000),
    "words of a person name": (lambda n: lambda: words_of("a^" * n), 5_000),
    "parameters of a search": (lambda n: lambda: search_of(STUDIES, [("PatientID", "x")] * n), 100),
    "values of a parameter": (lambda n: lambda: search_of(STUDIES, [("StudyInstanceUID", "1.2," * n)]), 500),
    "fields of includefield": (lambda n: lambda: search_of(STUDIES, [("includefield", "PatientID," * n)]), 1_000),
    "cursor": (lambda n: lambda: place_of("W1t" * n), 2_000),
    "window": (lambda n: lambda: look_of("1," * n, None), 5_000),
    "numbers of a window": (lambda n: lambda: look_of("1" * n + ",1", None), 5_000),
    "viewport": (lambda n: lambda: look_of(None, "1" * n + "," + "1" * n), 5_000),
    "shadow, fragments of an object": (lambda n: lambda: _overheard(_stored(n)), 2_000),
    "shadow, messages that are never answered": (
        lambda n: lambda: _overheard(pdata(pdv(3, 3, echo_command())) * n),
        500,
    ),
    "shadow, matches": (lambda n: lambda: _compared(SEARCH, "/studies", "", _matches(n, alike=False)), 200),
    "shadow, matches of one study": (lambda n: lambda: _compared(SEARCH, "/studies", "", _matches(n, alike=True)), 200),
    "shadow, matches without a key": (lambda n: lambda: _compared(SEARCH, "/x", "", _matches(n, alike=True)), 200),
    "shadow, a question": (
        lambda n: lambda: _compared(SEARCH, "/studies?includefield=" + "PatientID," * n, "", _matches(2, alike=False)),
        1_000,
    ),
    "shadow, parts": (
        lambda n: (
            lambda: _compared(FRAMES, "", "multipart/related; boundary=b", b"\r\n--b\r\n\r\nx" * n + b"\r\n--b--")
        ),
        500,
    ),
    "shadow, a worklist": (lambda n: lambda: _listed(n), 200),
    "shadow, an answer to STOW-RS": (
        lambda n: lambda: read_stow(WebAnswer(200, "", json.dumps(_failures(n)).encode())),
        500,
    ),
    "shadow, an answer to STOW-RS, nested": (
        lambda n: lambda: read_stow(WebAnswer(200, "", b'{"00081199":{"vr":"SQ","Value":[' * n)),
        500,
    ),
    "addresses of a peer": (lambda n: lambda: _peer({"from": ["192.0.2.1"] * n}), 500),
    "permissions of a peer": (lambda n: lambda: _peer({"host": "192.0.2.1", "may": ["store"] * n}), 1_000),
    "host of a peer": (lambda n: lambda: _peer({"host": "a." * n + " "}), 10_000),
    "unknown fields of a peer": (lambda n: lambda: _peer({f"x{number}": 1 for number in range(n)}), 200),
    "entity tags of a change": (lambda n: lambda: require_condition('"v0",' * n, "", "v1"), 5_000),
    "preferences": (lambda n: lambda: is_preferred(["x;y=1, " * n, "report-conflict" * n]), 2_000),
    "list of frames": (lambda n: lambda: frame_numbers("1," * n), 1_000),
}


def _listed(n: int) -> object:
    def side(first: int) -> FindAnswer:
        steps = [{"00400009": {"vr": "SH", "Value": [f"S{first + step}"]}} for step in range(n)]
        return FindAnswer(0, [{"00400100": {"vr": "SQ", "Value": [step]}} for step in steps])

    question = {"00400100": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH"}}]}}
    return list(compare_worklists(question, side(0), side(n // 2), ()))


def _failures(n: int) -> dict[str, object]:
    items = [{"00081155": {"vr": "UI", "Value": [f"1.2.{reference}"]}} for reference in range(n)]
    return {tag: {"vr": "SQ", "Value": items} for tag in ("00081198", "00081199")}


@pytest.mark.parametrize("name", CASES)
def test_the_work_of_a_parser_is_linear_in_what_it_is_given(name: str) -> None:
    builder, n = CASES[name]
    assert growth(lambda size: lambda: _quietly(builder(size)), n) < LINEAR
