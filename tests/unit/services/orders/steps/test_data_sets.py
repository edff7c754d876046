"""Data sets of performed procedure steps, with pydicom as the other side."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items

from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import NotUnderstood
from gantry.services.orders.steps.data_sets import decoded, encoded
from tests.support.elements import element
from tests.support.orders import attributes

SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)


def written(data_set: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, syntax == IMPLICIT_LITTLE_ENDIAN
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def step() -> Dataset:
    made, item = Dataset(), Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientName = "Müller^Eva"
    made.PatientBirthDate = ""
    item.StudyInstanceUID = "1.2.3"
    item.AccessionNumber = ""
    made.ScheduledStepAttributesSequence = Items([item])
    made.PerformedSeriesSequence = Items([])
    made.add_new(0x00091001, "LO", "private")
    return made


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_empty_is_there_and_what_is_missing_is_not(syntax: str) -> None:
    values = decoded(written(step(), syntax), syntax)
    assert values == attributes(
        PatientName="Müller^Eva",
        PatientBirthDate=[],
        ScheduledStepAttributesSequence=[attributes(StudyInstanceUID="1.2.3", AccessionNumber=[])],
        PerformedSeriesSequence=[],
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_attributes_come_back_as_another_implementation_reads_them(syntax: str) -> None:
    data = encoded(decoded(written(step(), syntax), syntax), (), syntax)
    read = dcmread(BytesIO(data), force=True)
    again = decoded(data, syntax)
    assert again == decoded(written(step(), syntax), syntax)
    if syntax == IMPLICIT_LITTLE_ENDIAN:
        assert (str(read.PatientName), read.SpecificCharacterSet) == ("Müller^Eva", "ISO_IR 192")


def test_attributes_that_are_named_are_returned_with_a_value_or_without() -> None:
    wanted = (TAGS["PatientName"], TAGS["PatientSex"], 0x00091001)
    data = encoded(attributes(PatientName="Doe^Jane", PatientID="P1"), wanted, EXPLICIT_LITTLE_ENDIAN)
    assert decoded(data, EXPLICIT_LITTLE_ENDIAN) == attributes(PatientName="Doe^Jane", PatientSex=[])


def test_what_is_no_data_set_is_not_understood() -> None:
    with pytest.raises(NotUnderstood):
        decoded(b"\x08\x00\x05\x00CS\xff\xff", EXPLICIT_LITTLE_ENDIAN)


def test_a_name_that_was_sent_as_text_is_one_and_text_that_was_sent_as_a_name_is_text() -> None:
    sent = element(0x00080060, b"PN", b"C^T ") + element(0x00100010, b"LO", b"Doe^Jane")
    values = decoded(sent, EXPLICIT_LITTLE_ENDIAN)
    assert values == {TAGS["Modality"]: ["C^T"], TAGS["PatientName"]: [{"Alphabetic": "Doe^Jane"}]}
    assert b"<Alphabetic>" in to_xml(keys_as_attributes(values))
