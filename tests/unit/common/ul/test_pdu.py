"""The PDU codec against pynetdicom's classes, and against bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from gantry.common.ul.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    PduError,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)

uids = st.lists(st.integers(0, 99999), min_size=2, max_size=8).map(lambda parts: ".".join(map(str, ["1", *parts])))
titles = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)
contexts = st.lists(
    st.tuples(st.integers(0, 127), uids, st.lists(uids, min_size=1, max_size=4)),
    min_size=1,
    max_size=20,
    unique_by=lambda c: c[0],
).map(lambda cs: tuple(ProposedContext(2 * i + 1, ab, tuple(ts)) for i, ab, ts in cs))
requests = st.builds(
    AssociateRequest,
    called_ae_title=titles,
    calling_ae_title=titles,
    max_pdu_length=st.integers(0, 0xFFFFFFFF),
    implementation_class_uid=uids,
    implementation_version_name=titles,
    async_window=st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=4).map(tuple),
    extended=st.lists(st.tuples(uids, st.binary(min_size=1, max_size=9)), max_size=3).map(tuple),
    contexts=contexts,
    common_extended=st.lists(st.tuples(uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=2).map(tuple),
    user_identity=st.none()
    | st.builds(UserIdentity, st.integers(1, 5), st.booleans(), st.binary(min_size=1, max_size=20), st.just(b"")),
)


@given(requests)
def test_request_comes_back_as_it_was(rq: AssociateRequest) -> None:
    assert decode_request(encode_request(rq)) == rq


@given(requests)
def test_pynetdicom_reads_our_request_and_we_read_its_own(rq: AssociateRequest) -> None:
    ours = encode_request(rq)
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(ours)
    assert [str(c.abstract_syntax) for c in pdu.presentation_context] == [c.abstract_syntax for c in rq.contexts]
    assert pdu.calling_ae_title == rq.calling_ae_title
    assert decode_request(pdu.encode()) == rq


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 4), uids), max_size=30), requests)
def test_accept_comes_back_as_it_was_and_pynetdicom_reads_it(results: list, rq: AssociateRequest) -> None:
    ac = AssociateAccept(
        rq.called_ae_title,
        rq.calling_ae_title,
        rq.max_pdu_length,
        rq.implementation_class_uid,
        rq.implementation_version_name,
        rq.async_window,
        rq.roles,
        results=tuple(ContextResult(2 * i + 1, result, ts) for i, result, ts in results),
    )
    encoded = encode_accept(ac)
    assert decode_accept(encoded) == ac
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    assert [c.result for c in pdu.presentation_context] == [r.result for r in ac.results]


@given(requests, st.data())
def test_damaged_requests_decode_or_are_pdu_errors(rq: AssociateRequest, data: st.DataObject) -> None:
    raw = bytearray(encode_request(rq))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(6, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(6, len(raw)))
    for decode in (decode_request, decode_accept):
        try:
            decode(bytes(raw[:cut]))
        except PduError:
            pass


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 1, 3), "the calling AE title is not recognised (permanent)"),
        ((1, 1, 7), "the called AE title is not recognised (permanent)"),
        ((2, 3, 2), "the peer's limit of associations is reached (try again later)"),
        ((1, 9, 9), "reason 9 of source 9 (permanent)"),
    ],
)
def test_a_rejection_can_be_read_by_a_person(numbers: tuple[int, int, int], words: str) -> None:
    assert AssociateReject(*numbers).words == words


def test_user_identity_keeps_secrets_out_of_logs() -> None:
    assert "secret" not in repr(UserIdentity(2, False, b"user", b"secret"))


def _with_identities(*items: bytes) -> bytes:
    """A request whose user information ends with items as they are given."""
    proposed = (ProposedContext(1, "1.2", ("1.2.840.10008.1.2",)),)
    plain = encode_request(AssociateRequest("GANTRY", "CT1", contexts=proposed))
    at = plain.index(b"\x50\x00", 74)
    info = plain[at + 4 :] + b"".join(items)
    body = plain[6:at] + b"\x50\0" + len(info).to_bytes(2, "big") + info
    return plain[:2] + len(body).to_bytes(4, "big") + body


def _identity_item(kind: int, name: bytes, secret: bytes, *, lie: int = 0) -> bytes:
    body = bytes((kind, 1)) + (len(name) + lie).to_bytes(2, "big") + name + len(secret).to_bytes(2, "big") + secret
    return b"\x58\0" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 6, 255])
def test_user_identity_of_any_type_is_read(kind: int) -> None:
    """What is done with it is decided above."""
    request = decode_request(_with_identities(_identity_item(kind, b"jane", b"x" * 60_000)))
    assert request.user_identity == UserIdentity(kind, True, b"jane", b"x" * 60_000)


@pytest.mark.parametrize(
    "items",
    [
        (_identity_item(1, b"jane", b""), _identity_item(1, b"john", b"")),
        (_identity_item(2, b"jane", b"p"), _identity_item(2, b"jane", b"p")),
        (_identity_item(2, b"jane", b"pass", lie=1),),
        (_identity_item(2, b"jane", b"pass", lie=5000),),
        (_identity_item(1, b"", b"", lie=65535),),
        (b"\x58\0\0\1\1",),
        (b"\x58\0\0\2\1\1",),
        (b"\x58\0\0\4\1\1\0\0",),
        (b"\x58\0\xff\xff\1\1",),
    ],
)
def test_several_user_identities_and_lengths_that_lie_are_no_request(items: tuple[bytes, ...]) -> None:
    with pytest.raises(PduError):
        decode_request(_with_identities(*items))
