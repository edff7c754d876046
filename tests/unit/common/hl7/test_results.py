"""Messages about studies: what they say, and that whatever objects say comes back out of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.config.hl7_receiver_sections import Hl7Charset
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.charsets import decoded
from gantry.common.hl7.datatypes import person_name, provider_name
from gantry.common.hl7.message import Hl7Message, parse
from gantry.common.hl7.mllp import Frame, MllpDecoder, framed
from gantry.common.hl7.results import (
    Correspondents,
    ImagingResult,
    Standing,
    link_of,
    moment,
    name_groups,
    result_message,
)
from gantry.common.hl7.writing import MessageCharset, plain

AT = 1_790_000_000_000_000
BETWEEN = Correspondents("GANTRY", "HOSPITAL", "RIS", "CLINIC")
UTF8 = MessageCharset("UNICODE UTF-8")
STUDY = {
    "PatientID": ["4711"],
    "IssuerOfPatientID": ["HOSP"],
    "PatientName": [{"Alphabetic": "Yamada^Tarou^^Dr.^Jr.", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}],
    "PatientBirthDate": ["19700102"],
    "PatientSex": ["M"],
    "StudyDate": ["20261128"],
    "StudyTime": ["101500.25"],
    "AccessionNumber": ["A1"],
    "ModalitiesInStudy": ["SR", "CT"],
    "ReferringPhysicianName": [{"Alphabetic": "House^Gregory"}],
    "StudyDescription": ["CT | neck & thorax"],
}


def tagged(values: dict[str, Any]) -> dict[int, Any]:
    return {TAGS[keyword]: value for keyword, value in values.items()}


def result(values: dict[str, Any] = STUDY, standing: Standing = Standing.HERE, **more: Any) -> ImagingResult:
    return ImagingResult("1.2.3", tagged(values), standing, **({"cause": "r1", "at": AT} | more))


def told(values: dict[str, Any] = STUDY, charset: MessageCharset = UTF8, **more: Any) -> Hl7Message:
    """The message as our own reader has it, out of its frame."""
    decoder = MllpDecoder(1 << 20)
    decoder.receive(framed(result_message(result(values, **more), BETWEEN, charset).content))
    frame = decoder.next()
    assert isinstance(frame, Frame)
    assert not isinstance(decoder.next(), Frame)
    return parse(decoded(frame.message))


def test_the_message_is_an_oru_after_notify_of_imaging_results() -> None:
    message = told()
    assert (message.kind, message.version, message.source) == ("ORU^R01", "2.5.1", "GANTRY^HOSPITAL")
    assert (message.header.text(5), message.header.text(6), message.header.text(9, 3)) == ("RIS", "CLINIC", "ORU_R01")
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1", "ORC", "OBR", "OBX"]
    raw = {segment.name: segment.raw for segment in message.segments}
    assert raw["PID"].startswith("PID|1||4711^^^HOSP^MR||Yamada^Tarou^^Jr.^Dr.^^L^A~山田^太郎^^^^^L^I~")
    assert raw["PID"].endswith("||19700102|M")
    assert raw["OBR"] == (
        f"OBR|1|||^CT \\F\\ neck \\T\\ thorax|||20261128101500|||||||||^House^Gregory||A1||||{moment(AT)}||CT|R"
    )
    assert raw["OBX"] == "OBX|1|ST|113014^DICOM Study^DCM||1.2.3||||||O|||20261128101500"
    assert raw["ORC"] == f"ORC|SC||||CM||||{moment(AT)}"


def test_what_the_order_says_stands_where_a_ris_said_it() -> None:
    code = {TAGS["CodeValue"]: ["CTN"], TAGS["CodeMeaning"]: ["CT neck"], TAGS["CodingSchemeDesignator"]: ["99RIS"]}
    issuer = {TAGS["LocalNamespaceEntityID"]: ["RIS"]}
    message = told(
        STUDY
        | {
            "PlacerOrderNumberImagingServiceRequest": ["P1"],
            "OrderPlacerIdentifierSequence": [issuer],
            "FillerOrderNumberImagingServiceRequest": ["F1"],
            "RequestedProcedureID": ["RP1"],
            "RequestedProcedureCodeSequence": [code],
            "RequestingPhysician": ["Cuddy^Lisa"],
        }
    )
    for name in ("ORC", "OBR"):
        segment = message.first(name)
        assert segment is not None
        assert (segment.field(2).raw, segment.field(3).raw) == ("P1^RIS", "F1")
    order = message.first("OBR")
    assert order is not None
    assert (order.field(4).raw, order.field(44).raw) == ("CTN^CT neck^99RIS", "CTN^CT neck^99RIS")
    assert (order.text(19), provider_name(order.field(16))) == ("RP1", {"Alphabetic": "Cuddy^Lisa"})


@pytest.mark.parametrize(
    ("standing", "statuses"),
    [(Standing.HERE, ("R", "O", "CM")), (Standing.CHANGED, ("C", "C", "CM")), (Standing.GONE, ("C", "D", ""))],
    ids=lambda value: value.name if isinstance(value, Standing) else "",
)
def test_the_statuses_say_how_a_study_stands(standing: Standing, statuses: tuple[str, str, str]) -> None:
    message = told(standing=standing)
    order, seen, control = message.first("OBR"), message.first("OBX"), message.first("ORC")
    assert order is not None
    assert seen is not None
    assert control is not None
    assert (order.text(25), seen.text(11), control.text(5)) == statuses


def test_a_link_is_one_more_observation() -> None:
    link = link_of("https://pacs/v?s={study}&a={accession}", "1.2.3", tagged(STUDY | {"AccessionNumber": ["A&1 2"]}))
    assert link == "https://pacs/v?s=1.2.3&a=A%261%202"
    second = told(link=link).all("OBX")[1]
    assert (second.text(2), second.field(5).text(1)) == ("RP", link)


def test_the_same_is_known_as_the_same_and_nothing_else_is() -> None:
    def named(**more: Any) -> str:
        return result_message(result(**more), BETWEEN, UTF8).control_id

    first = named()
    assert result_message(result(), BETWEEN, UTF8) == result_message(result(), BETWEEN, UTF8)
    assert len(first) == 20
    others = {
        named(cause="r2"),
        named(at=AT + 1_000_000),
        named(standing=Standing.CHANGED),
        named(values=STUDY | {"PatientID": ["4712"]}),
    }
    assert len(others | {first}) == 5


@pytest.mark.parametrize("name", get_args(Hl7Charset))
def test_every_character_set_of_the_settings_can_be_written_and_read(name: str) -> None:
    message = told(charset=MessageCharset(name))
    patient = message.first("PID")
    assert patient is not None
    groups = person_name(patient.repetitions(5))
    assert groups is not None
    assert groups["Alphabetic"] == "Yamada^Tarou^^Dr.^Jr."
    assert "?" not in "".join(groups.values())
    assert ("Phonetic" in groups) is (name[:3] in ("UNI", "GB ", "ISO", "BIG", "KS "))


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [(["MR", "CT"], "CT"), (["CT", "MR"], "CT"), (["KO", "SR", "MR"], "MR"), (["SR", "PR"], "PR"), ([], "")],
    ids=["two", "the other way round", "made of images", "no images", "none"],
)
def test_the_modality_is_one_that_took_images_and_always_the_same(modalities: list[str], expected: str) -> None:
    order = told({"ModalitiesInStudy": modalities}).first("OBR")
    assert order is not None
    assert order.text(24) == expected


def test_a_name_that_cannot_be_written_is_not_left_out() -> None:
    patient = told({"PatientName": ["Müller^Jörg"]}, MessageCharset("ASCII")).first("PID")
    assert patient is not None
    assert patient.text(5) == "M?ller"


def test_names_without_groups_say_nothing() -> None:
    assert name_groups({"Alphabetic": "^^", "Ideographic": "山"}) == {"Ideographic": "山"}
    assert name_groups("A^B==C") == {"Alphabetic": "A^B", "Phonetic": "C"}
    assert name_groups(None) == {}


def test_a_study_that_says_nothing_can_be_told() -> None:
    message = told({})
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1", "ORC", "OBR", "OBX"]
    assert told({"PatientID": ['""'], "PatientSex": ["X"]}).segments[1].raw == "PID|1|||||||U"


# Everything that is a character, with what means something to HL7, MLLP and DICOM more often.
ANY = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('|^~\\&\r\n\x0b\x1c\x1b"=#')))
PART = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="^=\\"), max_size=9)
NAME = st.lists(PART, min_size=1, max_size=5).map("^".join)


def read(value: str) -> str:
    text = plain(value)
    return "" if text == '""' else text


@given(ANY, ANY, ANY)
def test_whatever_objects_say_our_own_reader_reads_it_back(number: str, accession: str, words: str) -> None:
    values = {"PatientID": [number], "AccessionNumber": [accession], "StudyDescription": [words or "x"]}
    message = told(values | {"IssuerOfPatientID": [words]}, link=f"https://x/{accession}")
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "OBX"]
    patient, order, link = message.segments[1], message.segments[4], message.segments[6]
    assert patient.text(3) == read(number)
    assert patient.text(3, 4, 1) == (read(words) if read(number) else "")
    assert order.text(18) == read(accession)
    if read(words):
        assert order.text(4, 2) == read(words)
    assert link.text(5) == read(f"https://x/{accession}")


@given(NAME, NAME, NAME)
def test_whatever_names_say_our_own_reader_reads_it_back(alphabetic: str, ideographic: str, phonetic: str) -> None:
    patient_name = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    patient = told({"PatientName": [patient_name]}).first("PID")
    assert patient is not None
    expected = {
        kind: name.rstrip("^") for kind, name in patient_name.items() if name.strip("^") and '""' not in name.split("^")
    }
    name = person_name(patient.repetitions(5)) or {}
    assert {kind: name for kind, name in name.items() if kind in expected} == expected
