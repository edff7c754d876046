"""Items that tell nothing."""

from __future__ import annotations

from gantry.common.deidentify.dummy_items import code_item, dummy_items
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from tests.support.elements import ITEM, element, implicit


def test_an_annotation_is_a_point_in_a_layer_that_the_object_has() -> None:
    value = implicit(ITEM, element(0x00700002, b"CS", b"FIRST "))
    items = dummy_items(0x00700001, value, Encoding())
    assert items is not None
    assert items[0]["00700002"]["Value"] == ["FIRST"]
    assert items[0]["00700009"]["Value"][0]["00700023"]["Value"] == ["POINT"]


def test_a_content_is_a_text_with_a_name_of_its_concept() -> None:
    items = dummy_items(0x0040A730, b"", Encoding())
    assert items is not None
    assert items[0]["0040A040"]["Value"] == ["TEXT"]
    assert items[0]["0040A043"]["Value"][0] == code_item("121106", "DCM", "Comment")


def test_a_person_is_a_code() -> None:
    items = dummy_items(0x00401101, b"", Encoding())
    assert items == [code_item("ANONYMIZED", "99GANTRY", "ANONYMIZED")]


def test_other_sequences_are_cleaned_item_by_item() -> None:
    assert dummy_items(0x0040A073, b"", Encoding()) is None
