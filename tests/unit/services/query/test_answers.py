"""Response identifiers: what is in them, and in which words."""

from __future__ import annotations

import pytest

from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Document, Item, Level, Query, Single
from gantry.services.query.answers import Answers
from tests.support.dicom import EXPLICIT, SYNTAXES, from_bytes

DOCUMENT = Document(
    Level.STUDY,
    {
        0x00080020: ["20240131"],
        0x00080061: ["CT", "SR"],
        0x00100010: [{"Alphabetic": "Müller^Jörg"}],
        0x00100020: ["P1"],
        0x0020000D: ["1.2.3"],
        0x00201208: [12],
    },
)


def answers(*tags: int, level: Level = Level.STUDY, syntax: str = EXPLICIT, terms: tuple[str, ...] = ()) -> Answers:
    identifier = Identifier({tag: [] for tag in (0x00080052, *tags)}, character_set(terms))
    return Answers(identifier, Query("default", level), syntax, "GANTRY")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_answer_holds_what_was_asked_for_and_the_unique_keys(syntax: str) -> None:
    made = answers(0x00100010, 0x00080050, 0x00201208, 0x00080056, syntax=syntax)
    read = from_bytes(made.encode(DOCUMENT, "ONLINE"), syntax)
    assert made.complete
    assert read.QueryRetrieveLevel == "STUDY"
    assert read.RetrieveAETitle == "GANTRY"
    assert read.InstanceAvailability == "ONLINE"
    assert read.PatientName == "Müller^Jörg"
    assert read.NumberOfStudyRelatedInstances == 12
    assert read.AccessionNumber == ""
    assert (read.PatientID, read.StudyInstanceUID) == ("P1", "1.2.3")
    assert "StudyDate" not in read
    assert read.SpecificCharacterSet == "ISO_IR 192"


def test_an_unsupported_key_makes_the_answer_incomplete_and_is_not_returned() -> None:
    for tag in (0x00091001, 0x00400275, 0x0020000E):
        made = answers(0x00080020, tag)
        assert not made.complete
        assert tag not in from_bytes(made.encode(DOCUMENT), EXPLICIT)
    assert answers(0x0020000E, level=Level.SERIES).complete


def test_an_answer_is_in_the_character_set_of_the_question_where_that_holds_it() -> None:
    read = from_bytes(answers(0x00100010, terms=("ISO_IR 100",)).encode(DOCUMENT), EXPLICIT)
    assert read.SpecificCharacterSet == "ISO_IR 100"
    assert read.PatientName == "Müller^Jörg"
    plain = Document(Level.STUDY, {0x00100010: [{"Alphabetic": "Doe"}]})
    assert "SpecificCharacterSet" not in from_bytes(answers(0x00100010).encode(plain), EXPLICIT)


def test_of_a_sequence_the_items_that_match_are_returned_with_what_was_asked_for() -> None:
    """PS3.4 C.2.2.2.6."""
    request, step, described, code = 0x00400275, 0x00400009, 0x00400007, 0x00321064
    items = [
        {step: ["S1"], described: ["Head"], code: [{0x00080100: ["C1"], 0x00080104: ["skull"]}]},
        {step: ["S2"], described: ["Foot"]},
    ]
    document = Document(Level.SERIES, {0x0020000E: ["1.2"], request: items})
    item = Identifier({step: ["S1"], code: []}, items={code: Identifier({0x00080100: []})})
    identifier = Identifier({0x00080052: ["SERIES"], request: []}, items={request: item})
    query = Query("default", Level.SERIES, {request: Item({step: Single(("S1",))})})
    read = from_bytes(Answers(identifier, query, EXPLICIT, "GANTRY").encode(document), EXPLICIT)
    (request_item,) = read.RequestAttributesSequence
    assert sorted(e.keyword for e in request_item) == ["RequestedProcedureCodeSequence", "ScheduledProcedureStepID"]
    assert [e.keyword for e in request_item.RequestedProcedureCodeSequence[0]] == ["CodeValue"]
    everything = Identifier({0x00080052: ["SERIES"], request: []}, items={request: Identifier({})})
    whole = Answers(everything, Query("default", Level.SERIES), EXPLICIT, "GANTRY").encode(document)
    assert [i.ScheduledProcedureStepDescription for i in from_bytes(whole, EXPLICIT).RequestAttributesSequence] == [
        "Head",
        "Foot",
    ]


def test_dates_are_answered_in_the_zone_of_the_question() -> None:
    stored = {0x00080020: ["20240131"], 0x00080030: ["233000.5"], 0x00080201: ["-0500"], 0x00100030: ["19700101"]}
    query = Query("default", Level.STUDY, zone="+0100")
    identifier = Identifier({tag: [] for tag in (0x00080052, *stored)})
    read = from_bytes(Answers(identifier, query, EXPLICIT, "GANTRY").encode(Document(Level.STUDY, stored)), EXPLICIT)
    assert (read.StudyDate, read.StudyTime, read.TimezoneOffsetFromUTC) == ("20240201", "053000.5", "+0100")
    assert read.PatientBirthDate == "19700101"
