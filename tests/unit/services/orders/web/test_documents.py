"""Orders as documents, and documents as orders."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.orders import StepState, fold_order, pack
from gantry.common.ports.orders import FoldedChange
from gantry.services.orders.web.documents import (
    changed_attributes,
    document_of,
    entry_of,
    order_url,
    placed_attributes,
)
from tests.support.orders import attributes, cancelled, changed, erased, order, placed, step

STEPS = "00400100"


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def uid() -> str:
    return "2.25.1"


def test_a_document_says_the_state_of_each_step_and_where_it_is_found() -> None:
    state = fold_order(None, placed(order(step("S1"), step("S2")))).state
    assert state is not None
    document = document_of(state, {"S1": StepState.STARTED, "S2": StepState.CANCELLED})
    assert [item["00400020"]["Value"] for item in document[STEPS]["Value"]] == [["STARTED"], ["CANCELLED"]]
    assert document["00081190"]["Value"] == ["/dicom-web/orders/A1"]


def test_what_is_given_out_can_be_placed_as_it_is() -> None:
    state = fold_order(None, placed()).state
    assert state is not None
    assert placed_attributes(document_of(state, {}), uid) == order()


def test_padding_is_no_part_of_a_value() -> None:
    document = {
        "00080050": element("SH", "A1 "),
        STEPS: element("SQ", {"00080060": element("CS", "CT "), "00400009": element("SH", " S1")}),
    }
    placed_one = placed_attributes(document, uid)
    assert placed_one[0x00080050] == ["A1"]
    assert placed_one[0x00400100] == [{0x00080060: ["CT"], 0x00400009: ["S1"]}]
    _, steps = changed_attributes({STEPS: element("SQ", {"00400009": element("SH", "S1 ")})})
    assert list(steps) == ["S1"]


def test_an_order_without_a_study_gets_one_and_its_steps_get_ids() -> None:
    document = {
        "00080050": element("SH", "A1"),
        STEPS: element("SQ", {"00080060": element("CS", "CT")}, {"00400009": element("SH", "S7")}),
    }
    made = placed_attributes(document, uid)
    assert made == attributes(
        AccessionNumber="A1",
        StudyInstanceUID="2.25.1",
        ScheduledProcedureStepSequence=[
            attributes(ScheduledProcedureStepID="1", Modality="CT"),
            attributes(ScheduledProcedureStepID="S7"),
        ],
    )


@pytest.mark.parametrize(
    "document",
    [
        {"00080050": element("SH", "longer than sixteen")},
        {"00080050": element("LO", "A1")},
        {"AccessionNumber": element("SH", "A1")},
        {STEPS: element("SQ", "S1")},
        {"00400002": element("DA", "tomorrow")},
        {"00080050": "A1"},
    ],
)
def test_what_is_no_order_is_not_understood(document: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        placed_attributes(document, uid)


def test_a_change_sets_and_takes_away_by_step() -> None:
    document = {
        "00100020": element("LO", "P2"),
        "00401001": None,
        "00380010": element("LO"),
        STEPS: element("SQ", {"00400009": element("SH", "S1"), "00400002": element("DA", "20260106")}),
    }
    changes, steps = changed_attributes(document)
    assert changes == {**attributes(PatientID="P2"), 0x00401001: None, 0x00380010: None}
    assert steps == {
        "S1": attributes(ScheduledProcedureStepID="S1", ScheduledProcedureStepStartDate="20260106"),
    }


@pytest.mark.parametrize("ids", [[None], ["S1", "S1"]])
def test_each_step_to_change_is_named_once(ids: list[str | None]) -> None:
    items = [{} if step_id is None else {"00400009": element("SH", step_id)} for step_id in ids]
    with pytest.raises(NotUnderstood, match="of its own"):
        changed_attributes({STEPS: element("SQ", *items)})


def test_a_history_says_what_was_asked_and_what_was_decided() -> None:
    entries = [
        entry_of(FoldedChange(placed(), True, "")),
        entry_of(FoldedChange(changed({0x00100020: None}, {"S1": None}), True, "")),
        entry_of(FoldedChange(cancelled("S1"), False, "there is no step S1")),
        entry_of(FoldedChange(erased(), True, "")),
    ]
    assert [entry["type"] for entry in entries] == ["placed", "changed", "cancelled", "erased"]
    assert (entries[3]["reason"], "attributes" in entries[3]) == ("the law", False)
    assert entries[0]["attributes"]["00100020"] == element("LO", "P1")
    assert (entries[1]["attributes"], entries[1]["steps"]) == ({"00100020": element("LO")}, {"S1": None})
    assert (entries[2]["accepted"], entries[2]["refused"]) == (False, "there is no step S1")
    assert entries[2]["reason"] == "patient did not come"


def test_an_event_that_cannot_be_read_is_in_the_history_without_attributes() -> None:
    from dataclasses import replace

    entry = entry_of(FoldedChange(replace(placed(), attributes=b"\xc1"), False, "packed attributes cannot be read"))
    assert entry["attributes"] is None
    assert pack({}) == b"\x80"


def test_a_key_is_quoted_once_more_in_a_path() -> None:
    assert order_url("filler:F%2F1") == "/dicom-web/orders/filler%3AF%252F1"
