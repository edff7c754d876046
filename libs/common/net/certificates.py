"""The name in a peer's certificate, by which a policy knows the peer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_in(certificate: Mapping[str, Any] | None) -> str:
    """The Common Name of the subject of a verified certificate, as `ssl.SSLSocket.getpeercert` returns it. Without a
    Common Name it is the first DNS name; without a certificate, or with several Common Names, it is ""."""
    if not certificate:
        return ""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if not names:
        names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"][:1]
    name = names[0] if len(names) == 1 else ""
    return name if name.isprintable() else ""
