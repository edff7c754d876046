"""Rejection notes (IHE IOCM) made for a test: Key Object Selection documents that name instances."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION

QUALITY, SAFETY, WORKLIST, RETENTION = "113001", "113037", "113038", "113039"


def rejection_note(
    instances: Sequence[Dataset], code: str = QUALITY, *, scheme: str = "DCM", study: str | None = None
) -> Dataset:
    """A note of the first instance's study and patient, or of another `study`."""
    first = instances[0]
    note = Dataset()
    note.ensure_file_meta()
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    note.SOPClassUID, note.SOPInstanceUID = KEY_OBJECT_SELECTION, generate_uid()
    note.StudyInstanceUID, note.SeriesInstanceUID = study or first.StudyInstanceUID, generate_uid()
    note.PatientID, note.PatientName = first.PatientID, first.PatientName
    note.Modality, note.InstanceNumber, note.SeriesNumber = "KO", 1, 1
    note.StudyDate, note.StudyTime = first.StudyDate, first.StudyTime
    note.ValueType = "CONTAINER"
    note.ConceptNameCodeSequence = [_code(code, scheme)]
    note.CurrentRequestedProcedureEvidenceSequence = [
        _study(uid, list(group)) for uid, group in groupby(instances, lambda instance: str(instance.StudyInstanceUID))
    ]
    return note


def _code(value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "Rejected"
    return item


def _study(uid: str, instances: Sequence[Dataset]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = uid, []
    for series_uid, group in groupby(instances, lambda image: str(image.SeriesInstanceUID)):
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, []
        for instance in group:
            item = Dataset()
            item.ReferencedSOPClassUID = instance.SOPClassUID
            item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
            series.ReferencedSOPSequence.append(item)
        study.ReferencedSeriesSequence.append(series)
    return study
