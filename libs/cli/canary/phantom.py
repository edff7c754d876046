"""The image that a canary sends: synthetic, small, and different each time. Pure except for the random bytes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gantry.common.ids import new_uid

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PATIENT_ID = "GANTRY-CANARY"
_SIDE = 32


@dataclass(frozen=True, slots=True)
class Phantom:
    """An image with its study and series."""

    study: str
    series: str
    instance: str
    data_set: Dataset

    def write(self, folder: Path) -> Path:
        """Write the image as a Part 10 file."""
        path = folder / f"{self.instance}.dcm"
        self.data_set.save_as(path, enforce_file_format=True)
        return path


def uid_of(*words: str) -> str:
    """The UID that is derived from these words (PS3.5 B.2)."""
    return f"2.25.{uuid5(NAMESPACE_URL, '/'.join(('gantry-canary', *words))).int}"


def phantom(name: str, now: datetime) -> Phantom:
    """A new image. The images of one canary (`name`) on one day form one study, so that leftovers are one row."""
    day = f"{now:%Y%m%d}"
    made = Phantom(uid_of(name, day), uid_of(name, day, "series"), new_uid(), Dataset())
    ds = made.data_set
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SECONDARY_CAPTURE
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = made.instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID = made.study, made.series
    ds.PatientName, ds.PatientID = "Canary^Gantry", PATIENT_ID
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ds.AccessionNumber = ""
    ds.StudyID, ds.StudyDescription, ds.SeriesDescription = day, "synthetic, of nobody", name
    ds.StudyDate = ds.ContentDate = day
    ds.StudyTime, ds.ContentTime = "000000", f"{now:%H%M%S}"
    ds.Modality, ds.ConversionType, ds.SeriesNumber, ds.InstanceNumber = "OT", "SYN", 1, int(f"{now:%H%M%S}")
    ds.PatientOrientation = ""
    ds.Rows = ds.Columns = _SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = secrets.token_bytes(_SIDE * _SIDE)
    return made
