"""Every parser of what clients send has work that grows with its input, not with the square of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gantry.common.access import Facts
from gantry.common.access.asked_shares import asked_share
from gantry.common.access.overrides import requested_override
from gantry.common.access.sealing import Seal
from gantry.common.commitment.wire import decode_event_information
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES as NUMBER
from gantry.common.dicom.standard.tags import PATIENT_NAME, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN as EXPLICIT
from gantry.common.errors import GantryError
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.order_searches import order_search_of
from gantry.common.fhir.searches import search_of as fhir_search
from gantry.common.subscriptions.endpoints import allowed_endpoint
from gantry.common.subscriptions.filters import search_of_filters
from gantry.common.subscriptions.reading import asked_subscription
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.codings import coding_of
from gantry.common.web.headers import LONGEST, combined, split
from gantry.common.web.multipart import MultipartParser
from gantry.common.web.negotiation import byte_range, etag_matches, parse_accept, parse_content_type
from gantry.common.web.routes import find
from gantry.services.orders.workitems.parameters import filter_in, uid_in, workitem_search
from gantry.services.query.federation.merging import cleaned
from gantry.services.query.sharing.forms import password_of
from gantry.services.query.states import uids_of
from gantry.services.retrieve.fetching.holders import holder_in
from tests.support.work import LINEAR, growth

Parser = Callable[[str], object]


def _subscribed(text: str) -> object:
    extensions = [{"url": text, "valueString": text}] * (1 + len(text) // 1000)
    channel = {"type": "rest-hook", "payload": "application/fhir+json", "endpoint": text, "header": [text] * 10}
    resource = {"resourceType": "Subscription", "status": "requested", "criteria": text, "reason": text, "end": text}
    content = {**resource, "_criteria": {"extension": extensions}, "channel": channel}
    return asked_subscription(content, text, ["https://a"])


def _quietly(parse: Parser, text: str) -> object:
    try:
        return parse(text)
    except (GantryError, ValueError):
        return None


def _multipart(body: bytes, size: int) -> None:
    parser = MultipartParser("b", max_parts=1 << 30)
    for at in range(0, len(body), size):
        for _ in parser.feed(body[at : at + size]):
            pass


def _overridden(text: str) -> object:
    return Seal([b"1" * 32], "override", "").open(text)


# A function, a piece that its input is made of, and a length that is not refused for itself at eight times as much.
PARSERS: dict[str, tuple[Parser, str, int]] = {
    "fhir, tokens": (lambda text: fhir_search("ImagingStudy", [("identifier", text + "\\")], Systems()), "a", 1000),
    "fhir orders": (lambda text: order_search_of([("identifier", text + "\\")], Systems()), "a", 1000),
    "workitems, values": (lambda text: workitem_search([("PatientID", text)]), "a\\", 60),
    "workitems, paths": (lambda text: workitem_search([(text, "x")]), "ScheduledWorkitemCodeSequence.", 20),
    "workitems, filters": (lambda text: filter_in([("filter", text)]), "PatientID=a,", 8),
    "workitems, uids": (lambda text: uid_in([(text, "")], ["workitem"]), "1.", 2000),
    "fhir, bars": (lambda text: fhir_search("ImagingStudy", [("identifier", text)], Systems()), "\\|", 1000),
    "accept, quotes that are not closed": (parse_accept, '\\"', 2000),
    "accept, one quote": (parse_accept, '"x', 2000),
    "accept, commas": (parse_accept, ",", 2000),
    "accept, semicolons": (parse_accept, "a/b;", 2000),
    "accept, escapes": (parse_accept, '"\\\\', 2000),
    "content type": (parse_content_type, '\\";', 120),
    "range": (lambda text: byte_range(f"bytes={text}-{text}", 1 << 20), "1", 100000),
    "range, many": (lambda text: byte_range(f"bytes={text}", 1 << 20), "0-1,", 100000),
    "if-none-match": (lambda text: etag_matches(text, '"a"'), 'W/"a', 100000),
    "accept-encoding": (lambda text: coding_of({"Accept-Encoding": text}), "br;q=0.x,", 100000),
    "federation, names": (lambda text: cleaned({STUDY_INSTANCE_UID: ["1.2"], PATIENT_NAME: [text]}), "a=^", 100000),
    "federation, numbers": (lambda text: cleaned({STUDY_INSTANCE_UID: ["1.2"], NUMBER: [text]}), "1", 100000),
    "fetching, counts": (
        lambda text: holder_in("OLD", "1.2", [{STUDY_INSTANCE_UID: ["1.2"], NUMBER: [text]}]),
        "1",
        100000,
    ),
    "override, what is asked for": (lambda text: requested_override({"patient": text, "reason": text}), "a ", 100000),
    "override, header": (_overridden, "a.", 500),
    "subscription, endpoint": (
        lambda text: allowed_endpoint(f"https://a/{text}", ["https://a/b"]),
        "../%2",
        100000,
    ),
    "subscription, what is asked for": (_subscribed, "a:", 100000),
    "subscription, filter": (
        lambda text: search_of_filters([f"ImagingStudy?{text}"], Systems(), Facts(), ""),
        "patient=\\,",
        100000,
    ),
    "share, what is asked for": (
        lambda text: asked_share({"studies": [text], "reason": text, "expires": text}, 0, 1),
        "1.",
        100000,
    ),
    "share, form": (lambda text: password_of(text.encode()), "password=%41&", 100000),
    "share, link": (lambda text: find("GET", f"/s/{text}"), "%2f", 100000),
    "report of storage commitment, items": (
        lambda text: decode_event_information(text.encode("latin-1"), EXPLICIT, 1 << 30),
        "\x08\x00\x98\x11SQ\x00\x00\x00\x00\x00\x00",
        5000,
    ),
    "report of storage commitment, nesting": (
        lambda text: decode_event_information(text.encode("latin-1"), EXPLICIT, 1 << 30),
        "\x08\x00\x98\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
        5000,
    ),
    "states, uids": (lambda text: uids_of([text]), "1.2,", 100000),
    "states, one uid": (lambda text: uids_of([text]), "1.", 100000),
    "path": (lambda text: find("GET", f"/dicom-web/studies/{text}"), "1.", 100000),
    "path, slashes": (lambda text: find("GET", f"/dicom-web/{text}"), "a/%2f", 100000),
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_work_of_a_parser_is_linear_in_what_it_is_given(name: str) -> None:
    parse, piece, length = PARSERS[name]

    def of(n: int) -> Callable[[], object]:
        text = piece * (n // len(piece))
        return lambda: _quietly(parse, text)

    assert growth(of, length) < LINEAR


@pytest.mark.parametrize("piece", ['\\"', '"', '"\\', '",', "\\", 'a="', "'"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_the_work_of_splitting_is_linear_whatever_is_split(piece: str, separator: str) -> None:
    assert growth(lambda n: lambda: split(piece * n, separator), 2_000) < LINEAR


@pytest.mark.parametrize(
    ("piece", "size"),
    [
        (b"\r\n--b\r\n\r\n", 1 << 18),  # as many parts as a piece can hold
        (b"\r\n--b\r\na: b\r\n\r\n", 1 << 18),
        (b"\r\n--", 1 << 18),
        (b"\r\n--b\r\n\r\nx", 7),
    ],
)
def test_the_work_of_a_multipart_body_is_linear_in_its_length(piece: bytes, size: int) -> None:
    # One piece of the body at a time, as long as the whole where the work within a piece is looked at.
    assert growth(lambda n: lambda: _multipart(b"--b\r\n\r\n" + piece * n, min(size, n * 16)), 3_000) < LINEAR


def test_the_work_of_a_multipart_piece_is_linear_in_its_length() -> None:
    assert growth(lambda n: lambda: _multipart(b"--b\r\n\r\n" + b"\r\n--b\r\n\r\n" * n, 1 << 30), 10_000) < LINEAR


def test_the_work_of_joining_lines_is_linear_in_their_number() -> None:
    def of(n: int) -> Callable[[], object]:
        headers = CIMultiDictProxy(CIMultiDict([("Accept", "a")] * n))
        return lambda: _quietly(combined, headers)  # type: ignore[arg-type]

    assert growth(of, 5_000) < LINEAR


def test_the_work_for_a_list_of_proxies_is_linear() -> None:
    access = AccessControl(Tokens(None))
    hops = "192.0.2.1,"

    def of(n: int) -> Callable[[], object]:
        headers = {"Host": "localhost", "X-Forwarded-For": hops * n}
        return lambda: _quietly(lambda _: access.admit("127.0.0.1", headers), "")

    assert growth(of, 5_000) < LINEAR


@pytest.mark.parametrize("header", ['"' + '\\"' * 8000, "a/b;" * 4000, "a/b" + ";x=" + "y" * 16_000])
def test_a_media_type_that_is_too_long_is_none(header: str) -> None:
    assert parse_content_type(header) is None
    assert parse_accept(header) == []


def test_an_accept_of_more_than_a_header_field_is_refused() -> None:
    with pytest.raises(GantryError, match="too long"):
        parse_accept("a/b," * LONGEST)
