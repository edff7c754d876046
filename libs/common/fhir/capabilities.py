"""The CapabilityStatement (https://hl7.org/fhir/R4/capabilitystatement.html): what can be asked. Pure."""

from __future__ import annotations

from typing import Any

from gantry.common.fhir.order_searches import PARAMETERS as OF_ORDERS
from gantry.common.fhir.searches import PARAMETERS


def capability_statement(version: str, day: str, url: str) -> dict[str, Any]:
    """What this archive understands since a `day`, YYYY-MM-DD; `url` is the base of FHIR."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": day,
        "kind": "instance",
        "software": {"name": "Gantry", "version": version},
        "implementation": {"description": "A DICOM archive", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{"mode": "server", "resource": [_resource(name) for name in _ALL]}],
    }


_ALL = {**PARAMETERS, "ServiceRequest": OF_ORDERS}


def _resource(name: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": name,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": parameter, "type": kind} for parameter, kind in _ALL[name]],
    }
    if name == "ImagingStudy":
        said["searchInclude"] = ["ImagingStudy:subject"]
    return said
