"""Frames, bulk data and metadata say the same of an object, in whatever form they are asked for."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.sequence import Sequence

from gantry.common.dicom.encoding.part10 import file_meta, parse_meta
from gantry.common.dicom.standard.transfer_syntaxes import DEFLATED_IMAGE_FRAME
from gantry.services.retrieve.pixels.codecs import DECODED, HIGH_THROUGHPUT
from tests.integration.services.retrieve.dicomweb.test_objects import (
    EXPLICIT,
    STORED,
    get,
    parts,
    path_of,
    sample,
    shown_by,
)
from tests.integration.services.retrieve.pixels.test_frame_finder import in_fragments
from tests.support.codestreams import HTJ2K
from tests.support.objects import data_set, file_bytes
from tests.support.pictures import grey
from tests.support.web import WebSite

Array = np.ndarray[Any, Any]
OCTETS = 'multipart/related; type="application/octet-stream"'


def with_uids(ds: Dataset) -> Dataset:
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2", "1.3", "1.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.4"
    return ds


# ---- every codec that is promised

_OF_CODEC = {
    "1.2.840.10008.1.2.4.50": "SC_rgb_dcmtk_+eb+cr.dcm",
    "1.2.840.10008.1.2.4.51": "JPEG-lossy.dcm",
    "1.2.840.10008.1.2.4.70": "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "1.2.840.10008.1.2.4.80": "MR_small_jpeg_ls_lossless.dcm",
    "1.2.840.10008.1.2.4.81": "JPEGLSNearLossless_16.dcm",
    "1.2.840.10008.1.2.4.90": "MR_small_jp2klossless.dcm",
    "1.2.840.10008.1.2.4.91": "JPEG2000.dcm",
    "1.2.840.10008.1.2.5": "MR_small_RLE.dcm",
}
_BY_DCMTK = {
    "1.2.840.10008.1.2.4.53": ("+es", "+cl"),
    "1.2.840.10008.1.2.4.55": ("+ep", "+cl"),
    "1.2.840.10008.1.2.4.57": ("+el",),
}


def encoded(syntax: str, folder: Path) -> Dataset | None:
    """An image in a transfer syntax: a foreign file, or one that a foreign encoder makes."""
    if syntax in _OF_CODEC:
        return pydicom.dcmread(io.BytesIO(sample(_OF_CODEC[syntax])))
    if syntax in _BY_DCMTK and shutil.which("dcmcjpeg"):
        source = folder / "in.dcm"
        source.write_bytes(sample("CT_small.dcm"))
        subprocess.run(["dcmcjpeg", "-q", *_BY_DCMTK[syntax], source, folder / "out.dcm"], check=False)
        return pydicom.dcmread(folder / "out.dcm") if (folder / "out.dcm").exists() else None
    return None


def by_dcmtk(ds: Dataset, folder: Path) -> Array | None:
    """What DCMTK's decoder gives; None where there is none."""
    (folder / "stored.dcm").write_bytes(file_bytes(ds))
    tool = {"4.8": "dcmdjpls", "2.5": "dcmdrle"}.get(str(ds.file_meta.TransferSyntaxUID)[14:17], "dcmdjpeg")
    if shutil.which(tool) is None:
        return None
    subprocess.run([tool, folder / "stored.dcm", folder / "native.dcm"], check=False, capture_output=True)
    if not (folder / "native.dcm").exists():
        return None
    return pydicom.dcmread(folder / "native.dcm").pixel_array


@pytest.mark.parametrize("syntax", sorted(DECODED))
async def test_every_codec_that_is_promised_decodes(site: WebSite, tmp_path: Path, syntax: str) -> None:
    if syntax == "1.2.840.10008.1.2.1.98":
        ds = grey(np.arange(256, dtype="<u2").reshape(16, 16))
        ds.PixelData, native = encapsulate([ds.PixelData]), ds.pixel_array
    elif syntax == DEFLATED_IMAGE_FRAME:
        ds = grey(np.arange(256, dtype="<u2").reshape(16, 16))
        deflate = zlib.compressobj(wbits=-15)
        native = ds.pixel_array
        ds.PixelData = encapsulate([deflate.compress(ds.PixelData) + deflate.flush()])
    elif syntax in HIGH_THROUGHPUT:
        native = (np.arange(256, dtype="<u2") * 37 % 4096).reshape(16, 16)
        ds = grey(native)
        ds.PixelData = encapsulate([HTJ2K])
    else:
        dataset = encoded(syntax, tmp_path)
        if dataset is None:
            pytest.skip("nothing here encodes it")
        ds = dataset
        theirs = by_dcmtk(ds, tmp_path)
        try:
            native = theirs if theirs is not None else ds.pixel_array
        except RuntimeError:
            pytest.skip("without DCMTK nobody else here decodes it")
    ds.file_meta.TransferSyntaxUID = syntax if syntax != DEFLATED_IMAGE_FRAME else "1.2.840.10008.1.2.1.98"
    ds["PixelData"].is_undefined_length = True
    data = file_bytes(with_uids(ds))
    # pydicom does not know deflated frames yet.
    meta = file_meta(str(ds.SOPClassUID), "1.4", syntax)
    await site.keep(meta + data[parse_meta(data).data_set_offset :])
    ((kind, body),) = await parts(site, path_of(ds) + "/frames/1", OCTETS)
    assert kind == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    assert np.abs(np.frombuffer(body, native.dtype).astype(int) - native.ravel()).max() <= 1
    ((kind, body),) = await parts(site, path_of(ds))
    assert kind == f"application/dicom; transfer-syntax={EXPLICIT}"
    after = pydicom.dcmread(io.BytesIO(body))
    assert np.abs(pydicom.pixels.pixel_array(after, raw=True).astype(int) - native).max() <= 1


# ---- frames and metadata agree


def samples_by_metadata(body: bytes, document: dict[str, Any]) -> Array:
    """What a client makes of a frame that believes the metadata: rows, columns, samples."""

    def said(tag: str, otherwise: Any = None) -> Any:
        return document.get(tag, {}).get("Value", [otherwise])[0]

    rows, columns, samples = said("00280010"), said("00280011"), said("00280002", 1)
    flat = np.frombuffer(body, f"<{'i' if said('00280103') else 'u'}{said('00280100') // 8}")
    if said("00280004") == "YBR_FULL_422":
        pairs = flat.reshape(rows, columns // 2, 4)
        full = np.empty((rows, columns, 3), flat.dtype)
        full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        full[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
        return full
    if samples == 1:
        return flat.reshape(rows, columns)
    if said("00280006"):
        return np.moveaxis(flat.reshape(samples, rows, columns), 0, 2)
    return flat.reshape(rows, columns, samples)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
async def test_lossless_colour_keeps_its_samples_and_agrees_with_the_metadata(
    site: WebSite, photometric: str, planar: int
) -> None:
    pixels = np.random.default_rng(5).integers(0, 255, (2, 15, 17, 3)).astype("u1")
    ds = grey(pixels[0, ..., 0].copy(), SamplesPerPixel=3, PlanarConfiguration=planar, NumberOfFrames=2)
    ds.PhotometricInterpretation = photometric
    # RLE has planes whatever Planar Configuration says of native samples (PS3.5 G.2).
    ds.PixelData, ds.PlanarConfiguration = pixels.tobytes(), 0
    arranged = np.moveaxis(pixels, 3, 1) if planar else pixels
    ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    ds.PlanarConfiguration = planar
    await site.keep(with_uids(ds))
    (document,) = json.loads((await get(site, path_of(ds) + "/metadata"))[1])
    for number, (_, body) in enumerate(await parts(site, path_of(ds) + "/frames/1,2", OCTETS)):
        assert len(body) == 15 * 17 * 3  # odd, and without a pad byte
        assert np.array_equal(samples_by_metadata(body, document), pixels[number])
    ((_, body),) = await parts(site, path_of(ds))
    after = pydicom.dcmread(io.BytesIO(body))
    assert after.PhotometricInterpretation == photometric
    assert after.PixelData == arranged.tobytes()
    assert len(after.PixelData) % 2 == 0


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "examples_ybr_color.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm"])
async def test_frames_of_jpeg_agree_with_the_metadata(site: WebSite, name: str) -> None:
    ds = with_uids(pydicom.dcmread(io.BytesIO(sample(name))))
    raw = get_decoder(ds.file_meta.TransferSyntaxUID).as_array(ds, index=0, raw=True)[0]
    await site.keep(ds)
    (document,) = json.loads((await get(site, path_of(ds) + "/metadata"))[1])
    ((_, body),) = await parts(site, path_of(ds) + "/frames/1", OCTETS)
    samples = samples_by_metadata(body, document)
    assert np.array_equal(samples[..., 0], raw[..., 0])
    even = raw[:, 0::2, 1:] if ds.PhotometricInterpretation == "YBR_FULL_422" else raw[..., 1:]
    assert np.array_equal(samples[:, 0::2, 1:] if even.shape != raw[..., 1:].shape else samples[..., 1:], even)
    ((_, body),) = await parts(site, path_of(ds))
    after = pydicom.dcmread(io.BytesIO(body))
    assert after.PhotometricInterpretation == ("RGB" if "422" in ds.PhotometricInterpretation else "YBR_FULL")
    assert after.pixel_array.shape == ds.pixel_array.shape


# ---- native frames


@pytest.mark.parametrize("name", ["SC_rgb_small_odd_big_endian.dcm"])
async def test_eight_bits_in_words_are_turned(site: WebSite, name: str) -> None:
    ds, little = (
        with_uids(pydicom.dcmread(io.BytesIO(sample(file_name)))) for file_name in (name, "SC_rgb_small_odd.dcm")
    )
    assert ds["PixelData"].VR == "OW"
    await site.keep(ds)
    length = ds.Rows * ds.Columns * 3
    ((_, body),) = await parts(site, path_of(ds) + "/frames/1", OCTETS)
    assert body == little.PixelData[:length]
    ((kind, body),) = await parts(site, path_of(ds))
    assert kind.endswith(EXPLICIT)
    assert pydicom.dcmread(io.BytesIO(body)).PixelData[:length] == little.PixelData[:length]
    assert (await get(site, path_of(ds) + "/bulkdata/7FE00010", "*/*"))[1][:length] == little.PixelData[:length]
    for begin, end in [(0, 1), (1, 8), (7, 30)]:
        _, body, _ = await get(site, path_of(ds) + "/bulkdata/7FE00010", "*/*", Range=f"bytes={begin}-{end}")
        assert body == little.PixelData[begin : end + 1]


async def test_frames_that_begin_within_a_word_are_cut_out(site: WebSite) -> None:
    pixels = np.random.default_rng(6).integers(0, 255, (3, 5, 7)).astype("u1")
    ds = grey(pixels[0].copy(), NumberOfFrames=3)
    words = (pixels.tobytes() + b"\0")[: 3 * 35 + 1]
    ds.PixelData = np.frombuffer(words, "<u2").byteswap().tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    out = io.BytesIO()
    pydicom.dcmwrite(out, with_uids(ds), implicit_vr=False, little_endian=False, enforce_file_format=True)
    await site.keep(out.getvalue())
    for number, (_, body) in enumerate(await parts(site, path_of(ds) + "/frames/1,2,3", OCTETS)):
        assert body == pixels[number].tobytes()


async def test_long_values_of_big_endian_objects_come_in_little_endian(site: WebSite) -> None:
    ds = grey(np.arange(64, dtype="<u2").reshape(8, 8))
    floats, words = np.linspace(0, 1, 2000).astype("<f4"), np.arange(3000, dtype="<u2")
    ds.add_new(0x00660016, "OF", floats.astype(">f4").tobytes())
    item = Dataset()
    item.add_new(0x00283006, "OW", words.astype(">u2").tobytes())
    ds.VOILUTSequence = Sequence([item])
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    out = io.BytesIO()
    pydicom.dcmwrite(out, with_uids(ds), implicit_vr=False, little_endian=False, enforce_file_format=True)
    await site.keep(out.getvalue())
    base = path_of(ds) + "/bulkdata"
    assert (await get(site, f"{base}/00660016", "*/*"))[1] == floats.tobytes()
    assert (await get(site, f"{base}/00660016", "*/*", Range="bytes=5-9"))[1] == floats.tobytes()[5:10]
    assert (await get(site, f"{base}/00283010/1/00283006", "*/*"))[1] == words.tobytes()


# ---- what stands behind the pixel data, and elements out of order


def raw_element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = tag.to_bytes(4, "little")[2:] + tag.to_bytes(4, "little")[:2] + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value


def signature() -> bytes:
    """A Digital Signatures Sequence of one item, whose value is long."""
    content = raw_element(0x04000005, b"US", b"\1\0") + raw_element(0x04000120, b"OB", b"sign" * 500)
    return raw_element(0xFFFAFFFA, b"SQ", b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content)


TAIL = (
    raw_element(0x00091010, b"UN", b"late" * 1000)
    + raw_element(0x00102000, b"LO", b"out of order ")
    + signature()
    + raw_element(0xFFFCFFFC, b"OB", b"\0" * 5000)
)


async def expect_tail(site: WebSite, ds: Dataset) -> None:
    status, body, _ = await get(site, path_of(ds) + "/metadata")
    assert status == 200
    (document,) = json.loads(body)
    assert document["FFFAFFFA"]["Value"][0]["04000005"]["Value"] == [1]
    assert document["00102000"]["Value"] == ["out of order"]
    assert list(document) == sorted(document)
    for place, expected in [
        (document["FFFAFFFA"]["Value"][0]["04000120"], b"sign" * 500),
        (document["00091010"], b"late" * 1000),
        (document["FFFCFFFC"], b"\0" * 5000),
    ]:
        assert (await get(site, place["BulkDataURI"], "*/*"))[:2] == (200, expected)
    (_, xml), *_ = await parts(site, path_of(ds) + "/metadata", 'multipart/related; type="application/dicom+xml"')
    assert [element.get("tag") for element in ElementTree.fromstring(xml)] == list(document)


@pytest.mark.parametrize("kind", ["native", "compressed", "deflated"])
async def test_metadata_do_not_end_at_the_pixel_data(site: WebSite, kind: str) -> None:
    if kind == "compressed":
        ds = with_uids(pydicom.dcmread(io.BytesIO(sample("MR_small_RLE.dcm"))))
        data = file_bytes(ds) + TAIL
    else:
        ds = with_uids(grey(np.arange(64, dtype="<u2").reshape(8, 8)))
        data = file_bytes(ds) + TAIL
    if kind == "deflated":
        deflate = zlib.compressobj(wbits=-15)
        body = data[len(file_meta("1.2", "1.4", EXPLICIT)) - 2 :]
        whole = pydicom.dcmread(io.BytesIO(data))
        start = data.index(b"\x08\x00\x05\x00") if "SpecificCharacterSet" in whole else data.index(b"\x08\x00\x16\x00")
        body = deflate.compress(data[start:]) + deflate.flush()
        data = file_meta(str(ds.SOPClassUID), "1.4", "1.2.840.10008.1.2.1.99") + body
    await site.keep(data)
    await expect_tail(site, ds)
    if kind != "native":
        ((_, body),) = await parts(site, path_of(ds))
        assert body.endswith(TAIL[-5000:])
        assert pydicom.dcmread(io.BytesIO(body))[0xFFFAFFFA].value[0][0x04000120].value == b"sign" * 500


async def test_long_elements_behind_the_pixel_data_are_not_read_into_memory(site: WebSite) -> None:
    ds = with_uids(grey(np.arange(64, dtype="<u2").reshape(8, 8)))
    await site.keep(file_bytes(ds) + signature() + raw_element(0xFFFCFFFC, b"OB", b"pad!" * 500_000))
    (document,) = json.loads((await get(site, path_of(ds) + "/metadata"))[1])
    assert "FFFAFFFA" in document
    assert (await get(site, document["FFFCFFFC"]["BulkDataURI"], "*/*"))[1] == b"pad!" * 500_000


async def test_bulk_data_of_a_video_is_its_fragments(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = "1.2.840.10008.1.2.4.102", 50
    ds.PixelData = in_fragments([b"v" * 1000], b"", [3])
    await site.keep(ds)
    (document,) = json.loads((await get(site, path_of(ds) + "/metadata"))[1])
    pairs = await parts(site, document["7FE00010"]["BulkDataURI"])
    assert {kind for kind, _ in pairs} == {"video/mp4; transfer-syntax=1.2.840.10008.1.2.4.102"}
    assert b"".join(body for _, body in pairs) == b"v" * 1000


# ---- deflated objects


async def test_bulk_data_of_a_deflated_object_streams_in_one_pass(site: WebSite) -> None:
    ds = with_uids(grey(np.arange(1 << 20, dtype="<u4").reshape(1024, 1024)))
    ds.add_new(0x00420011, "OB", b"pdf!" * 500_000)
    data = file_bytes(ds)
    start = data.index(b"\x08\x00\x16\x00")
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(data[start:]) + deflate.flush()
    await site.keep(file_meta(str(ds.SOPClassUID), "1.4", "1.2.840.10008.1.2.1.99") + body)
    base = path_of(ds) + "/bulkdata"
    assert (await get(site, f"{base}/7FE00010", "*/*"))[1] == ds.PixelData
    assert (await get(site, f"{base}/00420011", "*/*"))[1] == b"pdf!" * 500_000
    _, body, _ = await get(site, f"{base}/7FE00010", "*/*", Range="bytes=1000000-1000999")
    assert body == ds.PixelData[1000000:1001000]
    ((_, body),) = await parts(site, path_of(ds) + "/frames/1", OCTETS)
    assert body == ds.PixelData


# ---- empty fragments, tables that lie


def rle_frames() -> list[bytes]:
    ds = pydicom.dcmread(io.BytesIO(sample("emri_small_RLE.dcm")))
    return list(generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames))[:4]


def items(values: list[bytes]) -> bytes:
    return b"".join(b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value for value in values)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.201"])
@pytest.mark.parametrize("empty", [0, 1, 2, 4])
async def test_empty_fragments_are_no_frames(site: WebSite, syntax: str, empty: int) -> None:
    beginnings = {"1.2.840.10008.1.2.4.50": b"\xff\xd8\xff\xdb", "1.2.840.10008.1.2.4.201": b"\xff\x4f\xff\x51"}
    frames = [beginnings.get(syntax, b"x") + bytes([n]) * (40 + 2 * n) + b"\xff\xd9" for n in range(4)]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = syntax, 4
    ds.PixelData = items([b"", *frames[:empty], b"", b"", *frames[empty:]])
    await site.keep(ds)
    assert [body for _, body in await parts(site, path_of(ds) + "/frames/1,2,3,4", STORED)] == frames


@pytest.mark.parametrize("table", [b"", b"\0" * 16, np.array([0, 48, 96, 144], "<u4").tobytes()])
async def test_frames_of_rle_in_fragments_are_told_by_their_headers(site: WebSite, table: bytes) -> None:
    ds = with_uids(pydicom.dcmread(io.BytesIO(sample("emri_small_RLE.dcm"))))
    frames = rle_frames()
    ds.NumberOfFrames = 4
    ds.PixelData = in_fragments(frames, table, [2, 1, 3, 1])
    await site.keep(ds)
    assert [body for _, body in await parts(site, path_of(ds) + "/frames/1,2,3,4", STORED)] == frames


async def test_a_table_that_names_the_wrong_fragments_is_not_believed(site: WebSite) -> None:
    frames = [b"\xff\xd8\xff\xdb" + bytes([n]) * 44 for n in range(3)]
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = "1.2.840.10008.1.2.4.50", 3
    # Four fragments of which the second belongs to the first frame; the table says that it begins the second one.
    fragments = [frames[0][:24], frames[0][24:], frames[1], frames[2]]
    ds.PixelData = items([np.array([0, 32, 64], "<u4").tobytes(), *fragments])
    await site.keep(ds)
    assert [body for _, body in await parts(site, path_of(ds) + "/frames/1,2,3", STORED)] == frames


async def test_uncompressed_frames_in_fragments_are_told_by_their_length(site: WebSite) -> None:
    pixels = np.arange(3 * 64, dtype="<u2").reshape(3, 8, 8)
    ds = with_uids(grey(pixels[0].copy(), NumberOfFrames=3))
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.98"
    ds.PixelData = in_fragments([frame.tobytes() for frame in pixels], b"", [2, 1, 3])
    await site.keep(ds)
    pairs = await parts(site, path_of(ds) + "/frames/1,2,3", OCTETS)
    assert [body for _, body in pairs] == [frame.tobytes() for frame in pixels]


# ---- pictures that are asked for


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("viewport=256,256", 200),
        ("viewport=257,257", 400),
        ("viewport=16384,16384", 400),
        ("viewport=16384,16384,0,0,10,10", 400),
        ("viewport=16,16,60,60,-10,10", 200),
        ("viewport=16,16,64,0,10,10", 400),
        ("viewport=16,16,0,0,0,10", 400),
        ("viewport=16,16,-1,0,10,10", 400),
        ("viewport=16,16,1", 400),
        ("window=1,0", 400),
        ("window=1,0.5,linear-exact", 200),
        ("window=1,0,linear-exact", 400),
        ("window=1,5,sigmoid", 200),
        ("window=1,5,cubic", 400),
        ("window=1", 400),
        ("window=LUNG", 406),
    ],
)
async def test_what_can_be_asked_of_a_picture(site: WebSite, query: str, status: int) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=64)
    await site.keep(ds)
    assert (await get(site, f"{path_of(ds)}/rendered?{query}", "image/png"))[0] == status


async def test_thumbnail_of_a_small_image_is_not_enlarged_for_ever(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=8)
    await site.keep(ds)
    for query in ("", "?viewport=160,160"):
        status, body, _ = await get(site, f"{path_of(ds)}/thumbnail{query}")
        assert (status, shown_by(body).shape) == (200, (32, 32))


async def test_single_bits_of_big_endian_words_begin_with_their_first_bit(site: WebSite) -> None:
    little, big = (pydicom.dcmread(io.BytesIO(sample(name))) for name in ("liver_1frame.dcm", "liver_expb_1frame.dcm"))
    bits = np.random.default_rng(8).integers(0, 2, 3 * 21, dtype="u1")
    packed = np.packbits(bits, bitorder="little").tobytes()
    for ds, content in ((little, packed), (big, np.frombuffer(packed, "<u2").byteswap().tobytes())):
        ds.Rows, ds.Columns, ds.NumberOfFrames, ds.PixelData = 3, 7, 3, content
        ds["PixelData"].VR = "OW"
        await site.keep(with_uids(ds))
        for number, (_, body) in enumerate(await parts(site, path_of(ds) + "/frames/1,2,3", OCTETS)):
            unpacked = np.unpackbits(np.frombuffer(body, "u1"), bitorder="little")[:21]
            assert np.array_equal(unpacked, bits[number * 21 : number * 21 + 21])


@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2.2"])
async def test_frames_of_floating_point_samples(site: WebSite, syntax: str) -> None:
    values = np.linspace(-1, 1, 2 * 64).astype("<f4").reshape(2, 8, 8)
    ds = with_uids(grey(np.zeros((8, 8), "<u2"), NumberOfFrames=2, BitsAllocated=32))
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    big = syntax != EXPLICIT
    ds.FloatPixelData = values.astype(">f4" if big else "<f4").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, implicit_vr=False, little_endian=not big, enforce_file_format=True)
    await site.keep(out.getvalue())
    pairs = await parts(site, path_of(ds) + "/frames/1,2", OCTETS)
    assert [body for _, body in pairs] == [frame.tobytes() for frame in values]
    ((_, body),) = await parts(site, path_of(ds))
    assert pydicom.dcmread(io.BytesIO(body)).FloatPixelData == values.tobytes()


async def test_big_endian_pixels_of_a_private_syntax_are_turned(site: WebSite) -> None:
    values = np.arange(64, dtype="<u2").reshape(8, 8)
    ds = with_uids(grey(values))
    ds.PixelData = values.astype(">u2").tobytes()
    out = io.BytesIO()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    pydicom.dcmwrite(out, ds, implicit_vr=True, little_endian=True, enforce_file_format=True)
    data = out.getvalue()
    body = data[parse_meta(data).data_set_offset :]
    await site.keep(file_meta(str(ds.SOPClassUID), "1.4", "1.2.840.113619.5.2") + body)
    ((_, frame),) = await parts(site, path_of(ds) + "/frames/1", OCTETS)
    assert frame == values.tobytes()
    ((_, whole),) = await parts(site, path_of(ds))
    assert np.array_equal(pydicom.dcmread(io.BytesIO(whole)).pixel_array, values)
    assert (await get(site, path_of(ds) + "/bulkdata/7FE00010", "*/*"))[1] == values.tobytes()
