"""The CapabilityStatement (https://hl7.org/fhir/R4/capabilitystatement.html): what can be asked. Pure."""

from __future__ import annotations

from typing import Any

from gantry.common.fhir.order_searches import PARAMETERS as OF_ORDERS
from gantry.common.fhir.searches import PARAMETERS

_GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport"


def capability_statement(version: str, day: str, url: str, topic: str = "") -> dict[str, Any]:
    """What this archive understands since a `day`, YYYY-MM-DD; `url` is the base of FHIR, `topic` the canonical URL of
    what can be subscribed to, "" where there are no subscriptions."""
    statement: dict[str, Any] = {
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
    if topic:
        statement["instantiates"] = [f"{_GUIDE}/CapabilityStatement/backport-subscription-server-r4"]
        statement["rest"][0]["resource"].append(_subscriptions(topic))
    return statement


_ALL = {**PARAMETERS, "ServiceRequest": OF_ORDERS}


def _resource(name: str) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": name,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": parameter, "type": kind} for parameter, kind in _ALL[name]],
    }
    if name == "ImagingStudy":
        resource["searchInclude"] = ["ImagingStudy:subject"]
    return resource


def _subscriptions(topic: str) -> dict[str, Any]:
    """Subscriptions R5 Backport, R4: https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/"""
    canonical = f"{_GUIDE}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    operations = ("status", "events")
    return {
        "extension": [{"url": canonical, "valueCanonical": topic}],
        "type": "Subscription",
        "supportedProfile": [f"{_GUIDE}/StructureDefinition/backport-subscription"],
        "interaction": [{"code": code} for code in ("read", "create", "update", "delete", "search-type")],
        "searchParam": [{"name": "_id", "type": "token"}, {"name": "status", "type": "token"}],
        "operation": [
            {"name": name, "definition": f"{_GUIDE}/OperationDefinition/backport-subscription-{name}"}
            for name in operations
        ],
    }
