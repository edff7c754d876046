"""Conversion with pydicom's own samples: what comes out has the samples that pydicom decodes."""

from __future__ import annotations

from io import BytesIO

import numpy
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset

from services.retrieve.conversion import ConversionFailed, Converter, convert

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
SAMPLES = [
    "CT_small.dcm",  # explicit
    "MR_small_implicit.dcm",
    "image_dfl.dcm",  # deflated
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
]


def sample(name: str) -> bytes:
    found = get_testdata_file(name)
    assert isinstance(found, str)
    with open(found, "rb") as file:
        return file.read()


def read(data: bytes, syntax: str) -> Dataset:
    ds = read_dataset(BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_and_attributes_are_the_same_in_another_syntax(name: str, syntax: str) -> None:
    before = pydicom.dcmread(BytesIO(sample(name)))
    after = read(convert(sample(name), syntax), syntax)
    numpy.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    for keyword in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "PatientName", "PatientID", "Rows", "Columns"):
        assert after.get(keyword) == before.get(keyword), keyword


async def test_an_object_that_cannot_be_decoded_is_refused_in_words() -> None:
    converter = Converter(workers=1)
    try:
        with pytest.raises(ConversionFailed, match="cannot decode"):
            await converter.convert(b"no object at all", EXPLICIT)
        # The worker is there for the next one.
        assert read(await converter.convert(sample("CT_small.dcm"), IMPLICIT), IMPLICIT).Modality == "CT"
    finally:
        await converter.close()
