"""WADO-RS and WADO-URI over real connections, on real stores; pydicom and zipfile are the oracles."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels import get_decoder
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless

from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.scan.header import ScanLimits
from tests.support.objects import data_set, file_bytes
from tests.support.web import WebSite, parts_of

ANY = "transfer-syntax=*"
STORED = f"multipart/related; type=application/octet-stream; {ANY}"
EXPLICIT = "1.2.840.10008.1.2.1"


def sample(name: str) -> bytes:
    """A bundled file with UIDs that all are there."""
    file = get_testdata_file(name, download=False)
    assert isinstance(file, str)
    ds = pydicom.dcmread(file, force=True)
    ds.SOPClassUID = ds.get("SOPClassUID") or "1.2.840.10008.5.1.4.1.1.2"
    ds.StudyInstanceUID = ds.get("StudyInstanceUID") or "1.2.9"
    ds.SeriesInstanceUID = ds.get("SeriesInstanceUID") or "1.2.9.1"
    ds.SOPInstanceUID = ds.get("SOPInstanceUID") or "1.2.9.1.1"
    return file_bytes(ds)


def path_of(ds: Dataset, level: str = "instance") -> str:
    study = f"/dicom-web/studies/{ds.StudyInstanceUID}"
    series = f"{study}/series/{ds.SeriesInstanceUID}"
    return {"study": study, "series": series, "instance": f"{series}/instances/{ds.SOPInstanceUID}"}[level]


async def get(site: WebSite, path: str, accept: str = "", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    sent = {**({"Accept": accept} if accept else {}), **headers}
    async with site.client.get(path, headers=sent, skip_auto_headers=["Accept"]) as response:
        return response.status, await response.read(), response.headers


async def parts(site: WebSite, path: str, accept: str = "") -> list[tuple[str, bytes]]:
    headers = {"Accept": accept} if accept else {}
    async with site.client.get(path, headers=headers, skip_auto_headers=["Accept"]) as response:
        assert response.status == 200, await response.text()
        return await parts_of(response)


# ---- objects


async def test_study_comes_in_parts_byte_for_byte(site: WebSite) -> None:
    datasets = [data_set(study="1.2", series=f"1.2.{n % 2}", instance=f"1.2.{n % 2}.{n}", number=n) for n in range(6)]
    await site.keep(*datasets)
    expected = sorted(file_bytes(ds) for ds in datasets)
    for accept in (
        f'multipart/related; type="application/dicom"; {ANY}',
        "multipart/related; type=application/dicom",
        "",
    ):
        pairs = await parts(site, path_of(datasets[0], "study"), accept)
        assert sorted(data for _, data in pairs) == expected
        assert {kind for kind, _ in pairs} == {f"application/dicom; transfer-syntax={EXPLICIT}"}
    assert len(await parts(site, path_of(datasets[0], "series"))) == 3
    assert await parts(site, path_of(datasets[3])) == [
        (f"application/dicom; transfer-syntax={EXPLICIT}", file_bytes(datasets[3]))
    ]


async def test_single_part_and_zip(site: WebSite) -> None:
    datasets = [data_set(study="1.2", series="1.3", instance=f"1.4.{n}", number=n) for n in range(3)]
    await site.keep(*datasets)
    status, body, headers = await get(site, path_of(datasets[1]), "application/dicom")
    assert (status, body, headers["Content-Length"]) == (200, file_bytes(datasets[1]), str(len(body)))
    assert (await get(site, path_of(datasets[1], "series"), "application/dicom"))[0] == 406
    _, body, headers = await get(site, path_of(datasets[1], "study"), "application/zip")
    assert headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"1.2/1.3/1.4.{n}.dcm": file_bytes(ds) for n, ds in enumerate(datasets)
        }


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "image_dfl.dcm"])
async def test_transfer_syntax_is_the_asked_one(site: WebSite, name: str) -> None:
    data = sample(name)
    await site.keep(data)
    ds = pydicom.dcmread(io.BytesIO(data))
    stored = str(ds.file_meta.TransferSyntaxUID)
    for syntax in ("*", stored):
        ((kind, body),) = await parts(
            site, path_of(ds), f"multipart/related; type=application/dicom; transfer-syntax={syntax}"
        )
        assert (kind, body) == (f"application/dicom; transfer-syntax={stored}", data)
    ((kind, body),) = await parts(site, path_of(ds))
    assert kind == f"application/dicom; transfer-syntax={EXPLICIT}"
    converted = pydicom.dcmread(io.BytesIO(body))
    assert converted.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(converted.pixel_array, ds.pixel_array)
    accept = "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"
    assert (await get(site, path_of(ds), accept))[0] == 406


async def test_what_is_not_there_is_404(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4")
    await site.keep(ds)
    for path in ("1.9", "1.2/series/1.9", "1.2/series/1.3/instances/1.9", "1.9/series/1.3/instances/1.4"):
        for tail in ("", "/metadata", "/rendered", "/thumbnail"):
            assert (await get(site, f"/dicom-web/studies/{path}{tail}"))[0] == 404


# ---- metadata

_SAMPLES = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "rtplan.dcm",
    "rtdose.dcm",
    "reportsi.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
    "liver_1frame.dcm",
    "eCT_Supplemental.dcm",
    "JPEG2000.dcm",
    "UN_sequence.dcm",
    "nested_priv_SQ.dcm",
    "color3d_jpeg_baseline.dcm",
]


@pytest.mark.parametrize("name", _SAMPLES)
async def test_metadata_say_what_the_object_says(site: WebSite, name: str) -> None:
    data = sample(name)
    await site.keep(data)
    ds = pydicom.dcmread(io.BytesIO(data))
    status, body, headers = await get(site, path_of(ds, "study") + "/metadata")
    assert (status, headers["Content-Type"]) == (200, "application/dicom+json")
    (document,) = json.loads(body)
    await expect_same(site, ds, document)
    (_, xml), *_ = await parts(site, path_of(ds) + "/metadata", 'multipart/related; type="application/dicom+xml"')
    tags = [element.get("tag") for element in ElementTree.fromstring(xml)]
    assert tags == list(document)


async def expect_same(site: WebSite, ds: Dataset, document: dict[str, Any]) -> None:
    """Every element is there with its value; bulk can be had by its URI."""
    missing = {f"{e.tag:08X}" for e in ds if e.tag.element} - set(document)
    assert {tag for tag in missing if int(tag, 16) < 0x7FE00010} == set()
    for element in ds:
        attribute = document.get(f"{element.tag:08X}")
        if attribute is None or element.tag == 0x00080005 or element.tag == 0x7FE00010:
            continue
        if "BulkDataURI" in attribute:
            status, body, _ = await get(site, attribute["BulkDataURI"], "application/octet-stream")
            assert (status, len(body)) == (200, len(body) if isinstance(element.value, list) else len(element.value))
        elif attribute["vr"] == "SQ":
            assert len(attribute.get("Value", [])) == len(element.value)
            for item, model in zip(element.value, attribute.get("Value", []), strict=True):
                await expect_same(site, item, model)
        elif (
            attribute["vr"] == element.VR and "Value" in attribute and element.VR not in ("PN", "DS", "FL", "FD", "AT")
        ):
            values = element.value if element.VM > 1 else [element.value]
            assert [str("" if v is None else v) for v in attribute["Value"]] == [str(v).rstrip("\0 ") for v in values]


async def test_metadata_of_a_series_have_a_tag_that_follows_what_is_in_it(site: WebSite) -> None:
    await site.keep(data_set(study="1.2", series="1.3", instance="1.4"))
    path = "/dicom-web/studies/1.2/series/1.3/metadata"
    _, _, headers = await get(site, path)
    assert (await get(site, path, **{"If-None-Match": headers["ETag"]}))[:2] == (304, b"")
    assert (await get(site, path, **{"If-Match": '"another"'}))[0] == 412
    await site.keep(data_set(study="1.2", series="1.3", instance="1.5"))
    status, body, changed = await get(site, path, **{"If-None-Match": headers["ETag"]})
    assert status == 200
    assert changed["ETag"] != headers["ETag"]
    assert body.count(b'"00080018"') == 2


@pytest.mark.parametrize("coding", ["identity", "gzip", "br"])
async def test_metadata_of_more_than_fit_into_memory_are_streamed(
    site: WebSite, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.services.retrieve.dicomweb.metadata.PIECE", 3)
    monkeypatch.setattr("gantry.services.retrieve.dicomweb.objects.PIECE", 3)
    await site.keep(*(data_set(study="1.2", series="1.3", instance=f"1.4.{n}", size=8) for n in range(8)))
    status, body, headers = await get(site, "/dicom-web/studies/1.2/metadata", **{"Accept-Encoding": coding})
    assert (status, headers.get("Content-Encoding", "identity")) == (200, coding)
    assert len({instance["00080018"]["Value"][0] for instance in json.loads(body)}) == 8


async def test_object_that_was_indexed_before_layouts_were_is_served_all_the_same(site: WebSite) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample("emri_small_RLE.dcm")))
    await site.keep(ds, with_layout=False)
    assert (await get(site, path_of(ds) + "/metadata"))[0] == 200
    frames = list(generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames))
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    assert await parts(site, path_of(ds) + "/frames/2", accept) == [
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.5", frames[1])
    ]


async def test_header_that_is_too_large_for_the_index_is_read_from_the_object(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4")
    ds.add_new(0x00420011, "OB", b"pdf!" * 5000)
    await site.keep(ds, limits=ScanLimits(max_header=100))
    _, body, _ = await get(site, path_of(ds) + "/metadata")
    (document,) = json.loads(body)
    assert (await get(site, document["00420011"]["BulkDataURI"]))[1].count(b"pdf!") == 5000


# ---- frames


@pytest.mark.parametrize(
    "name",
    [
        "emri_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "emri_small_jpeg_ls_lossless.dcm",
        "color3d_jpeg_baseline.dcm",
    ],
)
async def test_compressed_frames_are_those_of_the_object(site: WebSite, name: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample(name)))
    await site.keep(ds)
    stored = ds.file_meta.TransferSyntaxUID
    frames = list(generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames))
    pairs = await parts(site, path_of(ds) + "/frames/3,1,2", STORED)
    assert [body for _, body in pairs] == [frames[2], frames[0], frames[1]]
    assert {kind for kind, _ in pairs} == {f"application/octet-stream; transfer-syntax={stored}"}
    ((kind, body),) = await parts(site, path_of(ds) + "/frames/1", "multipart/related; type=image/*")
    assert (kind.partition(";")[0].partition("/")[0], body) == ("image", frames[0])
    ((kind, body),) = await parts(site, path_of(ds) + "/frames/2")
    assert kind == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    (document,) = json.loads((await get(site, path_of(ds) + "/metadata"))[1])
    if document["00280004"]["Value"] == ["YBR_FULL_422"]:
        # Two luminance samples, then the chrominance of the first (PS3.3 C.7.6.3.1.2).
        raw = get_decoder(stored).as_array(ds, index=1, raw=True)[0]
        expected = np.stack([raw[:, 0::2, 0], raw[:, 1::2, 0], raw[:, 0::2, 1], raw[:, 0::2, 2]], axis=-1)
        assert body == expected.tobytes()
    else:
        assert np.array_equal(np.frombuffer(body, ds.pixel_array.dtype), ds.pixel_array[1].ravel())


@pytest.mark.parametrize(
    "name", ["emri_small.dcm", "emri_small_big_endian.dcm", "rtdose.dcm", "SC_rgb.dcm", "image_dfl.dcm"]
)
async def test_native_frames_are_cut_out(site: WebSite, name: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample(name)))
    await site.keep(ds)
    count = int(ds.get("NumberOfFrames", 1))
    pixels = ds.pixel_array if count > 1 else ds.pixel_array[None]
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    for number in {1, count}:
        ((_, body),) = await parts(site, path_of(ds) + f"/frames/{number}")
        assert body == little[number - 1].tobytes()
    status, body, headers = await get(site, path_of(ds) + f"/frames/{count}", "application/octet-stream")
    assert (status, body) == (200, little[count - 1].tobytes())
    assert headers["Content-Type"].startswith("application/octet-stream")


async def test_frames_of_single_bits_begin_with_their_first_bit(site: WebSite) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample("liver.dcm")))
    ds.Rows, ds.Columns, ds.NumberOfFrames = 3, 7, 3  # 21 bits a frame
    ds.PixelData = bytes([0b10110101, 0x5A, 0xFF, 0x13, 0x80, 0x77, 0x01, 0x00])
    await site.keep(ds)
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    pairs = await parts(site, path_of(ds) + "/frames/1,2,3")
    for number, (_, body) in enumerate(pairs):
        frame = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")[:21]
        assert np.array_equal(frame, bits[number * 21 : number * 21 + 21])


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
async def test_frames_in_several_fragments_are_put_together(site: WebSite, table: str) -> None:
    frames = [bytes([n]) * (10 + 2 * n) for n in range(1, 5)]
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=4)
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = RLELossless, 4
    if table == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        per_frame = 2 if table == "basic" else 1
        ds.PixelData = encapsulate(frames, fragments_per_frame=per_frame, has_bot=table == "basic")
    await site.keep(ds)
    pairs = await parts(site, path_of(ds) + "/frames/1,2,3,4", STORED)
    assert [body for _, body in pairs] == frames


# ---- bulk data


async def test_bulk_data_by_path_and_range(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=64)
    inner = Dataset()
    inner.add_new(0x00420011, "OB", bytes(range(256)) * 20)
    ds.add_new(0x00091002, "OB", b"top" * 1000)
    ds.ReferencedStudySequence = Sequence([Dataset(), inner])
    await site.keep(ds)
    base = path_of(ds) + "/bulkdata"
    assert (await get(site, f"{base}/00091002", "*/*"))[1] == b"top" * 1000
    assert await parts(site, f"{base}/00081110/2/00420011") == [("application/octet-stream", bytes(range(256)) * 20)]
    status, body, headers = await get(site, f"{base}/7FE00010", "*/*", Range="bytes=100-199")
    assert (status, body, headers["Content-Range"]) == (206, ds.PixelData[100:200], "bytes 100-199/8192")
    assert (await get(site, f"{base}/7FE00010", "*/*", Range="bytes=-5"))[1] == ds.PixelData[-5:]
    assert (await get(site, f"{base}/7FE00010", "*/*", Range="bytes=99999-"))[0] == 416
    assert (await get(site, f"{base}/7FE00010", "*/*", Range="junk"))[:2] == (200, ds.PixelData)
    of_another = {"Range": "bytes=100-199", "If-Range": '"another"'}
    assert (await get(site, f"{base}/7FE00010", "*/*", **of_another))[:2] == (200, ds.PixelData)
    for path, status in [
        ("00091003", 404),
        ("00081110/3/00420011", 404),
        ("00081110/0/00420011", 404),
        ("00081110/x/00420011", 400),
        ("00081110/%C2%B2/00420011", 400),
        ("00081110/%D9%A2/00420011", 400),
        ("00081110/2", 400),
        ("junk", 400),
        ("00081110/99999999999999/00420011", 400),
        ("", 404),
        ("..%2f..%2fetc", 400),
    ]:
        assert (await get(site, f"{base}/{path}"))[0] == status, path


# ---- pictures


def shown_by(body: bytes) -> np.ndarray[Any, Any]:
    """The samples of a picture."""
    return np.asarray(Image.open(io.BytesIO(body)))


async def test_picture_is_windowed_and_fitted(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=64)
    ramp = np.arange(64 * 64, dtype="<u2").reshape(64, 64)
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData, ds.RescaleSlope, ds.RescaleIntercept = ramp.tobytes(), "1", "-1000"
    await site.keep(ds)
    whole = shown_by((await get(site, path_of(ds) + "/rendered", "image/png"))[1])
    assert (whole.shape, whole[0, 0], whole[-1, -1]) == ((64, 64), 0, 255)
    shown = shown_by((await get(site, path_of(ds) + "/rendered?window=0,500&viewport=32,999", "image/*"))[1])
    assert shown.shape == (32, 32)
    narrow = shown_by((await get(site, path_of(ds) + "/frames/1/rendered?window=0,500,linear", "image/png"))[1])
    assert np.array_equal(narrow == 0, ramp.astype(int) - 1000 <= -0.5 - 249.5 + 499 / 510)
    for level in ("study", "series", "instance"):
        status, body, headers = await get(site, path_of(ds, level) + "/thumbnail?viewport=16,16")
        assert (status, headers["Content-Type"], shown_by(body).shape) == (200, "image/jpeg", (16, 16))
    assert (await get(site, path_of(ds) + "/thumbnail", **{"If-None-Match": headers["ETag"]}))[0] == 200


async def test_picture_has_the_media_type_and_the_quality_that_are_asked_for(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=64)
    await site.keep(ds)
    path, sizes = path_of(ds) + "/rendered", {}
    for accept, kind, begins in [
        ("*/*", "image/jpeg", b"\xff\xd8"),
        ("image/gif", "image/gif", b"GIF8"),
        ("image/jpeg;q=0.5, image/png", "image/png", b"\x89PNG"),
    ]:
        status, body, headers = await get(site, path, accept)
        assert (status, headers["Content-Type"], headers["Vary"]) == (200, kind, "Accept")
        assert body.startswith(begins)
    for quality in ("10", "95"):
        sizes[quality] = len((await get(site, f"{path}?quality={quality}", "image/jpeg"))[1])
    assert sizes["10"] < sizes["95"]
    for bad in ("0", "101", "-1", "x", "1e9", "9" * 5000, "0001" + "9" * 99):
        assert (await get(site, f"{path}?quality={bad}"))[0] == 400
    assert (await get(site, path, "image/webp"))[0] == 406
    link = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4"
    for parameters, kind in [("", "jpeg"), ("&contentType=image/png", "png"), ("&contentType=image/*", "jpeg")]:
        assert (await get(site, link + parameters))[2]["Content-Type"] == f"image/{kind}"


@pytest.mark.parametrize("name", ["SC_rgb_rle.dcm", "JPEG2000.dcm", "color3d_jpeg_baseline.dcm", "emri_small_RLE.dcm"])
async def test_compressed_images_are_shown(site: WebSite, name: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample(name)))
    await site.keep(ds)
    status, body, _ = await get(site, path_of(ds) + "/rendered")
    assert status == 200, body
    assert shown_by(body).shape[:2] == (ds.Rows, ds.Columns)


# ---- WADO-URI


async def test_link_of_old_gives_the_object_or_a_picture(site: WebSite) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4")
    await site.keep(ds)
    link = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4"
    status, body, headers = await get(site, f"{link}&contentType=application/dicom")
    assert (status, body) == (200, file_bytes(ds))
    assert headers["Content-Type"].startswith("application/dicom")
    assert shown_by((await get(site, f"{link}&rows=16&windowCenter=100&windowWidth=50"))[1]).shape == (16, 16)
    for query, status in [
        ("requestType=WADO", 400),
        ("", 400),
        (link[6:].replace("1.4", "1.9"), 404),
        (link[6:] + "&contentType=text/html", 406),
        (link[6:] + "&anonymize=yes", 406),
        (link[6:] + "&frameNumber=0", 400),
        (link[6:] + "&windowCenter=x&windowWidth=1", 400),
    ]:
        assert (await get(site, f"/wado?{query}"))[0] == status, query


# ---- bad inputs


@pytest.mark.parametrize(
    ("tail", "statuses"),
    [
        ("frames/0", {400}),
        ("frames/-1", {400}),
        ("frames/2", {404}),
        ("frames/99999999999", {400}),
        ("frames/" + ",".join(["1"] * 3000), {200}),
        ("frames/x", {400}),
        ("frames/1,,1", {400}),
        ("frames/1/rendered?window=1", {400}),
        ("rendered?window=nan,1", {400}),
        ("rendered?viewport=0,0", {400}),
        ("rendered?viewport=99999,99999", {400}),
        ("rendered?viewport=a", {400}),
    ],
)
async def test_bad_question_is_no_error_of_ours(site: WebSite, tail: str, statuses: set[int]) -> None:
    ds = data_set(study="1.2", series="1.3", instance="1.4", size=8)
    await site.keep(ds)
    assert (await get(site, f"{path_of(ds)}/{tail}"))[0] in statuses
    assert (await get(site, f"{path_of(ds)}/frames/1", "junk"))[0] == 406
    assert (await get(site, f"{path_of(ds)}/rendered", "text/html"))[0] == 406


@pytest.mark.parametrize(
    "fields",
    [
        {"Rows": 0},
        {"Rows": 60000, "Columns": 60000},
        {"BitsAllocated": 255},
        {"BitsAllocated": 0},
        {"SamplesPerPixel": 77},
        {"NumberOfFrames": 1_000_000_000},
        {"NumberOfFrames": -1},
        {"BitsStored": 99},
        {"PhotometricInterpretation": "JUNK"},
    ],
)
async def test_image_that_cannot_be_is_not_shown_and_can_be_had(site: WebSite, fields: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = data_set(study="1.2", series="1.3", instance="1.4", size=8, **fields)
    await site.keep(ds)
    frames = (await get(site, path_of(ds) + "/frames/1"))[0]
    shown = (await get(site, path_of(ds) + "/rendered"))[0]
    assert {frames, shown} <= {200, 404, 406, 413, 422}
    assert shown != 200
    ((_, body),) = await parts(site, path_of(ds))
    assert parse_meta(body).sop_instance_uid == "1.4"


async def test_hostile_codestream_costs_its_own_request_only(site: WebSite) -> None:
    ds = pydicom.dcmread(io.BytesIO(sample("JPEG2000.dcm")))
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate([frame[:200] + bytes(reversed(frame[200:]))])
    await site.keep(ds)
    assert (await get(site, path_of(ds) + "/rendered"))[0] == 406
    assert (await get(site, path_of(ds) + "/frames/1"))[0] == 406
    assert (await get(site, path_of(ds) + "/metadata"))[0] == 200
