"""Sixty studies of a fictional hospital with realistic images, for screenshots and tests of the page."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.dicom import bundled_file

CT, MR, CR, US = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2", "4", "1", "6.1"))
PATIENTS = (
    ("Okafor^Amara", "F", "19790412"),
    ("Lindqvist^Karin Elisabet", "F", "19521103"),
    ("Иванова^Мария Петровна", "F", "19880219"),
    ("Yamada^Tarou=山田^太郎", "M", "19610730"),
    ("Doe^Jane", "F", "19900514"),
    ("Fernández-Ortiz^Luis", "M", "19470108"),
    ("Müller^Jürgen", "M", "19680923"),
    ("Соколов^Дмитрий", "M", "19750611"),
    ("Suzuki^Hanako=鈴木^花子", "F", "20150322"),
    ("O'Brien^Siobhán", "F", "19831217"),
    ("Nguyễn^Thị Mai", "F", "19941005"),
    ("Van der Berg^Pieter", "M", "19390226"),
    ("Haddad^Nour", "F", "20240117"),
    ("Kowalczyk^Zofia", "F", "19710819"),
)
ABDOMEN, HEAD = ("explicit_VR-UN.dcm", "CT_small.dcm"), ("J2K_pixelrep_mismatch.dcm", "CT_small.dcm")
LIVER, SHOULDER = ("MR-SIEMENS-DICOM-WithOverlays.dcm", "MR_small.dcm"), ("MR2_UNCR.dcm", "MR_small.dcm")
CHEST, NODE = ("RG1_UNCR.dcm", "CT_small.dcm"), ("US1_UNCR.dcm", "CT_small.dcm")
EXAMS = (
    ("CT", "CT abdomen with contrast", ("Portal venous 3.0", "Arterial 1.5", "Bone 1.0"), 24, ABDOMEN),
    ("MR", "MR liver", ("T1 in phase", "T2 axial", "DWI b800", "Portal venous"), 16, LIVER),
    ("CR", "Chest, two views", ("PA", "Lateral"), 1, CHEST),
    ("US", "Neck, lymph nodes", ("Images",), 6, NODE),
    ("CT", "CT head without contrast", ("Axial 4.0", "Bone 1.0"), 22, HEAD),
    ("MR", "MR shoulder, left", ("PD sagittal", "PD coronal"), 18, SHOULDER),
    ("CT", "CT chest and abdomen", ("Lung 1.0", "Axial 5.0", "Coronal 3.0"), 20, ABDOMEN),
)
REFERRERS = ("Brandt^Eva", "Rossi^Paolo", "Novak^Jan", "Achterberg^Lotte")


@cache
def _picture(files: tuple[str, str]) -> Any:
    """A real image if pydicom's samples are available; otherwise a smaller one. CT is in Hounsfield units plus 1024."""
    large, small = files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = get_testdata_file(large, download=False)
        ds = pydicom.dcmread(path or bundled_file(small))
        pixels = ds.pixel_array.astype(np.int32)
    if pixels.ndim == 3:
        pixels = pixels.mean(axis=2).astype(np.int32)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    if ds.get("Modality") == "CT":
        pixels = np.clip(pixels + int(ds.get("RescaleIntercept", 0)) + 1024, 0, None)
    side = min(pixels.shape)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def _slice(files: tuple[str, str], at: int, count: int, size: int) -> Any:
    """The same picture, smaller towards both ends of its series, like a body."""
    pixels = _picture(files)
    near = 1.0 - 0.3 * abs(at - (count - 1) / 2) / max(count / 2, 1)
    steps = (np.arange(size) - size / 2) / near * (pixels.shape[0] / size) + pixels.shape[0] / 2
    inside = (steps >= 0) & (steps < pixels.shape[0])
    rows = np.clip(steps, 0, pixels.shape[0] - 1).astype(int)
    made = pixels[np.ix_(rows, rows)]
    made[~inside, :] = pixels.min()
    made[:, ~inside] = pixels.min()
    return np.clip(made - min(int(pixels.min()), 0), 0, 65535).astype("<u2")


def ward(today: date, count: int = 60, size: int = 128, first_size: int = 256) -> Iterator[list[Dataset]]:
    """`count` studies, newest first, each as its instances. The first few have images of `first_size` pixels."""
    chance = random.Random(7)
    for number in range(count):
        name, sex, birth = PATIENTS[number % len(PATIENTS)]
        modality, description, series, images, files = EXAMS[number % len(EXAMS)]
        when = today - timedelta(days=int(number * 0.45) + (number // 14) * 5)
        head = Dataset()
        head.SpecificCharacterSet = "ISO_IR 192"
        head.PatientName, head.PatientSex, head.PatientBirthDate = name, sex, birth
        head.PatientID = f"{40217 + 613 * (number % len(PATIENTS)):06}"
        head.StudyInstanceUID = generate_uid(entropy_srcs=[f"ward {number}"])
        head.StudyDate = f"{when:%Y%m%d}"
        head.StudyTime = f"{17 - number % 10:02}{chance.randrange(60):02}00"
        head.AccessionNumber = f"A{20480 - number}"
        head.ReferringPhysicianName = REFERRERS[number % len(REFERRERS)]
        head.StudyDescription, head.StudyID, head.Modality = description, str(number + 1), modality
        yield list(_instances(head, series, images, files, first_size if number < 4 else size))


def _instances(
    head: Dataset, series: tuple[str, ...], images: int, files: tuple[str, str], size: int
) -> Iterator[Dataset]:
    modality = head.Modality
    for number, description in enumerate(series, 1):
        uid = generate_uid(entropy_srcs=[head.StudyInstanceUID, description])
        for at in range(images):
            ds = Dataset()
            ds.update(head)
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID = {"CT": CT, "MR": MR, "CR": CR, "US": US}[modality]
            ds.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(at)])
            ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = uid, number, description
            ds.SeriesDate, ds.SeriesTime = head.StudyDate, head.StudyTime
            ds.AcquisitionDate, ds.AcquisitionTime = head.StudyDate, head.StudyTime
            ds.InstanceNumber, ds.BodyPartExamined = at + 1, "CHEST"
            ds.Manufacturer, ds.StationName, ds.KVP = "Gantry", "ROOM2", "120"
            pixels = _slice(files, at, images, size)
            ds.Rows, ds.Columns = pixels.shape
            ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
            ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
            ds.WindowCenter, ds.WindowWidth = _window(modality, description, pixels)
            if modality == "CT":
                ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
            ds.PixelData = pixels.tobytes()
            yield ds


def _window(modality: str, series: str, pixels: Any) -> tuple[int, int]:
    if modality == "CT":
        return (480, 2500) if "Bone" in series else (-550, 1500) if "Lung" in series else (50, 400)
    low, high = np.percentile(pixels, (5, 99.7))
    return int((low + high) / 2), max(int(high - low), 1)
