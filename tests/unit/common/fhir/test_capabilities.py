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
            parameters = [(parameter["name"], VALUES[parameter["type"]])]
            orders = resource["type"] == "ServiceRequest"
            read = order_search_of if orders else partial(search_of, resource["type"])
            assert read(parameters, Systems(), strict=True).used == parameters


def test_topic_is_said_where_there_are_subscriptions_and_nothing_of_them_elsewhere() -> None:
    url = "https://archive.example/fhir/r4"
    without = capability_statement("1", "2026-01-02", url)
    assert "Subscription" not in str(without)
    made = capability_statement("1", "2026-01-02", url, "urn:topic")
    resource = made["rest"][0]["resource"][-1]
    assert (resource["type"], resource["extension"][0]["valueCanonical"]) == ("Subscription", "urn:topic")
    assert [operation["name"] for operation in resource["operation"]] == ["status", "events"]
