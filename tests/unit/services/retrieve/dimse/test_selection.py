"""Which objects an identifier names (PS3.4 C.4.2.2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import IdentifierError, NotUnderstood
from gantry.services.retrieve.dimse.selection import select

PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.2.2"
PATIENT_ROOT_GET, STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.3"
EXPLICIT = "1.2.840.10008.1.2.1"
LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018


def selected(sop_class: str, values: dict[int, list[Any]], syntax: str = EXPLICIT) -> Query:
    return select(sop_class, encode_identifier(values, syntax), syntax)


@pytest.mark.parametrize("sop_class", [PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_ROOT_GET, STUDY_ROOT_GET])
@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_an_identifier_names_its_level_and_key(sop_class: str, syntax: str) -> None:
    query = selected(sop_class, {LEVEL: ["STUDY"], STUDY: ["1.2.3"]}, syntax)
    assert query.level is Level.STUDY
    assert set(query.conditions) == {STUDY}


def test_keys_above_narrow_where_they_are_given_and_are_not_missed() -> None:
    """UIDs are unique without them, and workstations leave them out."""
    alone = selected(STUDY_ROOT_MOVE, {LEVEL: ["IMAGE"], INSTANCE: ["1.4"]})
    assert set(alone.conditions) == {INSTANCE}
    below = selected(STUDY_ROOT_MOVE, {LEVEL: ["IMAGE"], STUDY: ["1.2"], SERIES: ["1.3"], INSTANCE: ["1.4"]})
    assert set(below.conditions) == {STUDY, SERIES, INSTANCE}


@pytest.mark.parametrize(("level", "key"), [("STUDY", STUDY), ("SERIES", SERIES), ("IMAGE", INSTANCE)])
def test_without_the_key_of_its_own_level_nothing_is_named(level: str, key: int) -> None:
    other = {STUDY: SERIES, SERIES: STUDY, INSTANCE: STUDY}[key]
    with pytest.raises(IdentifierError):
        selected(PATIENT_ROOT_MOVE, {LEVEL: [level], other: ["1.2"]})


def test_a_patient_can_be_moved_in_the_study_root_too() -> None:
    """Not a level of this model (PS3.4 C.6.2.1); Orthanc does it."""
    for sop_class in (STUDY_ROOT_MOVE, PATIENT_ROOT_MOVE):
        query = selected(sop_class, {LEVEL: ["PATIENT"], PATIENT: ["P1"]})
        assert query.level is Level.PATIENT


@pytest.mark.parametrize("values", [{}, {LEVEL: ["NOWHERE"], STUDY: ["1.2"]}, {STUDY: ["1.2"]}])
def test_an_identifier_without_a_level_is_refused(values: dict[int, list[Any]]) -> None:
    with pytest.raises(IdentifierError):
        selected(STUDY_ROOT_MOVE, values)


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.1.1", "", "1.2.840.10008.5.1.4.31"])
def test_other_classes_are_not_understood(sop_class: str) -> None:
    with pytest.raises(NotUnderstood):
        selected(sop_class, {LEVEL: ["STUDY"], STUDY: ["1.2"]})
