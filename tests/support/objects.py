"""Small DICOM objects made for a test, with UIDs of its choice."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gantry.cli.files import DicomFile, look
from tests.support.dicom import bundled_file

CT = "1.2.840.10008.5.1.4.1.1.2"


def data_set(
    *,
    study: str | None = None,
    series: str | None = None,
    instance: str | None = None,
    patient: str = "P1",
    name: str = "Doe^Jane",
    number: int = 1,
    size: int = 64,
    **more: object,
) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = instance or generate_uid()
    ds.StudyInstanceUID = study or generate_uid()
    ds.SeriesInstanceUID = series or generate_uid()
    ds.PatientID, ds.PatientName = patient, name
    ds.StudyDate, ds.StudyTime, ds.Modality, ds.InstanceNumber = "20240131", "101500", "CT", number
    ds.StudyID, ds.AccessionNumber, ds.StudyDescription = "S1", "A1", "CT of something"
    ds.Rows = ds.Columns = size
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.SamplesPerPixel, ds.PixelRepresentation = 15, 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes((number + i) & 0xFF for i in range(size * size * 2))
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def file_bytes(ds: Dataset) -> bytes:
    out = BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def write(folder: Path, ds: Dataset) -> DicomFile:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    path.write_bytes(file_bytes(ds))
    file = look(path)
    assert isinstance(file, DicomFile)
    return file


def study(folder: Path, count: int, *, series: int = 1, **fields: object) -> list[DicomFile]:
    """`count` instances of one study in `series` series."""
    uid = generate_uid()
    uids = [generate_uid() for _ in range(series)]
    return [
        write(folder, data_set(study=uid, series=uids[i % series], number=i + 1, **fields))  # type: ignore[arg-type]
        for i in range(count)
    ]


def sample(folder: Path, name: str, **fields: object) -> DicomFile:
    """One of pydicom's bundled files with new UIDs: many of these files share UIDs, and some lack them."""
    ds = pydicom.dcmread(bundled_file(name))
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return write(folder, ds)


def bytes_of(file: DicomFile) -> bytes:
    """The bytes of the data set in the file."""
    return file.path.read_bytes()[file.offset :]
