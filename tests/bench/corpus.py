"""What is sent: CT slices of 525 KB and small objects of 10 KB, made from pydicom's bundled CT."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

CT, SMALL = 512, 50
"""Rows and columns of 16 bits."""


def make(folder: Path, count: int, side: int, per_series: int = 100) -> Path:
    """`count` instances in series of so many, and studies of two series."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.pop("DataSetTrailingPadding", None)
    ds.Rows = ds.Columns = side
    ds.PixelData = os.urandom(side * side * 2)
    for number in range(count):
        if number % per_series == 0:
            ds.SeriesInstanceUID = generate_uid()
        if number % (2 * per_series) == 0:
            ds.StudyInstanceUID = generate_uid()
            ds.PatientID = f"BENCH{number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = number
        ds.save_as(folder / f"{number:05d}.dcm")
    return folder
