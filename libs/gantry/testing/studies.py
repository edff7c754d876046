"""Studies that are made up: valid enough for an archive and a viewer, of nobody, and the same for the same seed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

_SOP_CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "XA": "1.2.840.10008.5.1.4.1.1.12.1",
}
_SIZE = 64


@dataclass(frozen=True)
class MadeStudy:
    """A study of `make_study`. `data_sets` are complete, with file meta information, in the order of their series."""

    study_instance_uid: str
    data_sets: tuple[Dataset, ...]

    @property
    def series_instance_uids(self) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(str(ds.SeriesInstanceUID) for ds in self.data_sets))

    @property
    def sop_instance_uids(self) -> list[str]:
        """In the order of `data_sets`."""
        return [str(ds.SOPInstanceUID) for ds in self.data_sets]

    def write(self, folder: str | Path) -> list[Path]:
        """As Part 10 files in a folder, which is made where there is none; one for each instance, in order."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, ds in enumerate(self.data_sets, 1):
            path = folder / f"{number:05d}.dcm"
            path.write_bytes(part10(ds))
            paths.append(path)
        return paths


def make_study(
    modality: str = "CT",
    instances: int = 1,
    *,
    series: int = 1,
    size: int = _SIZE,
    patient_id: str = "TEST1",
    patient_name: str = "Test^Patient",
    study_date: str = "",
    description: str = "Made for a test",
    accession_number: str = "",
    seed: int | None = None,
) -> MadeStudy:
    """A study of `instances` images in all, spread over `series`, each `size` by `size` samples of 16 bits (8 for US
    and XA). `study_date` is as DICOM writes it, today where not given. With a `seed` the UIDs are the same each time;
    without one they are new. Raises `ValueError` for a modality that has no single-frame image class here, and for
    numbers below 1 or more series than instances."""
    if modality not in _SOP_CLASSES:
        raise ValueError(f"no images of modality {modality!r} can be made; one of {', '.join(sorted(_SOP_CLASSES))}")
    if not 1 <= series <= instances or size < 1:
        raise ValueError("at least one instance for each series, and one sample")
    seed = secrets.randbits(64) if seed is None else seed
    study_uid = _uid(seed, "study")
    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"
    common.PatientID, common.PatientName = patient_id, patient_name
    common.PatientBirthDate, common.PatientSex = "19700101", "O"
    common.StudyInstanceUID, common.StudyID = study_uid, "1"
    common.StudyDate = study_date or date.today().strftime("%Y%m%d")  # noqa: DTZ011 - a date as a person reads it
    common.StudyTime = "120000"
    common.StudyDescription, common.AccessionNumber = description, accession_number
    common.ReferringPhysicianName = "Test^Referrer"
    made = tuple(_instances(common, modality, instances, series, size, seed))
    return MadeStudy(study_uid, made)


def part10(ds: Dataset) -> bytes:
    """A data set as a Part 10 file (PS3.10 7.1)."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _instances(common: Dataset, modality: str, instances: int, series: int, size: int, seed: int) -> Iterator[Dataset]:
    for number in range(instances):
        series_number = number * series // instances + 1
        ds = Dataset()
        ds.update(common)
        ds.SOPClassUID = _SOP_CLASSES[modality]
        ds.SOPInstanceUID = _uid(seed, f"instance {number}")
        ds.Modality = modality
        ds.SeriesInstanceUID, ds.SeriesNumber = _uid(seed, f"series {series_number}"), series_number
        ds.SeriesDescription = f"Series {series_number}"
        ds.FrameOfReferenceUID = _uid(seed, "frame of reference")
        ds.InstanceNumber = number + 1
        ds.ImageType = ["ORIGINAL", "PRIMARY"]
        if modality in ("CT", "MR", "PT"):
            ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
            ds.PixelSpacing, ds.SliceThickness = [1, 1], 1
        _add_pixels(ds, modality, size, number, instances)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        ds.file_meta = meta
        yield ds


def _add_pixels(ds: Dataset, modality: str, size: int, number: int, instances: int) -> None:
    """A disc whose radius changes through the study, so that each image is another one."""
    bits = 8 if modality in ("US", "XA") else 16
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size / 2, y - size / 2)
    radius = size * (0.15 + 0.3 * (number + 1) / instances)
    stored = np.where(distance < radius, 1000 - distance * 8, 40) + number % 7
    samples = np.clip(stored / (4 if bits == 8 else 1), 0, 255 if bits == 8 else 4095)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = size, size, 1
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored = bits, 8 if bits == 8 else 12
    ds.HighBit = ds.BitsStored - 1
    ds.WindowCenter, ds.WindowWidth = (128, 256) if bits == 8 else (512, 1024)
    if modality == "CT":
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = -512, 1024
    ds.PixelData = samples.astype(np.uint8 if bits == 8 else "<u2").tobytes() + b"\0" * (size * size * bits // 8 % 2)
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"


def _uid(seed: int, label: str) -> str:
    return str(generate_uid(entropy_srcs=[f"gantry.testing {seed} {label}"]))
