"""Patients of a health record for whom an app was opened (SMART App Launch 2.2): their Patient IDs here. Pure.

A token names a Patient by an id of the health record, which is not a Patient ID: the Patient's identifiers there show
the Patient IDs here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from gantry.common.errors import NotUnderstood

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""https://hl7.org/fhir/R4/datatypes.html#id"""
_MOST = 64
_LONGEST = 64
"""PS3.5 6.2: LO."""


def record_url(base: str, name: str) -> str:
    """The URL of a Patient; "" for an invalid id, such as one that would lead elsewhere."""
    is_id = _ID.fullmatch(name) is not None and name.strip(".") != ""
    return f"{base.rstrip('/')}/Patient/{name}" if is_id else ""


def systems_of(lines: Iterable[str]) -> dict[str, str]:
    """Issuers of Patient IDs by systems of identifiers, from `SYSTEM=ISSUER`."""
    return {system: issuer for system, _, issuer in (line.partition("=") for line in lines)}


def patients_of(body: bytes, url: str, systems: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Patient IDs with their issuers, of the Patient at a URL. Raises `NotUnderstood` for anything but a Patient."""
    try:
        resource = json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("what it answered is no JSON") from None
    if (
        not isinstance(resource, dict)
        or resource.get("resourceType") != "Patient"
        or not url.endswith(f"/{resource.get('id')}")
    ):
        raise NotUnderstood("what it answered is not that Patient")
    listed = resource.get("identifier", [])
    identifiers = (
        [identifier for identifier in listed if isinstance(identifier, dict)] if isinstance(listed, list) else []
    )
    named = [
        (identifier.get("value"), systems[str(identifier.get("system"))])
        for identifier in identifiers
        if str(identifier.get("system")) in systems
    ]
    ids = [(text, issuer) for value, issuer in named if (text := _patient_id(value))]
    return tuple(dict.fromkeys(ids))[:_MOST]


def _patient_id(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST and text.isprintable() and "\\" not in text else ""
