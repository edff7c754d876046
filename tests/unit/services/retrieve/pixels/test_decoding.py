"""Frames as arrays, against what pydicom makes of whole files; and arrays as native samples."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from gantry.services.retrieve.pixels.decoding import MAX_FRAME, decoded, require_size, samples_of
from gantry.services.retrieve.pixels.worker import CannotDo
from tests.support.dicom import bundled_file
from tests.unit.services.retrieve.images import image

DEFLATED_FRAME, RAW = "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"


def image_of(ds: Any) -> Any:
    return image(
        ds.file_meta.TransferSyntaxUID,
        samples=ds.SamplesPerPixel,
        photometric=ds.PhotometricInterpretation,
        rows=ds.Rows,
        columns=ds.Columns,
        allocated=ds.BitsAllocated,
        stored=ds.BitsStored,
        high_bit=ds.HighBit,
        signed=ds.PixelRepresentation,
        planar=ds.get("PlanarConfiguration") or 0,
        length=None,
        vr="OB",
    )


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_lossless_frame_is_what_pydicom_decodes(name: str) -> None:
    ds = pydicom.dcmread(bundled_file(name))
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    array, photometric = decoded(image_of(ds), frame)
    assert np.array_equal(array, ds.pixel_array)
    assert photometric == "MONOCHROME2"
    native = samples_of(image_of(ds), array, photometric, photometric)
    assert bytes(native) == pydicom.dcmread(bundled_file("MR_small.dcm")).PixelData


@pytest.mark.parametrize("syntax", [RAW, DEFLATED_FRAME])
def test_frames_that_are_not_compressed_as_images_are_native_within(syntax: str) -> None:
    """PS3.5 A.4.11 and Deflated Image Frame Compression: raw deflate."""
    samples = np.arange(4, dtype="<u2").reshape(2, 2)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    frame = samples.tobytes()
    if syntax == DEFLATED_FRAME:
        frame = deflate.compress(frame) + deflate.flush()
    array, _ = decoded(image(syntax, length=None), frame)
    assert np.array_equal(array, samples)


def test_a_deflated_frame_gives_no_more_than_a_frame() -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(10_000_000)) + deflate.flush()
    assert decoded(image(DEFLATED_FRAME, length=None), bomb)[0].shape == (2, 2)


def test_what_has_no_decoder_is_refused() -> None:
    with pytest.raises(CannotDo, match="no decoder"):
        decoded(image("1.2.840.10008.1.2.4.102", length=None), b"")


def test_a_frame_has_a_largest_size() -> None:
    require_size(image(rows=16384, columns=16384, allocated=32))
    assert MAX_FRAME == 16384 * 16384 * 4
    with pytest.raises(CannotDo, match="too large"):
        require_size(image(rows=16384, columns=16385, allocated=32))
