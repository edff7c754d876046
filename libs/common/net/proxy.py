"""The PROXY protocol, version 2, as bytes (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).

A proxy in front of us (a front door, a load balancer) first names the real peer: a header of 16 bytes, the addresses,
and TLVs. Two TLVs matter here: the TLV about TLS, and our own (in the range for applications, 0xE0 to 0xEF), which is
the last of the header and holds a proof over all bytes before it. A header is trusted because of its sender, so this
code runs only for trusted addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gantry.common.access.origin_proofs import PROOF_LENGTH

Network = IPv4Network | IPv6Network

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_LENGTH = 16
MAX_LENGTH = 4096
"""Bytes. Addresses take 36, the TLS TLV with a certificate's name some hundreds; a longer header is not valid."""

_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_ADDRESSES = {_TCP4: (4, struct.Struct(">4s4sHH")), _TCP6: (16, struct.Struct(">16s16sHH"))}
_TYPE_SSL = 0x20
_CLIENT_SSL, _CLIENT_CERT = 0x01, 0x02 | 0x04
_SUBTYPE_CN = 0x22
_LONGEST_NAME = 256
_TYPE_PROOF = 0xE0

LOCAL = SIGNATURE + bytes((_LOCAL, _UNSPEC, 0, 0))
"""The header of a connection that the sender makes for itself: a health check."""


class ProxyError(Exception):
    """Bytes that are not a header of version 2, or a header of another transport than TCP."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a connection. `tls`: the peer uses TLS, to us or to the proxy in front of us; `local`: the proxy
    connected for itself. `certificate` is the name in the peer's verified certificate, "" without one
    (`gantry.common.net.certificates`)."""

    address: str
    port: int
    tls: bool = False
    local: bool = False
    certificate: str = ""


def expected_length(beginning: bytes) -> int:
    """The length of the header with this beginning; 16 while that is unknown. Raises `ProxyError` at the first wrong
    byte, so that the caller does not wait for the rest of an invalid header."""
    if beginning[:12] != SIGNATURE[: len(beginning)]:
        raise ProxyError("no header of the PROXY protocol")
    if len(beginning) > 12 and beginning[12] not in (_LOCAL, _PROXY):
        raise ProxyError(f"version and command {beginning[12]:#04x}")
    if len(beginning) < FIXED_LENGTH:
        return FIXED_LENGTH
    length = FIXED_LENGTH + int.from_bytes(beginning[14:16], "big")
    if length > MAX_LENGTH:
        raise ProxyError(f"header of {length} bytes")
    return length


def decode(header: bytes) -> Origin | None:
    """The peer; None if the sender connects for itself (LOCAL) or does not name the peer. Raises `ProxyError`."""
    if expected_length(header) != len(header):
        raise ProxyError("truncated header")
    family = header[13]
    # Section 2.2: whatever follows a LOCAL command or an unspecified family is to be skipped.
    if header[12] == _LOCAL or family == _UNSPEC:
        return None
    if family not in _ADDRESSES:
        raise ProxyError(f"address family and protocol {family:#04x}")
    _, form = _ADDRESSES[family]
    if len(header) < FIXED_LENGTH + form.size:
        raise ProxyError("truncated addresses")
    source, _, port, _ = form.unpack_from(header, FIXED_LENGTH)
    tls, certificate = _tls_of(header, FIXED_LENGTH + form.size)
    return Origin(str(_unmapped(ip_address(source))), port, tls, certificate=certificate)


def destination_of(header: bytes) -> tuple[str, int]:
    """The destination address in a header that `decode` accepts, as its sender wrote it."""
    _, form = _ADDRESSES[header[13]]
    _, to, _, port = form.unpack_from(header, FIXED_LENGTH)
    return str(_unmapped(ip_address(to))), port


def claim_and_proof(header: bytes) -> tuple[bytes, bytes]:
    """The bytes that the proof covers in a header that `decode` accepts, and the proof; empty without one."""
    pos, _, form = FIXED_LENGTH, *_ADDRESSES[header[13]]
    pos += form.size
    while pos < len(header):
        kind, length = header[pos], int.from_bytes(header[pos + 1 : pos + 3], "big")
        pos += 3 + length
        if kind == _TYPE_PROOF and pos == len(header):
            return header[: pos - length], header[pos - length :]
    return header, b""


def encode(source: Origin, destination: tuple[str, int], prove: Callable[[bytes], bytes] | None = None) -> bytes:
    """The header of a connection from `source` to `destination`. `prove` returns the proof over all bytes before it.
    Raises `ValueError` for an invalid address."""
    from_, to = ip_address(source.address.split("%")[0]), ip_address(destination[0].split("%")[0])
    if from_.version == to.version == 4:
        family, packed = _TCP4, (from_.packed, to.packed)
    else:
        family, packed = _TCP6, (_as_ipv6(from_), _as_ipv6(to))
    body = _ADDRESSES[family][1].pack(*packed, source.port, destination[1])
    if source.tls:
        # `verify` is 0 if the certificate was verified or none was requested; otherwise the handshake has failed.
        name = source.certificate.encode()[:_LONGEST_NAME]
        common_name = struct.pack(">BH", _SUBTYPE_CN, len(name)) + name if name else b""
        client = _CLIENT_SSL | (_CLIENT_CERT if name else 0)
        body += struct.pack(">BHBI", _TYPE_SSL, 5 + len(common_name), client, 0) + common_name
    if prove is None:
        return _fixed(family, len(body)) + body
    body += struct.pack(">BH", _TYPE_PROOF, PROOF_LENGTH)
    claim = _fixed(family, len(body) + PROOF_LENGTH) + body
    return claim + prove(claim)


def is_trusted(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        ip = _unmapped(ip_address(address.split("%")[0]))
    except ValueError:
        return False
    return any(ip.version == network.version and ip in network for network in networks)


def same_address(address: str, other: str) -> bool:
    """Whether two texts name the same address."""
    first, second = (_unmapped(ip_address(text.partition("%")[0])) for text in (address, other))
    return first == second


def _fixed(family: int, length: int) -> bytes:
    return SIGNATURE + struct.pack(">BBH", _PROXY, family, length)


def _tls_of(header: bytes, pos: int) -> tuple[bool, str]:
    """Whether the peer uses TLS, and the name in the certificate that the proxy verified (section 2.2.5)."""
    tls, certificate = False, ""
    for kind, value in _tlvs(header, pos):
        if kind != _TYPE_SSL:
            continue
        if len(value) < 5:
            raise ProxyError("short TLS TLV")
        tls = bool(value[0] & _CLIENT_SSL)
        verified = value[0] & _CLIENT_CERT and not any(value[1:5])
        names = [name for sub, name in _tlvs(value, 5) if sub == _SUBTYPE_CN]
        try:
            certificate = names[0].decode() if verified and len(names) == 1 else ""
        except UnicodeDecodeError:
            raise ProxyError("the name of a certificate is not UTF-8") from None
    return tls, certificate


def _tlvs(data: bytes, pos: int) -> Iterator[tuple[int, bytes]]:
    while pos < len(data):
        if pos + 3 > len(data):
            raise ProxyError("truncated TLV")
        kind, length = data[pos], int.from_bytes(data[pos + 1 : pos + 3], "big")
        pos += 3
        if length > len(data) - pos:
            raise ProxyError("TLV longer than its header")
        yield kind, data[pos : pos + length]
        pos += length


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    # A dual-stack socket shows IPv4 callers as ::ffff:a.b.c.d.
    return getattr(address, "ipv4_mapped", None) or address


def _as_ipv6(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
