"""Headers with corrected attributes, read by pydicom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.common.dicom.encoding.correcting import Modification, corrected_header, corrected_tail
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.layout import Layout
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, data_sets, from_bytes, to_bytes

SMALL = ScanLimits(max_bulk_value=100)
SYNTAXES = [IMPLICIT, EXPLICIT, BIG_ENDIAN]


def value(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def person(name: str) -> dict[str, Any]:
    return value("PN", {"Alphabetic": name})


def modified(**attributes: dict[str, Any]) -> Modification:
    return Modification(
        {name[1:]: element_json for name, element_json in attributes.items()}, "20261127120000.000000+0000", "GANTRY"
    )


def cut(data: bytes, syntax: str) -> tuple[list[bytes], list[bytes], bytes]:
    """The pieces of the header, the values between them, and all that is behind the header."""
    scanner = Scanner(syntax, SMALL)
    scanner.feed(data)
    scan = scanner.finish()
    layout = Layout(scan.header_length, scan.bulk, scan.pixel_data)
    pieces, values, at = [], [], 0
    for bulk in layout.bulk:
        if bulk.offset < layout.header_length:
            pieces.append(data[at : bulk.offset])
            values.append(data[bulk.offset : bulk.offset + bulk.length])
            at = bulk.offset + bulk.length
    return [*pieces, data[at : layout.header_length]], values, data[layout.header_length :]


def corrected(data: bytes, syntax: str, *modifications: Modification) -> Dataset:
    pieces, values, behind = cut(data, syntax)
    header = corrected_header(pieces, encoding_of(syntax), modifications)
    out = b"".join(piece.data + (v if piece.keeps_value else b"") for piece, v in zip(header.pieces, [*values, b""]))
    return from_bytes(out + behind, syntax)


@settings(deadline=None)
@given(data_sets(), st.sampled_from(SYNTAXES))
def test_what_is_corrected_says_so_and_all_else_is_as_it_was(data_set: Dataset, syntax: str) -> None:
    data = to_bytes(data_set, syntax)
    before = from_bytes(data, syntax)
    codes = {"00080100": value("SH", "X1"), "00080104": value("LO", "Skull")}
    ds = corrected(
        data,
        syntax,
        modified(_00100010=person("POE^JANE"), _00080050=value("SH", "A1"), _00081032=value("SQ", codes)),
        modified(_00100010=person("ROE^JANE"), _00101030=value("DS", "70.5"), _00100030=value("DA")),
    )
    assert (ds.PatientName, ds.AccessionNumber, ds.PatientWeight) == ("ROE^JANE", "A1", 70.5)
    assert ds.ProcedureCodeSequence[0].CodeMeaning == "Skull"
    assert not ds.get("PatientBirthDate")
    first, second = ds.OriginalAttributesSequence[-2:]
    (originals,) = first.ModifiedAttributesSequence
    for tag in (0x00100010, 0x00080050, 0x00081032):
        assert (tag in originals) == (tag in before)
        assert tag not in before or originals[tag].value == before[tag].value
    assert second.ModifiedAttributesSequence[0].PatientName == "POE^JANE"
    assert (first.ReasonForTheAttributeModification, first.ModifyingSystem) == ("CORRECT", "GANTRY")
    assert first.AttributeModificationDateTime == "20261127120000.000000+0000"
    assert first["SourceOfPreviousValues"].is_empty
    tags = [element.tag for element in ds]
    assert tags == sorted(set(tags))
    of_modification = {0x00100010, 0x00080050, 0x00081032, 0x00101030, 0x00100030, 0x04000561}
    for element in before:
        if element.tag not in of_modification and element.tag.element:
            assert ds[element.tag].value == element.value


def test_what_others_modified_before_stays_said() -> None:
    data_set = _patient("DOE^JANE")
    item = Dataset()
    item.ModifyingSystem = "OTHER"
    data_set.OriginalAttributesSequence = Sequence([item])
    for syntax in SYNTAXES:
        ds = corrected(to_bytes(data_set, syntax), syntax, modified(_00100010=person("POE^JANE")))
        assert [original.ModifyingSystem for original in ds.OriginalAttributesSequence] == ["OTHER", "GANTRY"]


def test_a_value_that_is_said_already_is_no_modification() -> None:
    data = to_bytes(_patient("DOE^JANE"), EXPLICIT)
    ds = corrected(data, EXPLICIT, modified(_00100010=person("DOE^JANE"), _00100021=value("LO")))
    assert "OriginalAttributesSequence" not in ds
    assert "IssuerOfPatientID" not in ds
    assert to_bytes(ds, EXPLICIT) == data


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_text_that_the_character_set_has_not_brings_the_whole_header_into_utf_8(syntax: str) -> None:
    data_set = _patient("M\u00fcller^J\u00f6rg")
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.StudyDescription = "Sch\u00e4del"
    request = Dataset()
    request.RequestedProcedureDescription = "Sch\u00e4del nativ"
    data_set.RequestAttributesSequence = Sequence([request])
    data_set.ImageComments = "plain"
    ds = corrected(to_bytes(data_set, syntax), syntax, modified(_00080090=person("\u5c71\u7530^\u592a\u90ce")))
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert ds.ReferringPhysicianName == "\u5c71\u7530^\u592a\u90ce"
    assert (ds.PatientName, ds.StudyDescription) == ("M\u00fcller^J\u00f6rg", "Sch\u00e4del")
    assert ds.RequestAttributesSequence[0].RequestedProcedureDescription == "Sch\u00e4del nativ"
    assert ds.ImageComments == "plain"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_text_that_the_character_set_has_is_written_in_it(syntax: str) -> None:
    data_set = _patient("M\u00fcller^J\u00f6rg")
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data = to_bytes(data_set, syntax)
    ds = corrected(data, syntax, modified(_00100010=person("Mei\u00dfner^J\u00f6rg")))
    assert ds.SpecificCharacterSet == "ISO_IR 100"
    assert ds.PatientName == "Mei\u00dfner^J\u00f6rg"
    assert ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientName == "M\u00fcller^J\u00f6rg"
    # Without any, what is not ASCII needs UTF-8.
    del data_set.SpecificCharacterSet
    data_set.PatientName = "PLAIN"
    ds = corrected(to_bytes(data_set, syntax), syntax, modified(_00100010=person("Mei\u00dfner")))
    assert (ds.SpecificCharacterSet, ds.PatientName) == ("ISO_IR 192", "Mei\u00dfner")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_value_that_cannot_be_written_is_left_out_and_the_others_are_not(syntax: str) -> None:
    data = to_bytes(_patient("DOE^JANE"), syntax)
    ds = corrected(data, syntax, modified(_00100040=value("CS", "Ì"), _00100010=person("POE"), _00420011=value("OB")))
    assert (ds.PatientName, ds.get("PatientSex")) == ("POE", None)
    assert ds.PatientID == "P1"


def test_an_element_out_of_order_is_not_there_twice() -> None:
    """Some modalities do not sort (PS3.5 7.1)."""
    study, patient = Dataset(), Dataset()
    study.StudyInstanceUID, patient.PatientName = "1.2.3", "DOE^JANE"
    data = to_bytes(study, EXPLICIT) + to_bytes(patient, EXPLICIT)
    header = corrected_header([data], encoding_of(EXPLICIT), [modified(_00100010=person("POE^JANE"))])
    assert header.pieces[0].data.count(b"PN") == 2  # in its place, and as it was
    assert header.pieces[0].data.count(b"DOE^JANE") == 1


def test_group_lengths_go_since_they_would_be_wrong() -> None:
    data = b"\x10\x00\x00\x00UL\x04\x00\x0c\x00\x00\x00" + to_bytes(_patient("DOE"), EXPLICIT)
    header = corrected_header([data], encoding_of(EXPLICIT), [modified(_00100010=person("POE^JANE"))])
    assert b"\x10\x00\x00\x00UL" not in header.pieces[0].data


def test_what_is_behind_the_pixels_is_in_the_character_set_of_the_header() -> None:
    data_set = Dataset()
    data_set.add_new(0x00104000, "LT", "Sch\u00e4del")
    data_set.SpecificCharacterSet = "ISO_IR 100"
    tail = to_bytes(data_set, EXPLICIT)
    header = corrected_header([tail], encoding_of(EXPLICIT), [modified(_00100010=person("\u5c71\u7530"))])
    assert header.was is not None
    assert (
        from_bytes(corrected_tail(tail, encoding_of(EXPLICIT), header.was), EXPLICIT).PatientComments == "Sch\u00e4del"
    )
    assert corrected_tail(tail, encoding_of(EXPLICIT), None) is tail


def _patient(name: str) -> Dataset:
    data_set = Dataset()
    data_set.PatientName = name
    data_set.PatientID = "P1"
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(data_set, keyword, "1.2.3")
    return data_set
