"""The indices' mappings: strict, made of the table of attributes, and telling what they were made for."""

from __future__ import annotations

import json

import pytest

from gantry.common.adapters.opensearch.cluster import KINDS, LEVELS, OpenSearchCluster
from gantry.common.adapters.opensearch.schema import (
    ORDERED,
    mappings_of,
    order_fields,
    sort_of,
    table_of,
    template_of,
)
from gantry.common.dicom.query.attributes import STANDARD, Attribute, AttributeTable, Level
from gantry.common.dicom.query.ordering import STUDY_ORDERS, SortKey

CLUSTER = OpenSearchCluster(("http://localhost:9200",), prefix="ward", shards=5, replicas=2)
ADDED = AttributeTable(
    [
        Attribute(0x00091001, "Ours", "LO", Level.SERIES, creator="GANTRY TEST"),
        Attribute(0x00080068, "PresentationIntentType", "CS", Level.SERIES),
    ]
)


def properties(kind: str) -> dict[str, object]:
    return {
        **template_of(kind, CLUSTER)["template"]["mappings"]["properties"],
        **mappings_of(kind, STANDARD).get("properties", {}),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_comes_into_an_index_by_chance(kind: str) -> None:
    template = template_of(kind, CLUSTER)["template"]
    assert template["mappings"]["dynamic"] == "strict"
    for field in properties(kind).values():
        assert isinstance(field, dict)
        if field.get("type") == "object" and field.get("enabled", True):
            assert field["dynamic"] == "strict"


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_is_sorted_by_fields_that_it_has(kind: str) -> None:
    settings = template_of(kind, CLUSTER)["template"]["settings"]
    assert settings["sort.field"] == sort_of(kind)
    assert len(settings["sort.order"]) == len(settings["sort.field"])
    assert set(sort_of(kind)) <= set(properties(kind))


def test_only_instances_are_many() -> None:
    shards = {kind: template_of(kind, CLUSTER)["template"]["settings"]["number_of_shards"] for kind in KINDS}
    assert shards == {**dict.fromkeys(KINDS, 1), "instances": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_for_the_indices_of_its_prefix_alone(kind: str) -> None:
    (pattern,) = template_of(kind, CLUSTER)["index_patterns"]
    assert pattern.startswith(f"ward-{kind}-v")
    assert pattern.endswith("-*")


@pytest.mark.parametrize("table", [STANDARD, ADDED], ids=["standard", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_tells_what_it_was_made_for(kind: str, table: AttributeTable) -> None:
    """As JSON, as the server keeps it."""
    assert table_of(json.loads(json.dumps(mappings_of(kind, table)))).added == table.added


def test_an_index_of_a_version_that_told_nothing_is_of_the_standard_table() -> None:
    assert table_of({}).by_tag == STANDARD.by_tag


def test_what_the_settings_add_is_searched_at_its_level_alone() -> None:
    for kind in LEVELS:
        terms = mappings_of(kind, ADDED)["properties"]["t"]["properties"]
        assert ("PresentationIntentType" in terms) is (kind == "series")


def test_a_study_is_found_by_what_is_said_of_its_patient_but_not_by_counts() -> None:
    of_patient = mappings_of("studies", STANDARD)["properties"]["p"]["properties"]
    assert {"PatientName", "PatientID"} <= set(of_patient)
    assert not {name for name in of_patient if name.startswith("NumberOf")}


@pytest.mark.parametrize("tag", STUDY_ORDERS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_order_of_studies_has_a_field_and_ends_with_the_uid(tag: int, descending: bool) -> None:
    fields = order_fields((SortKey(tag, descending),))
    assert fields[-1] == ("uid", descending)  # undecided never, in the direction of the last attribute
    name, direction = fields[0]
    assert (name, direction) == (ORDERED[tag], descending)
    head, _, rest = name.partition(".")
    field = properties("studies")[head]
    assert isinstance(field, dict)
    assert not rest or rest in field["properties"]
