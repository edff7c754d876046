"""`gantry.common.web.negotiation`: PS3.18 8.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    Offer,
    byte_range,
    choose,
    etag_matches,
    is_known,
    parse_accept,
    requested_range,
)

JSON, XML = Offer(DICOM_JSON), Offer(DICOM_XML, multipart=True)
PARTS, SINGLE = Offer(DICOM, multipart=True), Offer(DICOM)


@pytest.mark.parametrize(
    ("accept", "offer"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("*", JSON),
        ("application/*", JSON),
        ("application/dicom+json", JSON),
        ('multipart/related; type="application/dicom+xml"', XML),
        ("multipart/related;type=application/dicom+xml", XML),
        ("multipart/related", XML),
        ("application/dicom+json;q=0.5, multipart/related; type=application/dicom+xml", XML),
        ('application/dicom+json; q=0.1 , multipart/related; type="application/dicom+xml"; q=0', JSON),
        ("APPLICATION/DICOM+JSON", JSON),
    ],
)
def test_client_gets_what_it_likes_best(accept: str, offer: Offer) -> None:
    assert choose(parse_accept(accept), [JSON, XML])[0] == offer


@pytest.mark.parametrize("accept", ["text/html", "application/dicom+xml", "junk", ",;;=", "application/dicom+json;q=0"])
def test_client_that_takes_nothing_of_ours_is_told_what_there_is(accept: str) -> None:
    with pytest.raises(HttpProblem, match=r"application/dicom\+json") as problem:
        choose(parse_accept(accept), [JSON, XML])
    assert problem.value.status == 406


@pytest.mark.parametrize(
    ("accept", "offer", "syntax"),
    [
        ('multipart/related; type="application/dicom"; transfer-syntax=*', PARTS, "*"),
        ("multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", PARTS, None),
        ('multipart/related; type="application/dicom"', PARTS, ""),
        ('application/dicom; transfer-syntax="*"', SINGLE, "*"),
    ],
)
def test_transfer_syntax_is_read(accept: str, offer: Offer, syntax: str | None) -> None:
    choice, wanted = choose(parse_accept(accept), [PARTS, SINGLE])
    assert choice == offer
    assert wanted.transfer_syntax == ("1.2.840.10008.1.2.4.50" if syntax is None else syntax)


@given(st.text(max_size=200))
def test_no_accept_raises_anything_else(accept: str) -> None:
    try:
        choose(parse_accept(accept), [JSON, XML])
    except HttpProblem as problem:
        assert problem.status in (400, 406)  # noqa: PT017 (most raise nothing)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=5-", (5, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=90-999999999999999999", (90, 100)),
        ("bytes=9-5", None),
        ("bytes=1-2,5-6", None),
        ("lines=1-2", None),
        ("bytes=99999999999999999999-", None),
        ("bytes=-", None),
    ],
)
def test_range_is_read(header: str, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=500-600"])
def test_range_outside_is_416(header: str) -> None:
    with pytest.raises(HttpProblem) as problem:
        byte_range(header, 100)
    assert (problem.value.status, problem.value.headers["Content-Range"]) == (416, "bytes */100")


@pytest.mark.parametrize("validator", ['"a"', 'W/"a"', "Sun, 29 Nov 2026 12:00:00 GMT", ""])
def test_a_range_of_content_without_a_validator_is_not_given_to_who_names_one(validator: str) -> None:
    assert requested_range({"Range": "bytes=0-9"}, 100) == (0, 10)
    assert requested_range({"Range": "bytes=0-9", "If-Range": validator}, 100) is None
    assert requested_range({}, 100) is None


@pytest.mark.parametrize("wanted", ['"b"', '"a", "b"', "*", ' "a" ,*'])
def test_what_if_match_names_is_given(wanted: str) -> None:
    assert not is_known({"If-Match": wanted}, '"b"')
    assert is_known({"If-Match": wanted, "If-None-Match": '"b"'}, '"b"')


@pytest.mark.parametrize(("wanted", "etag"), [('"a"', '"b"'), ("", '"b"'), ('W/"b"', '"b"'), ('W/"b"', 'W/"b"')])
def test_what_if_match_does_not_name_is_412(wanted: str, etag: str) -> None:
    with pytest.raises(HttpProblem) as problem:
        is_known({"If-Match": wanted, "If-None-Match": "*"}, etag)
    assert (problem.value.status, problem.value.headers["ETag"]) == (412, etag)


def test_etags_are_compared_weakly() -> None:
    assert etag_matches('"a", W/"b"', '"b"')
    assert etag_matches("*", '"b"')
    assert not etag_matches('"bb"', '"b"')
