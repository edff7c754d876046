"""Document objects: encapsulated files, and DCMTK's test report."""

from __future__ import annotations

from typing import Any

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.support.objects import data_set

_OF_IMAGES = ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_TEXT = b"BT /F1 24 Tf 40 100 Td (A letter) Tj ET"
PDF = (
    b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R"
    b"/Resources<</Font<</F1 5 0 R>>>>>>endobj\n4 0 obj<</Length %d>>stream\n%b\nendstream endobj\n"
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%%%EOF\n"
) % (len(_TEXT), _TEXT)
"""A page with two words on it."""


def bundled(name: str) -> str:
    """The path of a file bundled with pydicom."""
    file = get_testdata_file(name, download=False)
    assert isinstance(file, str)
    return file


def report(name: str = "test-SR.dcm", **uids: str) -> Dataset:
    """A structured report with other UIDs."""
    ds = pydicom.dcmread(bundled(name))
    for keyword, uid in uids.items():
        setattr(ds, keyword, uid)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def encapsulated(keyword: str, content: bytes = PDF, **more: Any) -> Dataset:
    """A document of a class; `more` is what `data_set` takes."""
    ds = data_set(**more)
    for name in _OF_IMAGES:
        if name in ds:
            delattr(ds, name)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = STORAGE_SOP_CLASSES[keyword]
    ds.EncapsulatedDocument = content + b"\0" * (len(content) & 1)
    ds.EncapsulatedDocumentLength = len(content)
    return ds
