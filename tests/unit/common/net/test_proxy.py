"""`gantry.common.net.proxy`: headers as HAProxy's document gives them, and hostile ones."""

from __future__ import annotations

import struct
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.net.proxy import (
    LOCAL,
    MAX_LENGTH,
    SIGNATURE,
    Origin,
    ProxyError,
    claim_and_proof,
    decode,
    destination_of,
    encode,
    expected_length,
    is_trusted,
    same_address,
)

SOURCE4 = bytes((192, 0, 2, 7)) + bytes((10, 0, 0, 1)) + struct.pack(">HH", 40000, 11112)
SOURCE6 = bytes.fromhex("20010db8000000000000000000000007") + bytes(15) + b"\1" + struct.pack(">HH", 40000, 11112)


def header(body: bytes = SOURCE4, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value


def ssl(client: int, verify: int = 0, more: bytes = b"") -> bytes:
    return tlv(0x20, struct.pack(">BI", client, verify) + more)


@pytest.mark.parametrize(
    ("data", "origin"),
    [
        pytest.param(header(), Origin("192.0.2.7", 40000), id="TCP over IPv4"),
        pytest.param(header(SOURCE6, family=0x21), Origin("2001:db8::7", 40000), id="TCP over IPv6"),
        pytest.param(
            header(bytes(10) + b"\xff\xff\xc0\0\2\7" + SOURCE6[16:], family=0x21),
            Origin("192.0.2.7", 40000),
            id="IPv4 within IPv6",
        ),
        pytest.param(header(SOURCE4 + ssl(1)), Origin("192.0.2.7", 40000, tls=True), id="TLS"),
        pytest.param(header(SOURCE4 + ssl(0)), Origin("192.0.2.7", 40000), id="the TLV, and no TLS"),
        pytest.param(
            header(
                SOURCE4 + tlv(4, bytes(20)) + ssl(7, 0, tlv(0x21, b"TLSv1.3") + tlv(0x22, b"ct1")) + tlv(0xEE, b"x")
            ),
            Origin("192.0.2.7", 40000, tls=True, certificate="ct1"),
            id="among other TLVs",
        ),
        pytest.param(
            header(SOURCE4 + ssl(7, 1, tlv(0x22, b"ct1"))),
            Origin("192.0.2.7", 40000, tls=True),
            id="a certificate that was not verified",
        ),
        pytest.param(
            header(SOURCE4 + ssl(1, 0, tlv(0x22, b"ct1"))),
            Origin("192.0.2.7", 40000, tls=True),
            id="a name without a certificate",
        ),
        pytest.param(
            header(SOURCE4 + ssl(7, 0, tlv(0x22, b"ct1") + tlv(0x22, b"ct2"))),
            Origin("192.0.2.7", 40000, tls=True),
            id="two names",
        ),
        pytest.param(LOCAL, None, id="LOCAL"),
        pytest.param(header(SOURCE4, command=0x20), None, id="LOCAL with addresses"),
        pytest.param(header(b"\1\2\3", command=0x20, family=0x99), None, id="LOCAL with anything"),
        pytest.param(header(b"", family=0), None, id="unspecified"),
        pytest.param(header(bytes(100), family=0), None, id="unspecified, with bytes to skip"),
    ],
)
def test_a_header_tells_who_the_peer_is(data: bytes, origin: Origin | None) -> None:
    assert decode(data) == origin
    for length in range(len(data)):
        assert expected_length(data[:length]) == (16 if length < 16 else len(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 11112\r\n", id="version 1"),
        pytest.param(b"\1\0\0\0\0\x44", id="an A-ASSOCIATE-RQ"),
        pytest.param(b"\x16\3\1\0\xc8", id="a TLS ClientHello"),
        pytest.param(SIGNATURE[:11] + b"\r", id="a signature with a wrong end"),
        pytest.param(header(command=0x11), id="version 1 in the byte of version 2"),
        pytest.param(header(command=0x22), id="an unknown command"),
        pytest.param(header(length=0xFFFF), id="a length of 64 KiB"),
        pytest.param(header(length=MAX_LENGTH - 15), id="a byte too long"),
        pytest.param(header(family=0x12), id="UDP"),
        pytest.param(header(bytes(216), family=0x31), id="a UNIX socket"),
        pytest.param(header(SOURCE4[:11]), id="half an address"),
        pytest.param(header(SOURCE4, family=0x21), id="IPv6 of IPv4's length"),
        pytest.param(header(SOURCE4 + b"\x20\0"), id="half a TLV"),
        pytest.param(header(SOURCE4 + b"\x20\xff\xff\1"), id="a TLV longer than the header"),
        pytest.param(header(SOURCE4 + tlv(0x20, b"\1\0\0")), id="a short TLS TLV"),
        pytest.param(header()[:-1], id="truncated"),
        pytest.param(header() + b"\0", id="a byte behind it"),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyError):
        decode(data)


def test_a_header_that_is_too_long_is_refused_before_its_bytes_come() -> None:
    assert expected_length(header(length=MAX_LENGTH - 16)[:16]) == MAX_LENGTH
    with pytest.raises(ProxyError):
        expected_length(header(length=MAX_LENGTH - 15)[:16])


@given(st.binary(max_size=80), st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11", SIGNATURE + b"\x21\x21"]))
def test_whatever_comes_is_a_header_or_an_error(data: bytes, before: bytes) -> None:
    try:
        decode(before + data)
    except ProxyError:
        pass


@given(
    st.ip_addresses(),
    st.integers(0, 65535),
    st.booleans(),
    st.ip_addresses(),
    st.integers(0, 65535),
    st.text(st.characters(codec="utf-8"), max_size=60),
)
def test_what_is_written_is_read_again(a: object, port: int, tls: bool, b: object, other: int, name: str) -> None:
    origin = decode(encode(Origin(str(a), port, tls, certificate=name), (str(b), other)))
    assert origin is not None
    mapped = getattr(a, "ipv4_mapped", None)
    assert origin == Origin(str(mapped or a), port, tls, certificate=name if tls else "")


def test_the_bytes_are_those_of_the_document() -> None:
    assert encode(Origin("192.0.2.7", 40000), ("10.0.0.1", 11112)) == header()
    assert LOCAL == b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


def test_only_addresses_within_the_networks_are_trusted() -> None:
    networks = [ip_network("10.0.0.0/24"), ip_network("fd00::/8")]
    assert [is_trusted(a, networks) for a in ("10.0.0.9", "::ffff:10.0.0.9", "fd00::1", "fd00::1%eth0")] == [True] * 4
    assert [is_trusted(a, networks) for a in ("10.0.1.9", "fe80::1", "", "door", "::ffff:10.0.1.9")] == [False] * 5
    assert not is_trusted("127.0.0.1", [])


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_proof_is_the_last_of_its_header_and_over_all_before_it(source: str, tls: bool) -> None:
    claims: list[bytes] = []

    def prove(claim: bytes) -> bytes:
        claims.append(claim)
        return b"p" * 57

    proven = encode(Origin(source, 40000, tls), ("192.0.2.20", 11113), prove)
    assert expected_length(proven) == len(proven)
    assert decode(proven) == Origin(source, 40000, tls)
    assert claim_and_proof(proven) == (claims[0], b"p" * 57)
    assert claims[0] + b"p" * 57 == proven
    assert destination_of(proven) == ("192.0.2.20", 11113)


@pytest.mark.parametrize(
    "tlvs", [b"", ssl(1), tlv(0xE0, b"p" * 57) + ssl(1), tlv(0x04, tlv(0xE0, b"p" * 57)), tlv(0xE1, b"p" * 57)]
)
def test_a_header_without_a_proof_at_its_end_has_none(tlvs: bytes) -> None:
    whole = header(SOURCE4 + tlvs)
    decode(whole)
    assert claim_and_proof(whole) == (whole, b"")


@given(tlvs=st.binary(max_size=200))
def test_what_is_decoded_has_a_proof_or_none(tlvs: bytes) -> None:
    whole = header(SOURCE4 + tlvs)
    try:
        decode(whole)
    except ProxyError:
        return
    claim, proof = claim_and_proof(whole)
    assert claim + proof == whole


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "2001:db8::1", False),
    ],
)
def test_addresses_are_compared_as_addresses(address: str, other: str, same: bool) -> None:
    assert same_address(address, other) is same
