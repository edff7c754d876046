"""Rejection notes differ from other Key Object Selection documents by their title, and name each instance once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gantry.common.dicom.model.rejection_notes import MEANINGS, RejectedInstance, rejection_of
from tests.support.objects import data_set
from tests.support.rejection_notes import rejection_note

IMAGES = [data_set(study="1.1", series=f"1.1.{s}", instance=f"1.1.{s}.{n}", size=2) for s in (1, 2) for n in (1, 2)]


def attributes(code: str = "113001", scheme: str = "DCM") -> dict[str, Any]:
    note: dict[str, Any] = json.loads(rejection_note(IMAGES, code, scheme=scheme).to_json())
    return note


@pytest.mark.parametrize("code", MEANINGS)
def test_a_note_names_its_code_and_its_instances_in_order(code: str) -> None:
    note = rejection_of(attributes(code))
    assert note is not None
    assert (note.code, note.meaning) == (code, MEANINGS[code])
    assert note.instances == tuple(
        RejectedInstance(i.StudyInstanceUID, i.SeriesInstanceUID, i.SOPClassUID, i.SOPInstanceUID) for i in IMAGES
    )


def test_an_instance_that_is_named_twice_counts_once() -> None:
    twice = attributes()
    twice["0040A375"]["Value"] *= 2
    note = rejection_of(twice)
    assert note is not None
    assert len(note.instances) == 4


def test_key_objects_of_another_title_are_no_note() -> None:
    for other in (attributes("113000"), attributes(scheme="99LOCAL"), {}):
        assert rejection_of(other) is None
    untitled = attributes()
    del untitled["0040A043"]
    assert rejection_of(untitled) is None


@pytest.mark.parametrize("value", [{}, {"Value": []}, {"Value": ["text", None, 5]}, {"Value": [{}]}])
def test_a_note_without_proper_references_names_no_instance_or_one_without_uids(value: dict[str, Any]) -> None:
    note = rejection_of({**attributes(), "0040A375": value})
    assert note is not None
    assert note.instances == ()
