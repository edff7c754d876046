"""Objects in another transfer syntax; pydicom and DCMTK are the oracles."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset

from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.services.retrieve.dimse.contexts import convertible
from tests.integration.services.retrieve.dicomweb.test_objects import sample
from tests.support.retrieval import Stored, retrieval

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
SAMPLES = [
    "CT_small.dcm",  # explicit
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",  # deflated
    "rtplan.dcm",  # implicit, sequences
    "rtdose_expb.dcm",  # 32 bits, big endian
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "JPEG-lossy.dcm",  # 12 bits, with scans that say what they must not
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
    "emri_small_RLE.dcm",  # frames
    "SC_rgb_rle_16bit_2frame.dcm",
    "OBXXXX1A_rle.dcm",
    "nested_priv_SQ.dcm",
    "UN_sequence.dcm",
]


def read(data: bytes, syntax: str) -> Dataset:
    ds = read_dataset(BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def pixels_of(ds: Dataset) -> Any:
    # That of 12 bits is refused by pydicom's own decoders; nested_priv_SQ.dcm has pixels and no word of what they are.
    if "BitsAllocated" not in ds or ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.51":
        return None
    return pydicom.pixels.pixel_array(ds, raw=True) if "PixelData" in ds else None


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("name", SAMPLES)
async def test_samples_and_attributes_are_the_same_in_another_syntax(tmp_path: Path, name: str, syntax: str) -> None:
    data = sample(name)
    before = pydicom.dcmread(BytesIO(data))
    if before.file_meta.TransferSyntaxUID == syntax:
        pytest.skip("it is in this one")
    async with retrieval(tmp_path) as stored:
        after = read(await stored.in_syntax(data, syntax), syntax)
    expected = pixels_of(before)
    if expected is not None:
        numpy.testing.assert_array_equal(pixels_of(after), expected)
    assert_same(before, after)


def assert_same(before: Any, after: Any) -> None:
    """All elements with their values, in sequences too; private ones by their bytes."""
    assert [e.tag for e in after if e.tag.element] == [
        e.tag for e in before if e.tag.element and e.tag not in (0x7FE00001, 0x7FE00002)
    ]
    for element in after:
        other = before[element.tag]
        if element.VR == "SQ" and other.VR == "SQ":
            for other_item, item in zip(other.value, element.value, strict=True):
                assert_same(other_item, item)
        elif element.tag == 0x7FE00010 or element.VR != other.VR or element.VR in ("OW", "OF", "OD", "OL"):
            continue
        else:
            assert element.value == other.value, element.tag


@pytest.mark.skipif(shutil.which("dcmconv") is None, reason="DCMTK is not installed")
@pytest.mark.parametrize(
    "name", ["MR_small_bigendian.dcm", "SC_rgb_small_odd_big_endian.dcm", "ExplVR_BigEnd.dcm", "MR_small_implicit.dcm"]
)
async def test_native_objects_are_what_dcmtk_makes_of_them(tmp_path: Path, name: str) -> None:
    data = sample(name)
    (tmp_path / "in.dcm").write_bytes(data)
    subprocess.run(["dcmconv", "-q", "+te", tmp_path / "in.dcm", tmp_path / "out.dcm"], check=True)
    async with retrieval(tmp_path / "store") as stored:
        after = read(await stored.in_syntax(data, EXPLICIT), EXPLICIT)
    theirs = pydicom.dcmread(tmp_path / "out.dcm")
    assert after.PixelData == theirs.PixelData
    assert after["PixelData"].VR == theirs["PixelData"].VR


def big_endian(ds: Dataset) -> bytes:
    out = BytesIO()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    pydicom.dcmwrite(out, ds, little_endian=False, implicit_vr=False)
    return out.getvalue()


async def test_long_values_of_a_header_are_turned_by_their_vr(tmp_path: Path) -> None:
    ds = pydicom.dcmread(BytesIO(sample("CT_small.dcm")))
    floats = numpy.arange(2000, dtype=">f4")
    ds.add_new(0x00660016, "OF", floats.tobytes())  # Point Coordinates Data
    ds.add_new(0x00420011, "OB", bytes(range(256)) * 20)
    ds.PixelData = ds.pixel_array.astype(">i2").tobytes()
    async with retrieval(tmp_path) as stored:
        after = read(await stored.in_syntax(big_endian(ds), EXPLICIT), EXPLICIT)
    assert numpy.array_equal(numpy.frombuffer(after[0x00660016].value, "<f4"), floats)
    assert after[0x00420011].value == bytes(range(256)) * 20


async def test_what_is_too_long_for_its_vr_becomes_un(tmp_path: Path) -> None:
    ds = pydicom.dcmread(BytesIO(sample("MR_small_implicit.dcm")))
    ds.add_new(0x00281101, "US", [0, 0, 16])
    ds.add_new(0x30060050, "DS", "\\".join(["1.25"] * 20_000))  # Contour Data of an RT object
    out = BytesIO()
    pydicom.dcmwrite(out, ds)
    async with retrieval(tmp_path) as stored:
        after = read(await stored.in_syntax(out.getvalue(), EXPLICIT), EXPLICIT)
    assert after[0x30060050].VR == "UN"
    assert after[0x30060050].value.split(b"\\") == [b"1.25"] * 19_999 + [b"1.25 "]
    assert after.PixelData == ds.PixelData


async def test_objects_of_no_pixels_in_a_compressed_syntax_are_rewritten(tmp_path: Path) -> None:
    ds = pydicom.dcmread(BytesIO(sample("JPEG2000.dcm")))
    del ds.PixelData
    out = BytesIO()
    pydicom.dcmwrite(out, ds)
    async with retrieval(tmp_path) as stored:
        assert read(await stored.in_syntax(out.getvalue(), IMPLICIT), IMPLICIT).PatientID == ds.PatientID


async def test_an_object_that_cannot_be_decoded_is_refused_in_words(stored: Stored) -> None:
    from gantry.services.retrieve.pixels.converter import ConversionFailed

    ds = pydicom.dcmread(BytesIO(sample("JPEG2000.dcm")))
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + b"x" * 500])
    out = BytesIO()
    pydicom.dcmwrite(out, ds)
    with pytest.raises(ConversionFailed, match="cannot decode"):
        await stored.in_syntax(out.getvalue(), EXPLICIT)
    # The worker is there for the next one, and nothing of the budget is taken.
    assert read(await stored.in_syntax(sample("MR_small_RLE.dcm"), IMPLICIT), IMPLICIT).Modality == "MR"
    assert stored.converter.budget.taken == 0


def test_videos_and_what_no_decoder_reads_are_not_promised() -> None:
    for syntax in ("4.100", "4.102", "4.107", "4.110", "4.111", "4.92", "4.94", "4.95"):
        assert not convertible(f"1.2.840.10008.1.2.{syntax}")
    assert convertible("1.2.840.10008.1.2.2")
    assert encoding_of("1.2.840.10008.1.2.2").big_endian
