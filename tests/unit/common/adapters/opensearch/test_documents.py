"""Documents in the indices: all written fields are in the mappings, and packed values can be unpacked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.election import Candidate, Election
from gantry.common.adapters.opensearch.cluster import OpenSearchCluster
from gantry.common.adapters.opensearch.documents import (
    MOST_NEAR,
    SeriesSummary,
    election_of,
    instance_id,
    instance_source,
    is_lost,
    known_receipt,
    location_of,
    pack,
    patient_source,
    readable_place,
    receipt_id,
    receipt_row,
    receipt_source,
    receipts_source,
    series_id,
    series_source,
    shortened,
    study_id,
    study_source,
    unpack,
    with_loss,
)
from gantry.common.adapters.opensearch.schema import mappings_of, template_of
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.lifecycle import CorrectionEffect
from gantry.common.ports.index import InstanceKey
from tests.support.entries import entry

CLUSTER = OpenSearchCluster(("http://localhost:9200",))
VALUES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers(0, 9) | st.floats(0, 9)


def strict(kind: str, source: dict[str, Any]) -> None:
    """What a strict mapping lets in, as JSON."""
    json.dumps(source)
    _within(
        source,
        {
            **template_of(kind, CLUSTER)["template"]["mappings"]["properties"],
            **mappings_of(kind, STANDARD).get("properties", {}),
        },
    )


def _within(source: dict[str, Any], properties: dict[str, Any]) -> None:
    assert set(source) <= set(properties)
    for name, value in source.items():
        if properties[name].get("type") == "object" and properties[name].get("enabled", True):
            _within(value, properties[name]["properties"])


def row(receipt: int, digest: str = "blake3:00", syntax: str = "1.2.840.10008.1.2.1", lost: bool = False) -> list[Any]:
    return [f"{receipt:032x}", digest, syntax, f"objects/{receipt}", 300, "MODALITY", lost]


def receipts(*rows: list[Any]) -> dict[str, Any]:
    return {"near": list(rows), "moved": 0, "moved_aside": 0}


@given(st.dictionaries(st.integers(0, 0xFFFFFFFF), st.lists(VALUES, max_size=3), max_size=4))
def test_attributes_are_unpacked_as_they_were_packed(attributes: dict[int, Any]) -> None:
    assert unpack(pack(attributes)) == attributes


def test_ids_of_different_entities_are_different() -> None:
    ids = [
        study_id("a", "1.2"),
        study_id("b", "1.2"),
        series_id("a", "1.2", "1.3"),
        series_id("a", "1.3", "1.2"),
        instance_id("a", InstanceKey("1.2", "1.3", "1.4")),
        instance_id("a", InstanceKey("1.2", "1.4", "1.3")),
        receipt_id(instance_id("a", InstanceKey("1.2", "1.3", "1.4")), "0"),
    ]
    assert len(set(ids)) == len(ids)


def test_documents_of_every_level_fit_their_mappings() -> None:
    stored = entry(1, PatientName={"Alphabetic": "Doe^Jane"}, PatientID="P1", Modality="CT", StudyDate="20240101")
    election = Election([])
    election.take(stored)
    instance = {**instance_source(stored, STANDARD), **receipts_source(election, 0, None)}
    strict("instances", instance)
    series = SeriesSummary("1.2.3", "1.2.3.1", stored.receipt, 1, [stored.sop_class_uid], unpack(instance["above"]))
    strict("series", series_source("default", series, STANDARD))
    study = study_source("default", "1.2.3", [series], CorrectionEffect((), ("k",)), STANDARD)
    strict("studies", study)
    demographics = [(stored.receipt, unpack(study["demographics"]))]
    strict("patients", patient_source("default", study["patient"], demographics, (1, 1, 1), STANDARD))
    strict("receipts", receipt_source("default:1.2.3:1.2.3.1:1.2.3.1.1", instance["receipts"]["near"][0]))


def test_an_instance_says_where_it_is() -> None:
    instance = entry(7)
    election = Election([])
    election.take(instance)
    location = location_of({**instance_source(instance, STANDARD), **receipts_source(election, 0, None)})
    assert location.object_key == instance.object_key
    assert (location.data_set_offset, location.data_set_length) == (instance.data_set_offset, instance.data_set_length)
    assert (location.digest, location.layout) == (instance.digest, instance.layout)
    assert location.transfer_syntax_uid == instance.transfer_syntax_uid


def test_a_study_counts_and_collects_what_is_below() -> None:
    """PS3.4 C.6.2.1.2, C.6.2.1.3; the earliest series says the rest."""
    below = [
        SeriesSummary("1.2", "1.2.2", "b", 3, ["1.9"], {0x00080060: ["SR"], 0x00080020: ["20250101"]}),
        SeriesSummary("1.2", "1.2.1", "a", 2, ["1.8", "1.9"], {0x00080060: ["CT"], 0x00080020: ["20240101"]}),
    ]
    source = study_source("default", "1.2", below, CorrectionEffect((), ("k",)), STANDARD)
    attributes = unpack(source["attributes"])
    assert attributes[0x00080061] == ["CT", "SR"]
    assert attributes[0x00080062] == ["1.8", "1.9"]
    assert (attributes[0x00201206], attributes[0x00201208]) == ([2], [5])
    assert attributes[0x00080020] == ["20240101"]
    assert source["first"] == "a"


def test_the_order_of_series_does_not_change_a_study() -> None:
    below = [SeriesSummary("1.2", f"1.2.{n}", "a", n + 1, [f"1.{n}"], {0x00100020: [f"P{n}"]}) for n in range(3)]
    effect = CorrectionEffect((), ("k",))
    assert study_source("p", "1.2", below, effect, STANDARD) == study_source("p", "1.2", below[::-1], effect, STANDARD)


def test_a_patient_is_found_by_what_any_study_says() -> None:
    variants = [("a", {0x00100010: [{"Alphabetic": "Doe^Jane"}]}), ("b", {0x00100010: [{"Alphabetic": "Roe^Jane"}]})]
    source = patient_source("p", "k", variants, (2, 2, 2), STANDARD)
    assert any("doe" in term for term in source["t"]["PatientName"])
    assert any("roe" in term for term in source["t"]["PatientName"])
    assert unpack(source["attributes"])[0x00100010] == [{"Alphabetic": "Doe^Jane"}]
    assert len(source["variants"]) == 1


def test_a_receipt_in_a_document_of_its_own_is_the_same_receipt() -> None:
    receipt = row(3, lost=True)
    assert receipt_row(receipt_source("i", receipt)) == receipt
    assert known_receipt(receipt).id == receipt[0]


def test_a_lost_receipt_stays_lost_and_others_are_not_touched() -> None:
    before = receipts(row(1), row(2, lost=True))
    after = with_loss(before, [row(1)[0]])
    assert [r[6] for r in after["near"]] == [True, True]
    assert [r[6] for r in before["near"]] == [False, True]
    assert is_lost(after)
    assert not is_lost(before)


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ([row(1), row(2)], 1),
        ([row(1, lost=True), row(2)], 2),
        ([row(1, lost=True), row(2, lost=True)], 1),
        ([row(1, lost=True), row(2, digest="blake3:ff")], 1),  # other bytes are another object
        ([row(1, lost=True), row(2, syntax="1.2.840.10008.1.2")], 1),
    ],
)
def test_the_earliest_receipt_of_the_same_bytes_that_is_not_lost_is_read(rows: list[list[Any]], read: int) -> None:
    assert readable_place(rows, receipts(*rows)) == {"object_key": f"objects/{read}", "offset": 300}


@given(st.lists(st.booleans(), min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_a_shortened_document_elects_as_the_long_one_did(others: list[bool], dice: Any) -> None:
    """Two receipts decide: the earliest, and the earliest of other bytes."""
    rows = [row(n, digest="blake3:ff" if other else "blake3:00") for n, other in enumerate(others)]
    dice.shuffle(rows)
    source = {"receipts": receipts(*rows)}
    short = shortened(source)
    if len(rows) <= MOST_NEAR:
        assert short is None
        return
    assert short is not None
    assert len(short.receipts["near"]) <= 2
    assert sorted([*short.receipts["near"], *short.moved]) == sorted(rows)
    assert short.receipts["moved"] == len(short.moved)
    before, after = election_of(source), election_of({"receipts": short.receipts})
    assert after.current_side == before.current_side == min(Candidate(*r[:3]) for r in rows)
    assert after.aside + short.receipts["moved_aside"] == before.aside
