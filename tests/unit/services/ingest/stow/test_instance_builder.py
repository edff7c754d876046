"""Instances made from metadata and bulk data: transfer syntax and Image Pixel module are those of the pixel data."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.uid import generate_uid

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.model.json_reading import BulkPiece
from gantry.common.errors import NotUnderstood, RefusedDataSet
from gantry.services.ingest.stow.codestreams import codestream
from gantry.services.ingest.stow.frame_boundaries import frames_in
from gantry.services.ingest.stow.instance_builder import BuiltInstance, make
from gantry.services.ingest.stow.response import COERCED
from tests.support.bulk import frame, jp2, mp4
from tests.support.objects import data_set

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
JPEGS = (
    ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
    ("JPGExtended.dcm", "1.2.840.10008.1.2.4.51"),
    ("SC_rgb_jpeg_gdcm.dcm", "1.2.840.10008.1.2.4.70"),
    ("JPEGLSNearLossless_08.dcm", "1.2.840.10008.1.2.4.81"),
    ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
    ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
    ("JPEG2000.dcm", "1.2.840.10008.1.2.4.91"),
)


@dataclass
class Held:
    """A bulk value in memory."""

    content: bytes
    media_type: str = "image/jpeg"
    transfer_syntax: str = ""

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


def metadata(**more: Any) -> dict[str, Any]:
    """What a sender knows without having looked at the image."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = SECONDARY, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientName, made.PatientID, made.Modality = "Müller^Jörg", "P1", "OT"
    for keyword, value in more.items():
        setattr(made, keyword, value)
    model: dict[str, Any] = json.loads(made.to_json())
    return {**model, "7FE00010": {"vr": "OB", "BulkDataURI": "pixels"}}


def read(made: BuiltInstance, bulk: dict[str, Held]) -> Dataset:
    """The instance as pydicom reads it."""
    announced = made.announced
    head = file_meta(announced.sop_class_uid, announced.sop_instance_uid, announced.transfer_syntax_uid)
    body = [bulk[p.uri].read(p.offset, p.length) if isinstance(p, BulkPiece) else p for p in made.pieces]
    return pydicom.dcmread(io.BytesIO(head + b"".join(body)))


@pytest.mark.parametrize(("name", "syntax"), JPEGS)
def test_an_image_makes_an_instance_of_its_transfer_syntax_that_decodes(name: str, syntax: str) -> None:
    content, theirs = frame(name)
    bulk = {"pixels": Held(content)}
    made = make(metadata(), bulk)
    instance = read(made, bulk)
    assert instance.file_meta.TransferSyntaxUID == syntax
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"):
        assert instance[keyword].value == theirs[keyword].value, keyword
    assert instance.get("LossyImageCompression") == ("01" if syntax[-2:] in ("50", "51", "81", "91") else None)
    assert str(instance.PatientName) == "Müller^Jörg"
    assert made.warning == 0
    assert instance.pixel_array.shape[:2] == (theirs.Rows, theirs.Columns)


def test_the_pixels_are_those_that_were_sent() -> None:
    content, theirs = frame("MR_small_jp2klossless.dcm")
    bulk = {"pixels": Held(content)}
    signed = metadata(
        PixelRepresentation=theirs.PixelRepresentation, BitsStored=theirs.BitsStored, HighBit=theirs.HighBit
    )
    assert numpy.array_equal(read(make(signed, bulk), bulk).pixel_array, theirs.pixel_array)


def test_a_jp2_file_gives_its_codestream() -> None:
    content, _ = frame("MR_small_jp2klossless.dcm")
    plain, boxed = {"pixels": Held(content)}, {"pixels": Held(jp2(content), "image/jp2")}
    asked = metadata()
    assert read(make(asked, boxed), boxed).PixelData == read(make(asked, plain), plain).PixelData


def test_metadata_that_contradicts_the_image_gives_way_with_a_warning() -> None:
    content, theirs = frame("SC_rgb_jpeg_dcmtk.dcm")
    bulk = {"pixels": Held(content)}
    made = make(metadata(Rows=7, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2"), bulk)
    instance = read(made, bulk)
    assert made.warning == COERCED
    assert (instance.Rows, instance.SamplesPerPixel) == (theirs.Rows, 3)
    assert instance.PhotometricInterpretation != "MONOCHROME2"


def test_a_video_makes_a_multi_frame_instance() -> None:
    bulk = {"pixels": Held(mp4(), "video/mp4")}
    instance = read(make(metadata(), bulk), bulk)
    assert instance.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert (instance.Rows, instance.Columns, instance.NumberOfFrames) == (480, 640, 50)
    assert float(instance.FrameTime) == 40.0
    assert instance.PhotometricInterpretation == "YBR_PARTIAL_420"
    assert bulk["pixels"].content in instance.PixelData


def test_a_document_is_what_was_sent() -> None:
    model = metadata(MIMETypeOfEncapsulatedDocument="application/pdf")
    del model["7FE00010"]
    model["00420011"] = {"vr": "OB", "BulkDataURI": "pixels"}
    bulk = {"pixels": Held(b"%PDF-1.7\n%%EOF", "application/pdf")}
    instance = read(make(model, bulk), bulk)
    assert instance.EncapsulatedDocument == b"%PDF-1.7\n%%EOF"
    assert instance.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_native_pixels_are_what_was_sent_and_as_long_as_they_should_be() -> None:
    theirs = data_set(size=10)
    model = json.loads(theirs.to_json())
    model["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    bulk = {"pixels": Held(theirs.PixelData, "application/octet-stream")}
    instance = read(make(model, bulk), bulk)
    assert instance.PixelData == theirs.PixelData
    for wrong in (theirs.PixelData[:-2], theirs.PixelData * 2, b""):
        with pytest.raises(RefusedDataSet):
            make(model, {"pixels": Held(wrong, "application/octet-stream")})


def test_what_no_part_brings_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        make(metadata(), {})


MULTI_FRAME = (
    ("color3d_jpeg_baseline.dcm", "1.2.840.10008.1.2.4.50"),
    ("emri_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
    ("emri_small_jpeg_2k_lossless.dcm", "1.2.840.10008.1.2.4.90"),
)


def frames_of(name: str) -> list[bytes]:
    """Codestreams without the padding that makes them even."""
    file = get_testdata_file(name, download=False)
    assert isinstance(file, str)
    theirs = pydicom.dcmread(file)
    frames = list(generate_frames(theirs.PixelData, number_of_frames=int(theirs.NumberOfFrames)))[:10]
    return [one[: one.rindex(b"\xff\xd9") + 2] for one in frames]


@pytest.mark.parametrize(("name", "syntax"), MULTI_FRAME)
@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_several_frames_in_one_part_are_told_apart(name: str, syntax: str, padding: bytes) -> None:
    frames = frames_of(name)
    bulk = {"pixels": Held(b"".join(one + padding for one in frames))}
    made = make(metadata(NumberOfFrames=len(frames)), bulk)
    instance = read(made, bulk)
    assert (instance.file_meta.TransferSyntaxUID, instance.NumberOfFrames, made.warning) == (syntax, len(frames), 0)
    found = list(generate_frames(instance.PixelData, number_of_frames=len(frames)))
    assert found == [one + b"\0" * (len(one) & 1) for one in frames]
    starts = accumulate([len(one) + (len(one) & 1) + 8 for one in frames[:-1]], initial=0)
    assert parse_basic_offsets(instance.PixelData) == list(starts)
    assert instance.pixel_array.shape[0] == len(frames)


@pytest.mark.parametrize(("name", "_"), MULTI_FRAME)
def test_other_frames_than_the_metadata_says_are_refused_with_a_reason(name: str, _: str) -> None:
    frames = frames_of(name)
    whole = b"".join(frames)
    for count, content, reason in (
        (9, whole, "more compressed frames than the 9"),
        (11, whole, "10 compressed frames, where the metadata says 11"),
        (10, whole[:-20], "ends before its end"),
        (10, whole.replace(frames[4], frames[4][:-2]), "ends before its end|several kinds|no whole jpeg|no jpeg"),
        (11, whole + frame("JPEGLSNearLossless_08.dcm")[0], "several kinds"),
        (11, whole + b"what is no frame", "no jpeg"),
        (0, whole, "of 0 frames"),
        (-1, whole, "of -1 frames"),
        (10**9, whole, "of 1000000000 frames"),
    ):
        with pytest.raises(NotUnderstood, match=reason):
            make(metadata(NumberOfFrames=count), {"pixels": Held(content)})


@pytest.mark.parametrize(("name", "_"), MULTI_FRAME)
@given(data=st.data())
def test_any_bytes_are_frames_or_refused(name: str, _: str, data: st.DataObject) -> None:
    broken = bytearray(b"".join(frames_of(name)[:2]))
    for _ in range(data.draw(st.integers(0, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    held = Held(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    try:
        _, places = frames_in(held.read, 2)
    except NotUnderstood:
        return
    assert places[0][0] == 0
    assert sum(length for _, length in places) in range(len(held.content) - 2, len(held.content) + 1)


@pytest.mark.parametrize("level", [50, 51])
def test_a_video_past_what_dicom_knows_is_refused(level: int) -> None:
    with pytest.raises(NotUnderstood):
        codestream(Held(mp4(level=level)).read)


@given(st.sampled_from([*(name for name, _ in JPEGS), "mp4", "jp2"]), st.data())
def test_any_other_bytes_are_an_image_or_refused(name: str, data: st.DataObject) -> None:
    content = mp4(frames=3) if name == "mp4" else jp2(frame(JPEGS[-2][0])[0]) if name == "jp2" else frame(name)[0]
    broken = bytearray(content[:600])
    for _ in range(data.draw(st.integers(0, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(broken[: data.draw(st.integers(0, len(broken)))])
    try:
        found = codestream(Held(cut).read)
    except NotUnderstood:
        return
    assert found.rows > 0
    assert found.columns > 0
