"""`gantry.common.web.multipart`: what the writer writes the parser reads, however it is cut."""

from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import MultipartParser, PartBegan, PartEnded, closing, content_type, part_head
from tests.support.dicom import chunks_of

Part = tuple[dict[str, str], bytes]
contents = st.lists(
    st.sampled_from([b"\r", b"\n", b"--", b"-", b"\r\n--b", b"\r\n--bx", b"x", b"b", b"\0"]), max_size=12
)


def body_of(parts: list[Part], boundary: str = "b0") -> bytes:
    out = b""
    for number, (headers, content) in enumerate(parts):
        out += part_head(boundary, headers, first=not number) + content
    return out + closing(boundary, empty=not parts)


def parse(chunks: list[bytes], boundary: str = "b0") -> list[Part]:
    parser = MultipartParser(boundary)
    parts: list[Part] = []
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, PartBegan):
                parts.append((dict(event.headers), b""))
            elif isinstance(event, bytes):
                parts[-1] = (parts[-1][0], parts[-1][1] + event)
            else:
                assert isinstance(event, PartEnded)
    parser.finish()
    return parts


@given(st.data(), st.lists(contents.map(b"".join), max_size=4))
def test_parts_come_back_however_they_are_cut(data: st.DataObject, bodies: list[bytes]) -> None:
    parts = [({"content-type": "application/dicom"}, body) for body in bodies if b"\r\n--b0" not in body]
    whole = body_of(parts)
    assert parse(data.draw(chunks_of(whole))) == parts
    assert parse([whole[i : i + 1] for i in range(len(whole))]) == parts


def test_what_is_written_is_read_by_the_standard_library() -> None:
    body = body_of([({"Content-Type": "application/dicom"}, b"one"), ({"Content-Type": "text/plain"}, b"two")])
    head = f"Content-Type: {content_type('b0', 'application/dicom')}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + body)
    payload = message.get_payload()
    assert isinstance(payload, list)
    assert [part.get_payload(decode=True) for part in payload] == [b"one", b"two"]


def test_preamble_and_epilogue_are_passed_over() -> None:
    body = b"hello\r\n" + body_of([({"a": "b"}, b"one")]) + b"\r\nand more"
    assert parse([body]) == [({"a": "b"}, b"one")]


def test_part_without_a_header_has_none() -> None:
    assert parse([b"--b0\r\n\r\ncontent\r\n--b0--"]) == [({}, b"content")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no boundary at all", 400),
        (b"--b0\r\n\r\nnever closed", 400),
        (b"--b0junk\r\n\r\nx\r\n--b0--", 400),
        (b"--b0\r\nno colon here\r\n\r\nx\r\n--b0--", 400),
        (b"--b0\r\na: " + b"x" * 20_000, 413),
        (b"--b0\r\n\r\n\r\n" * 10_001, 413),
    ],
)
def test_bad_body_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(HttpProblem) as problem:
        parse([body])
    assert problem.value.status == status


@pytest.mark.parametrize("boundary", ["", "a\r\nb", "x" * 201, "ends with a space "])
def test_bad_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(HttpProblem, match="boundary"):
        MultipartParser(boundary)


def test_parser_holds_no_part() -> None:
    parser = MultipartParser("b0")
    list(parser.feed(b"--b0\r\n\r\n"))
    for _ in range(100):
        assert sum(len(event) for event in parser.feed(b"x" * 65536) if isinstance(event, bytes)) == 65536
    assert len(parser._buffer) < 65536
