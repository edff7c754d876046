"""Rules as the settings write them: what would do nothing, or may not be, is refused by the rule's name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.lifecycle_sections import CoercionRuleSettings
from gantry.common.errors import ConfigError
from gantry.common.lifecycle.coercion_rules import coercion_rules

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "it does nothing"),
    ({"calling": ["CT1"], "where": ["Modality=CT"]}, "it does nothing"),
    ({"set": {"StudyInstanceUID": "1.2"}}, "StudyInstanceUID cannot be changed"),
    ({"set": {"SOPClassUID": "1.2"}}, "SOPClassUID cannot be changed"),
    ({"set": {"Rows": "512"}}, "Rows cannot be changed"),
    ({"nullify": ["PixelData"]}, "PixelData cannot be changed"),
    ({"copy": {"FrameOfReferenceUID": "StudyID"}}, "FrameOfReferenceUID cannot be changed"),
    ({"map": {"BitsStored": {"values": {"12": "16"}}}}, "BitsStored cannot be changed"),
    ({"set": {"SpecificCharacterSet": "ISO_IR 192"}}, "SpecificCharacterSet cannot be changed"),
    ({"set": {"PatientNmae": "A"}}, "neither a keyword of the data dictionary nor a tag"),
    ({"copy": {"StudyID": "Accession"}}, "neither a keyword of the data dictionary nor a tag"),
    ({"set": {"StudyDate": "31.1.2024"}}, "StudyDate: not a value of DA"),
    ({"set": {"AccessionNumber": "x" * 17}}, "AccessionNumber: not a value of SH"),
    ({"set": {"Modality": "ct"}}, "Modality: not a value of CS"),
    ({"set": {"PregnancyStatus": "yes"}}, "PregnancyStatus: not a value of US"),
    ({"set": {"StudyID": "A\\\\B"}}, "StudyID: an empty value"),
    ({"map": {"Modality": {"values": {"CT": "not one"}}}}, "Modality: not a value of CS"),
    ({"map": {"Modality": {"values": {"CT": "MR"}, "default": "not one"}}}, "Modality: not a value of CS"),
    ({"map": {"Modality": {"values": {"CT": ""}}}}, "Modality: an empty value"),
    ({"map": {"StudyID": {"values": {"a": "b"}, "from": "PixelData"}}}, "PixelData has no values"),
    ({"copy": {"StudyID": "RequestAttributesSequence"}}, "RequestAttributesSequence has no values"),
    ({"set": {"RequestAttributesSequence": "x"}}, "RequestAttributesSequence is a sequence"),
    ({"copy": {"StudyID": "StudyID"}}, "StudyID is copied from itself"),
    ({"nullify": ["Modality"]}, "Modality cannot be emptied"),
    ({"order": {"by": ["PatientID"], "copy": ["StudyInstanceUID"]}}, "StudyInstanceUID cannot be changed"),
    ({"order": {"by": ["PatientID"], "copy": ["Accession"]}}, "neither a keyword of the data dictionary nor a tag"),
    ({"order": {"by": ["PatientID"], "copy": ["StudyID"]}, "nullify": ["StudyID"]}, "StudyID is changed twice"),
    ({"order": {"by": ["PatientID"], "copy": ["PatientID"]}, "issuer": "B"}, "IssuerOfPatientID is changed twice"),
    ({"nullify": ["Manufacturer"]}, "Manufacturer cannot be emptied"),
    ({"set": {"StudyID": "A"}, "nullify": ["StudyID"]}, "StudyID is changed twice"),
    ({"set": {"IssuerOfPatientID": "A"}, "issuer": "B"}, "IssuerOfPatientID is changed twice"),
    ({"issuer": "A\nB"}, "IssuerOfPatientID: not a value of LO"),
    ({"issuer": "A", "where": ["Modalty=CT"]}, "Modalty: not an attribute of objects"),
    ({"issuer": "A", "where": ["ModalitiesInStudy=CT"]}, "ModalitiesInStudy: no object has it"),
    ({"issuer": "A", "where": ["PixelData=1"]}, "PixelData: not an attribute of objects"),
    ({"issuer": "A", "where": ["Modality"]}, "a condition is KEY=VALUE"),
    ({"issuer": "A", "where": ["Modality=*"]}, "a value says which"),
    ({"issuer": "A", "where": ["Modality=CT", "Modality=MR"]}, "Modality is there twice"),
    ({"issuer": "A", "where": ["StudyDate=soon"]}, "StudyDate holds what is no DA value"),
]


@pytest.mark.parametrize(("said", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_rule_that_would_be_ignored_or_may_not_be_is_refused_by_its_name(said: dict[str, Any], words: str) -> None:
    rule = CoercionRuleSettings.model_validate({"name": "north", **said})
    with pytest.raises(ConfigError) as refused:
        coercion_rules([rule])
    assert "coercion.rules" in str(refused.value)
    assert "rule north: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"set": {"AccessionNumber": 123}}, "write it in quotes"),
        ({"set": {"AccessionNumber": ""}}, "an empty value"),
        ({"set": {"AccessionNumber": []}}, "an empty value"),
        ({"map": {"StudyID": {"values": {"a": 1}}}}, "write it in quotes"),
        ({"map": {"StudyID": {"values": {}}}}, "at least 1 item"),
        ({"remove": ["StudyID"]}, "Extra inputs are not permitted"),
        ({"calling": [""]}, "not an AE title"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_settings(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CoercionRuleSettings.model_validate({"name": "north", **said})


def test_two_rules_of_one_name_are_refused() -> None:
    rule = CoercionRuleSettings.model_validate({"name": "north", "issuer": "N"})
    with pytest.raises(ConfigError, match="two rules are called north"):
        coercion_rules([rule, rule])


def test_without_rules_there_is_nothing_to_ask_for_any_object() -> None:
    assert coercion_rules([]) is None


def test_a_tag_stands_for_a_keyword_and_a_sequence_can_be_emptied() -> None:
    settings = {"name": "north", "set": {"00080050": "A1"}, "nullify": ["RequestAttributesSequence"]}
    made = coercion_rules([CoercionRuleSettings.model_validate(settings)])
    assert made is not None
    sender = made.of("X", "")
    assert sender is not None
    changes = sender.changes({0x00400275: [{0x00400009: ["S"]}]})
    assert changes.values == {"00080050": {"vr": "SH", "Value": ["A1"]}, "00400275": {"vr": "SQ"}}
