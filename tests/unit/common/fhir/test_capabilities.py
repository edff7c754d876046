"""What the CapabilityStatement says can be asked."""

from __future__ import annotations

from functools import partial

from gantry.common.fhir.capabilities import capability_statement
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.order_searches import order_search_of
from gantry.common.fhir.searches import search_of

VALUES = {"token": "active", "reference": "Patient/1", "date": "2024"}


def test_every_parameter_that_is_named_is_understood() -> None:
    made = capability_statement("1", "2026-01-02", "https://archive.example/fhir/r4")
    assert made["fhirVersion"] == "4.0.1"
    for resource in made["rest"][0]["resource"]:
        for parameter in resource["searchParam"]:
            asked = [(parameter["name"], VALUES[parameter["type"]])]
            orders = resource["type"] == "ServiceRequest"
            read = order_search_of if orders else partial(search_of, resource["type"])
            assert read(asked, Systems(), strict=True).used == asked
