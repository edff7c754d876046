"""`gantry.services.orders.workitems.documents`."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.workitems import Workitem, WorkitemState
from gantry.services.orders.workitems.documents import attributes_in, document_of
from tests.support.workitems import as_json, done, workitem


def test_attributes_come_back_as_they_were_the_empty_ones_too() -> None:
    values = {**workitem(), **done(), TAGS["CommentsOnTheScheduledProcedureStep"]: []}
    assert attributes_in(as_json(values)) == values


def test_padding_is_no_part_of_a_value() -> None:
    assert attributes_in({"00741000": {"vr": "CS", "Value": ["IN PROGRESS "]}}) == {0x00741000: ["IN PROGRESS"]}


def test_a_document_names_itself_and_never_its_lock() -> None:
    made = Workitem("default", "1.2.3", WorkitemState.IN_PROGRESS, workitem(), "blake3:secret")
    document = document_of(made, "http://here/workitems/1.2.3")
    assert document["00080018"]["Value"] == ["1.2.3"]
    assert document["00081190"]["Value"] == ["http://here/workitems/1.2.3"]
    assert document["00741000"]["Value"] == ["IN PROGRESS"]
    assert "00081195" not in document
    assert "secret" not in repr(document)


def test_a_workitem_may_name_many_instances() -> None:
    many = {"00080018": {"vr": "UI", "Value": [f"1.{n}" for n in range(1000)]}}
    assert len(attributes_in(many)[0x00080018]) == 1000


@pytest.mark.parametrize(
    "document",
    [
        {"00100020": {"vr": "SH", "Value": ["P1"]}},
        {"00100020": "P1"},
        {"PatientID": {"vr": "LO"}},
        {"00404005": {"vr": "DT", "Value": ["soon"]}},
        {"00080018": {"vr": "UI", "Value": ["1.2"] * 6000}},
    ],
)
def test_what_is_no_data_set_is_told_in_words(document: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood):
        attributes_in(document)
