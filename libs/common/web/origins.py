"""The header by which the door proves X-Forwarded-For, and the address that it is for. Pure."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from gantry.common.errors import OriginRefused

PROOF = "X-Gantry-Door-Proof"
"""The header is for one hop: the door never forwards one that it received."""
_LONGEST = 256


class OriginCheck(Protocol):
    """Decides whether a proxy may name a client."""

    def check_request(self, method: str, target: str, forwarded: str, proof: str, own_address: tuple[str, int]) -> None:
        """`forwarded` is X-Forwarded-For, `proof` the header `PROOF`, `own_address` the address the request came to.
        Raises `OriginRefused`."""


def text_of_proof(proof: bytes) -> str:
    """The header's value."""
    return urlsafe_b64encode(proof).decode()


def proof_of_text(text: str) -> bytes:
    """The proof of a header's value, empty if there is none. Raises `OriginRefused`."""
    if not text:
        return b""
    try:
        proof = b64decode(text.encode("ascii"), altchars=b"-_", validate=True) if len(text) <= _LONGEST else b""
    except ValueError:
        proof = b""
    # One text for each proof: other forms that the decoder accepts are not ours.
    if text_of_proof(proof) != text:
        raise OriginRefused("forged", "a proof in a form that is not known")
    return proof


def normal_address(address: tuple[str, int]) -> str:
    """ADDRESS:PORT in one form, the same for door and service: without a zone, and as IPv4 if it is mapped."""
    host = ip_address(address[0].partition("%")[0])
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return f"{mapped or host}:{address[1]}"
