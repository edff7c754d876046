"""What is answered of a sequence that was asked for."""

from __future__ import annotations

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.item_answers import ItemAnswer
from gantry.common.dicom.query.matching import Item, Single

MODALITY, STATION, CODES, VALUE = 0x00080060, 0x00400001, 0x00400008, 0x00080100
ITEMS = [
    {MODALITY: ["CT"], STATION: ["CT1"], CODES: [{VALUE: ["A"]}, {VALUE: ["B"]}]},
    {MODALITY: ["MR"], STATION: ["MR1"]},
]


def test_items_that_match_are_returned_with_the_attributes_that_were_asked_for() -> None:
    identifier = Identifier({MODALITY: ["CT"]})
    assert ItemAnswer(identifier, Item({MODALITY: Single(("CT",))})).of(ITEMS) == [{MODALITY: ["CT"]}]
    assert ItemAnswer(Identifier({STATION: []}), None).of(ITEMS) == [{STATION: ["CT1"]}, {STATION: ["MR1"]}]


def test_items_are_whole_where_no_attribute_is_named() -> None:
    assert ItemAnswer(Identifier({}), None).of(ITEMS) == ITEMS


def test_sequences_in_items_are_chosen_from_likewise() -> None:
    identifier = Identifier({CODES: []}, items={CODES: Identifier({VALUE: ["B"]})})
    condition = Item({CODES: Item({VALUE: Single(("B",))})})
    assert ItemAnswer(identifier, condition).of(ITEMS) == [{CODES: [{VALUE: ["B"]}]}]
