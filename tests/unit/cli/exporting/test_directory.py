"""DICOMDIR, as pydicom reads it."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

import pydicom
import pytest

from gantry.cli.exporting.directory import KEYWORDS, Directory, record_type
from gantry.cli.exporting.names import Exported
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.support.elements import CT

EXPLICIT = "1.2.840.10008.1.2.1"


def directory(*instances: tuple[str, str, str, str]) -> pydicom.Dataset:
    written = Directory("1.2.3")
    for number, (patient, study, series, instance) in enumerate(instances):
        values = {"PatientID": patient, "StudyInstanceUID": study, "SeriesInstanceUID": series}
        header = {f"{TAGS[keyword]:08X}": {"vr": "LO", "Value": [value]} for keyword, value in values.items()}
        for name in ("StudyInstanceUID", "SeriesInstanceUID"):
            header[f"{TAGS[name]:08X}"]["vr"] = "UI"
        exported = Exported(patient, study, series, instance, CT, EXPLICIT)
        written.add(exported, PurePosixPath(f"PT/IM{number:06d}"), header)
    return pydicom.dcmread(io.BytesIO(written.encoded()))


def walked(read: pydicom.Dataset) -> list[tuple[str, int]]:
    """Type and depth of each record, by the offsets and not by the order."""
    by_offset = {item.seq_item_tell: item for item in read.DirectoryRecordSequence}
    entries: list[tuple[str, int]] = []

    def walk(offset: int, depth: int) -> None:
        while offset:
            record = by_offset[offset]
            entries.append((record.DirectoryRecordType, depth))
            walk(record.OffsetOfReferencedLowerLevelDirectoryEntity, depth + 1)
            offset = record.OffsetOfTheNextDirectoryRecord

    walk(read.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity, 0)
    return entries


def test_records_hang_together_by_their_offsets() -> None:
    read = directory(
        ("P1", "1", "1.1", "1.1.1"),
        ("P1", "1", "1.1", "1.1.2"),
        ("P1", "1", "1.2", "1.2.1"),
        ("P2", "2", "2.1", "2.1.1"),
    )
    assert walked(read) == [
        ("PATIENT", 0), ("STUDY", 1), ("SERIES", 2), ("IMAGE", 3), ("IMAGE", 3), ("SERIES", 2), ("IMAGE", 3),
        ("PATIENT", 0), ("STUDY", 1), ("SERIES", 2), ("IMAGE", 3),
    ]  # fmt: skip
    last = read.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity
    assert next(item for item in read.DirectoryRecordSequence if item.seq_item_tell == last).PatientID == "P2"


def test_a_record_names_its_file_and_what_is_in_it() -> None:
    record = directory(("P1", "1", "1.1", "1.1.1")).DirectoryRecordSequence[3]
    assert record.ReferencedFileID == ["PT", "IM000000"]
    assert (record.ReferencedSOPClassUIDInFile, record.ReferencedSOPInstanceUIDInFile) == (CT, "1.1.1")
    assert record.ReferencedTransferSyntaxUIDInFile == EXPLICIT


def test_what_a_record_must_have_and_an_object_lacks_gets_a_dummy_value() -> None:
    patient, study, series, image = directory(("P1", "1", "1.1", "1.1.1")).DirectoryRecordSequence
    assert patient.PatientName == ""
    assert (study.StudyDate, study.StudyTime, study.StudyID) == ("19000101", "000000", "1")
    assert (series.Modality, series.SeriesNumber, image.InstanceNumber) == ("OT", 1, 1)


def test_a_name_beyond_ascii_is_in_a_character_set_that_is_named() -> None:
    written = Directory("1.2.3")
    header = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]}}
    written.add(Exported("P1", "1", "1.1", "1.1.1", CT, EXPLICIT), PurePosixPath("IM000000"), header)
    patient = pydicom.dcmread(io.BytesIO(written.encoded())).DirectoryRecordSequence[0]
    assert patient.SpecificCharacterSet == "ISO_IR 192"
    assert patient.PatientName == "Müller^Jörg"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CTImageStorage", "IMAGE"),
        ("RTImageStorage", "IMAGE"),
        ("RTDoseStorage", "RT DOSE"),
        ("BasicTextSRStorage", "SR DOCUMENT"),
        ("KeyObjectSelectionDocumentStorage", "KEY OBJECT DOC"),
        ("GrayscaleSoftcopyPresentationStateStorage", "PRESENTATION"),
        ("TwelveLeadECGWaveformStorage", "WAVEFORM"),
        ("EncapsulatedPDFStorage", "ENCAP DOC"),
        ("SegmentationStorage", "IMAGE"),
    ],
)
def test_a_record_has_the_type_of_its_sop_class(name: str, kind: str) -> None:
    assert record_type(STORAGE_SOP_CLASSES[name]) == kind


def test_all_keywords_are_of_the_dictionary() -> None:
    assert all(keyword in TAGS for keyword in KEYWORDS)
