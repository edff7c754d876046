"""BAD_INPUTS rows 10 to 13, 23 and 26 for STOW-RS, against a running archive that is as well afterwards as before."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import pytest
from pydicom.uid import generate_uid

from tests.conformance.conftest import MAX_OBJECT, Target
from tests.support.objects import data_set, file_bytes
from tests.support.stow import BOUNDARY, FILES, METADATA, files, multipart, part, post


def file(**fields: object) -> bytes:
    return file_bytes(data_set(**fields))  # type: ignore[arg-type]


async def test_a_body_without_a_boundary_is_refused(target: Target) -> None:
    assert post(target, files([file()]), 'multipart/related; type="application/dicom"').status == 400


async def test_a_body_whose_boundary_never_comes_is_refused(target: Target) -> None:
    assert post(target, b"no boundary in here" * 9999).status == 400
    assert post(target, b"").status == 400


async def test_a_body_that_is_never_closed_keeps_what_had_come_whole(target: Target) -> None:
    first = data_set()
    body = files([file_bytes(first), file()])
    answer = post(target, body[: -len(BOUNDARY) - 200])
    assert answer.status == 400
    assert answer.stored() == [first.SOPInstanceUID]
    assert "closing boundary" in answer.headers["Warning"]


async def test_too_many_parts_are_refused_and_ten_thousand_are_not(target: Target) -> None:
    answer = post(target, multipart([part(b"")] * 10_000))
    assert (answer.status, len(answer.others())) == (409, 10_000)
    assert post(target, multipart([part(b"")] * 20_001)).status == 413


async def test_a_part_header_without_end_is_refused(target: Target) -> None:
    body = f"--{BOUNDARY}\r\nX: ".encode() + b"y" * (1 << 20)
    assert post(target, body).status == 413


async def test_a_part_without_a_type_is_what_the_body_says_it_is(target: Target) -> None:
    assert post(target, multipart([part(file(), None)])).status == 200
    untyped = f"multipart/related; boundary={BOUNDARY}"
    assert post(target, multipart([part(file(), None)]), untyped).others() == [0xC000]


@pytest.mark.parametrize("type_", ["text/plain", "application/zip", "multipart/form-data; boundary=x", "image/jpeg"])
async def test_other_types_are_refused(target: Target, type_: str) -> None:
    assert post(target, b"whatever", type_).status == 415


@pytest.mark.parametrize("type_", ["", "application", ";;;", "/"])
async def test_what_is_no_type_is_refused(target: Target, type_: str) -> None:
    assert post(target, b"whatever", type_).status == 400


async def test_an_answer_that_we_do_not_have_is_not_promised(target: Target) -> None:
    assert post(target, files([file()]), Accept="text/html").status == 406


async def test_a_part_of_another_type_fails_alone(target: Target) -> None:
    good = data_set()
    answer = post(target, multipart([part(b"<html>", "text/html"), part(file_bytes(good))]))
    assert (answer.status, answer.stored(), answer.others()) == (202, [good.SOPInstanceUID], [0xC000])


def _announced(target: Target, head: str, body: bytes = b"") -> bytes:
    """Send a head and perhaps something of a body, and no more: what comes back until the archive closes."""
    with socket.create_connection(("127.0.0.1", target.http_port), timeout=30) as connection:
        request = f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1:{target.http_port}\r\n{head}\r\n\r\n"
        connection.sendall(request.encode() + body)
        got = b""
        while piece := connection.recv(65536):
            got += piece
        return got


async def test_a_long_body_that_never_comes_is_timed_out(target: Target) -> None:
    answer = _announced(target, f"Content-Type: {FILES}\r\nContent-Length: {4 << 30}")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_body_framed_wrong_is_refused(target: Target) -> None:
    answer = _announced(target, f"Content-Type: {FILES}\r\nTransfer-Encoding: chunked", b"zz\r\nnothing\r\n")
    assert answer.split()[1] == b"400"


async def test_an_object_without_end_is_refused_and_costs_no_memory(target: Target) -> None:
    before = target.rss()

    def endless() -> Iterator[bytes]:
        yield multipart([part(file(size=1024))])[: -len(BOUNDARY) - 8]
        for _ in range(400):
            yield bytes(1 << 20)

    try:
        assert post(target, endless()).status == 413
    except ConnectionError:
        pass  # closed while we were sending: the answer may be lost with it
    assert target.rss() - before < 64 << 20


async def test_an_object_past_the_limit_fails_alone(target: Target) -> None:
    large, small = data_set(size=2100), data_set()
    assert len(file_bytes(large)) > MAX_OBJECT
    answer = post(target, files([file_bytes(large), file_bytes(small)]))
    assert answer.status == 202
    assert answer.failures() == {large.SOPInstanceUID: 0xA700}
    assert answer.stored() == [small.SOPInstanceUID]


async def test_the_study_of_the_path_is_enforced(target: Target) -> None:
    ours, other = data_set(), data_set()
    answer = post(target, files([file_bytes(ours), file_bytes(other)]), study=ours.StudyInstanceUID)
    assert answer.status == 202
    assert (answer.stored(), answer.failures()) == ([ours.SOPInstanceUID], {other.SOPInstanceUID: 0xA900})
    assert post(target, files([file_bytes(other)]), study=ours.StudyInstanceUID).status == 409
    assert post(target, files([file_bytes(ours)]), study="1..2").status == 400
    assert post(target, files([file_bytes(ours)]), study="..%2f..%2fetc").status == 400


@pytest.mark.parametrize("uid", ["../../x", "/etc/x", "1..2", "1.2\n3", ""])
async def test_a_uid_that_is_none_is_refused_and_never_repeated(target: Target, uid: str) -> None:
    made = file_bytes(data_set(instance="1.2.3.4.5.6.7.8.9"))
    hostile = uid.encode()[:17].ljust(17, b"\0") + b"\0"
    answer = post(target, files([made.replace(b"1.2.3.4.5.6.7.8.9\0", hostile)]))
    assert answer.status == 409
    # One that is not there at all is missing (A900H), not misunderstood.
    assert list(answer.failures().values()) + answer.others() == [0xC000 if uid else 0xA900]
    assert b".." not in answer.body


async def test_file_meta_and_data_set_that_differ_are_kept_as_what_the_data_set_says(target: Target) -> None:
    made = file_bytes(data_set(instance="1.2.3.4.5.6.7.8.9"))
    at = made.rindex(b"1.2.3.4.5.6.7.8.9")
    answer = post(target, files([made[:at] + b"1.2.3.4.5.6.7.8.8" + made[at + 17 :]]))
    assert (answer.status, answer.stored(), answer.warnings()) == (202, ["1.2.3.4.5.6.7.8.8"], [0xB007])


async def test_a_class_that_is_not_for_storage_is_refused(target: Target) -> None:
    made = data_set(SOPClassUID="1.2.840.10008.1.1")
    answer = post(target, files([file_bytes(made)]))
    assert (answer.status, answer.failures()) == (409, {made.SOPInstanceUID: 0x0122})


@pytest.mark.parametrize("cut", [10, 131, 140, -1, -5000])
async def test_a_file_that_is_cut_off_is_refused(target: Target, cut: int) -> None:
    answer = post(target, files([file()[:cut]]))
    assert answer.status == 409
    assert [*answer.failures().values(), *answer.others()][0] in (0xC000, 0xA900)


async def test_a_length_past_the_end_allocates_nothing(target: Target) -> None:
    before = target.rss()
    made = file(PatientComments="here")
    at = made.index(b"LT\x04\x00here")
    huge = made[:at] + b"UT\0\0\xf0\xff\xff\xbfhere"  # three gigabytes
    answer = post(target, files([huge]))
    assert answer.status == 409
    assert [*answer.failures().values()] == [0xC000]
    assert target.rss() - before < 32 << 20


async def test_gzip_is_taken_and_a_bomb_is_not(target: Target) -> None:
    before = target.rss()
    assert post(target, gzip.compress(files([file()])), Content_Encoding="gzip").status == 200
    bomb = gzip.compress(multipart([part(bytes(1 << 28))]))
    assert post(target, bomb, Content_Encoding="gzip").status == 413
    assert post(target, b"junk", Content_Encoding="gzip").status == 400
    assert post(target, b"junk", Content_Encoding="br").status == 415
    assert target.rss() - before < 64 << 20


def described(**bulk: str) -> bytes:
    """Metadata of one instance, whose elements of these tags are bulk data."""
    model = json.loads(data_set(size=4).to_json())
    model["7FE00010"]["vr"] = "OW"  # pydicom leaves open which
    for tag, uri in bulk.items():
        model[tag] = {"vr": "OW", "BulkDataURI": uri}
    return json.dumps([model]).encode()


def with_metadata(metadata: bytes, *bulk: bytes) -> bytes:
    return multipart([part(metadata, "application/dicom+json"), *bulk])


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"[" * 100_000, b'"\xff"', b"null"])
async def test_metadata_that_is_none_is_refused(target: Target, text: bytes) -> None:
    answer = post(target, with_metadata(text), METADATA)
    assert answer.status == 400 or answer.others() == [0xC000]


async def test_bulk_data_and_metadata_that_do_not_agree_are_refused(target: Target) -> None:
    octets = "application/octet-stream"
    whole = part(bytes(32), octets, Content_Location="a")
    assert post(target, with_metadata(described(**{"7FE00010": "a"}), whole), METADATA).status == 200
    answer = post(target, with_metadata(described(**{"7FE00010": "b"}), whole), METADATA)
    assert (answer.status, [*answer.failures().values()], answer.others()) == (409, [0xC000], [0xC000])
    short = part(bytes(30), octets, Content_Location="a")
    answer = post(target, with_metadata(described(**{"7FE00010": "a"}), short), METADATA)
    assert (answer.status, [*answer.failures().values()]) == (409, [0xA900])
    nameless = part(bytes(32), octets)
    assert post(target, with_metadata(described(**{"7FE00010": "a"}), nameless), METADATA).status == 400
    answer = post(target, with_metadata(described(), whole), METADATA)
    assert (answer.status, len(answer.stored()), answer.others()) == (202, 1, [0xC000])


@pytest.mark.parametrize("depth", [50, 100, 500, 5000])
async def test_deep_sequences_in_metadata_end_nothing(target: Target, depth: int) -> None:
    model = described()[1:-1].decode()
    deep = '{"00081140":{"vr":"SQ","Value":[' * depth + "{}" + "]}}" * depth
    body = f"[{model[:-1]}, {deep[1:-1]}}}]".encode()
    answer = post(target, with_metadata(body), METADATA)
    assert answer.status in ((200,) if depth == 50 else (400, 409))


async def test_xml_with_a_document_type_is_refused(target: Target) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]><NativeDicomModel>&c;</NativeDicomModel>'
    type_ = METADATA.replace("json", "xml")
    assert post(target, multipart([part(bomb, "application/dicom+xml")]), type_).status == 400


async def test_hostile_images_make_no_instance(target: Target) -> None:
    for junk in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff\xe0\xff\xff" * 9,
        b"\xff\x4f\xff\x51" + bytes(60),
        b"\0" * 99,
    ):
        image = part(junk, "image/jpeg", Content_Location="a")
        answer = post(target, with_metadata(described(**{"7FE00010": "a"}), image), METADATA)
        assert (answer.status, [*answer.failures().values()]) == (409, [0xC000])


async def test_the_study_of_the_path_holds_for_metadata_too(target: Target) -> None:
    answer = post(target, with_metadata(described()), METADATA, study="1.2.3")
    assert (answer.status, [*answer.failures().values()]) == (409, [0xA900])


async def test_sent_again_it_is_stored_once(target: Target) -> None:
    made = data_set()
    for _ in range(3):
        assert post(target, files([file_bytes(made)] * 2)).status == 200
    answer = post(target, files([file_bytes(made)]), "application/dicom")
    assert answer.others() == [0xC000]  # a multipart body is no file
    assert post(target, file_bytes(made), "application/dicom").status == 200


async def test_a_response_is_json_whatever_was_sent(target: Target) -> None:
    body = files([file(name='<script>"\\', patient="$(id)"), b"\0" * 200, generate_uid().encode()])
    answer = post(target, body)
    assert answer.status == 202
    assert json.loads(answer.body.decode("utf-8"))
