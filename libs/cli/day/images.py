"""The images of a planned study: synthetic data sets, made when they are sent. Pure except for random bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gantry.cli.day.plan import DayModality, PlannedStudy
from gantry.common.ids import new_uid

PATIENTS = "GANTRY-BENCH"


@dataclass(frozen=True, slots=True)
class DayImage:
    """One image, in Explicit VR Little Endian."""

    sop_instance_uid: str
    parts: tuple[bytes, ...]

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


class ImageSource:
    """The bytes of an image as a `Source`."""

    def __init__(self, image: DayImage) -> None:
        self._left: list[memoryview] = [memoryview(part) for part in image.parts]

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        count = 0
        for buffer in buffers:
            at = 0
            while self._left and at < len(buffer):
                part = self._left[0]
                length = min(len(part), len(buffer) - at)
                buffer[at : at + length] = part[:length]
                at += length
                if length == len(part):
                    self._left.pop(0)
                else:
                    self._left[0] = part[length:]
            count += at
        return count

    async def close(self) -> None:
        self._left.clear()


@cache
def _pixels(size: int) -> bytes:
    """Pixel data for images of one size: all get the same, since an archive does not examine it."""
    return os.urandom(size)


def patient_id(number: int) -> str:
    """The Patient ID of one of the day's patients."""
    return f"{PATIENTS}-{number:06d}"


def images(study: PlannedStudy, study_uid: str, date: str) -> Iterator[DayImage]:
    """All images of a study, series by series."""
    for number, series in enumerate(study.series, 1):
        series_uid = new_uid()
        for image in range(1, series.images + 1):
            yield _image(study, study_uid, series_uid, number, image, date)


def _image(study: PlannedStudy, study_uid: str, series_uid: str, series: int, number: int, date: str) -> DayImage:
    modality, uid = study.modality, new_uid()
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = modality.sop_class, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.PatientID, ds.PatientName = patient_id(study.patient), f"Bench^{study.patient}"
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ""
    ds.StudyDate, ds.StudyTime, ds.StudyID = date, _clock(study.at), "1"
    ds.AccessionNumber, ds.StudyDescription = f"B{study.patient}", f"{modality.name} of nobody"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality.name, series, number
    _pixel_module(ds, modality)
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, ds)
    pixels = _pixels(modality.image_bytes + modality.image_bytes % 2)
    vr = b"OW" if modality.pixel == 2 else b"OB"
    head = b"\xe0\x7f\x10\x00" + vr + b"\0\0" + len(pixels).to_bytes(4, "little")
    return DayImage(uid, (out.getvalue(), head, pixels))


def _pixel_module(ds: Dataset, modality: DayModality) -> None:
    ds.Rows, ds.Columns = modality.rows, modality.columns
    colour = modality.pixel == 3
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8 if colour else 16
    ds.HighBit, ds.PixelRepresentation = ds.BitsAllocated - 1, 0


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}"
