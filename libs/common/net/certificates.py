"""Whose certificate a peer shows: the name by which a policy knows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_in(certificate: Mapping[str, Any] | None) -> str:
    """The Common Name of the subject of a verified certificate, as `ssl.SSLSocket.getpeercert` gives it; where it has
    none, its first DNS name; "" where there is no certificate, or several Common Names."""
    if not certificate:
        return ""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if not names:
        names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"][:1]
    name = names[0] if len(names) == 1 else ""
    return name if name.isprintable() else ""
