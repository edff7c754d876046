"""Resources of FHIR R4, as they are made here, as those of R5 (https://hl7.org/fhir/R5). Pure.

What differs for what we say: a Coding or CodeableConcept became a CodeableConcept or CodeableReference, and an Endpoint
says types and MIME types together. Subscriptions are made anew (`gantry.common.subscriptions.r5`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gantry.common.fhir.resources import Resource

VERSION = "5.0.0"


def as_r5(resource: Resource) -> Resource:
    """The resource in R5; of a Bundle all that is in it. What differs in nothing is given as it is."""
    convert = _CONVERSIONS.get(str(resource.get("resourceType")))
    return resource if convert is None else convert(resource)


def _bundle(bundle: Resource) -> Resource:
    if "entry" not in bundle:
        return bundle
    entries = [
        {**entry, "resource": as_r5(entry["resource"])} if "resource" in entry else entry for entry in bundle["entry"]
    ]
    return {**bundle, "entry": entries}


def _imaging_study(study: Resource) -> Resource:
    renamed = {
        "contained": [as_r5(resource) for resource in study.get("contained", ())],
        "modality": [_concept(coding) for coding in study.get("modality", ())],
        "procedure": [_by_concept(code) for code in study.get("procedureCode", ())],
        "series": [_series(series) for series in study.get("series", ())],
    }
    return _changed(study, renamed, "procedureCode")


def _series(series: Resource) -> Resource:
    side, site = series.get("laterality"), series.get("bodySite")
    renamed = {
        "modality": _concept(series["modality"]),
        "laterality": None if side is None else _concept(side),
        "bodySite": None if site is None else _by_concept({"text": site["display"]}),
    }
    return _changed(series, renamed)


def _endpoint(endpoint: Resource) -> Resource:
    payload = {"type": endpoint["payloadType"], "mimeType": endpoint["payloadMimeType"]}
    renamed = {"connectionType": [_concept(endpoint["connectionType"])], "payload": [payload]}
    return _changed(endpoint, renamed, "payloadType", "payloadMimeType")


def _service_request(order: Resource) -> Resource:
    code = order.get("code")
    renamed = {
        "code": None if code is None else _by_concept(code),
        "reason": [_by_concept(code) for code in order.get("reasonCode", ())],
    }
    return _changed(order, renamed, "reasonCode")


def _capabilities(statement: Resource) -> Resource:
    rest = [
        {**rest, "resource": [made for each in rest["resource"] for made in _served(each)]}
        for rest in statement["rest"]
    ]
    return _changed(statement, {"fhirVersion": VERSION, "rest": rest}, "instantiates")


def _served(resource: Resource) -> list[Resource]:
    """Subscriptions are of the release itself, and their topic is a resource."""
    if resource["type"] != "Subscription":
        return [resource]
    operations = [
        {
            "name": operation["name"],
            "definition": f"http://hl7.org/fhir/OperationDefinition/Subscription-{operation['name']}",
        }
        for operation in resource["operation"]
    ]
    fields = {name: resource[name] for name in ("type", "interaction", "searchParam")}
    topic = {"type": "SubscriptionTopic", "interaction": [{"code": "read"}, {"code": "search-type"}]}
    return [{**fields, "operation": operations}, topic]


def _changed(resource: Resource, changed: Resource, *gone: str) -> Resource:
    """The resource with other elements and without some; an empty one is none."""
    fields = {name: value for name, value in resource.items() if name not in gone and name not in changed}
    return fields | {name: value for name, value in changed.items() if value not in (None, [])}


def _concept(coding: Resource) -> Resource:
    return {"coding": [coding]}


def _by_concept(concept: Any) -> Resource:
    """A CodeableReference that refers to nothing."""
    return {"concept": concept}


_CONVERSIONS: dict[str, Callable[[Resource], Resource]] = {
    "Bundle": _bundle,
    "CapabilityStatement": _capabilities,
    "Endpoint": _endpoint,
    "ImagingStudy": _imaging_study,
    "ServiceRequest": _service_request,
}
