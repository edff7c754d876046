"""Each step of the pipeline (PS3.4 N.2): against DCMTK where it knows the step, else against the standard's formula."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.services.retrieve.pixels.look import RenderingParameters, VoiWindow, look_of
from gantry.services.retrieve.pixels.palettes import expanded
from gantry.services.retrieve.pixels.worker import CannotDo
from tests.support.objects import file_bytes
from tests.support.pictures import HAVE_DCMTK, by_dcmtk, difference, grey, rendered_picture

Array = np.ndarray[Any, Any]
needs_dcmtk = pytest.mark.skipif(not HAVE_DCMTK, reason="DCMTK is not installed")
RAMP = np.arange(4096, dtype="<u2").reshape(64, 64)
SIGNED = np.arange(-2048, 2048, dtype="<i2").reshape(64, 64)
BITS = {"BitsStored": 12, "HighBit": 11}


def lut(data: Array, first: int, bits: int, vr: str = "US", **more: Any) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, vr, [len(data) % 65536, first, bits])
    item.add_new(0x00283006, "OW", data.astype("<u2").tobytes())
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def modality(item: Dataset) -> Dataset:
    item.ModalityLUTType = "US"
    return item


INVERTED = lut(np.arange(4095, -1, -1), 0, 12)
CASES: dict[str, tuple[Dataset, list[str]]] = {
    "no window": (grey(RAMP), []),
    "no window, 12 bits": (grey(RAMP, **BITS), []),
    "no window, signed": (grey(SIGNED, **BITS), []),
    "no window, rescaled": (grey(RAMP, **BITS, RescaleSlope="2", RescaleIntercept="-1024"), []),
    "8 bits": (grey(RAMP.astype("u1")), []),
    "8 bits, signed": (grey(SIGNED.astype("i1")), []),
    "32 bits": (grey(RAMP.astype("<u4") * 1_000_000), []),
    "MONOCHROME1": (grey(RAMP, **BITS, PhotometricInterpretation="MONOCHROME1"), []),
    "inverse": (grey(RAMP, **BITS, PresentationLUTShape="INVERSE"), []),
    "identity": (grey(RAMP, **BITS, PresentationLUTShape="IDENTITY"), []),
    "window": (grey(RAMP, **BITS, WindowCenter="1000", WindowWidth="500"), ["+Wi", "1"]),
    "windows": (grey(RAMP, **BITS, WindowCenter=["1000", "9"], WindowWidth=["500", "3"]), ["+Wi", "1"]),
    "window of one": (grey(RAMP, **BITS, WindowCenter="1000", WindowWidth="1"), ["+Wi", "1"]),
    "window, rescaled": (
        grey(RAMP, **BITS, RescaleSlope="-0.5", RescaleIntercept="99.5", WindowCenter="-500", WindowWidth="800.5"),
        ["+Wi", "1"],
    ),
    "window, MONOCHROME1": (
        grey(RAMP, **BITS, PhotometricInterpretation="MONOCHROME1", WindowCenter="1000", WindowWidth="500"),
        ["+Wi", "1"],
    ),
    "sigmoid": (
        grey(RAMP, **BITS, WindowCenter="2000", WindowWidth="900", VOILUTFunction="SIGMOID"),
        ["+Wi", "1", "+Wfs"],
    ),
    "voi lut": (grey(RAMP, **BITS, VOILUTSequence=Sequence([INVERTED])), ["+Wl", "1"]),
    "voi lut of eight bits": (
        grey(RAMP, **BITS, VOILUTSequence=Sequence([lut(np.arange(256)[::-1], 1000, 8)])),
        ["+Wl", "1"],
    ),
    "voi lut, signed": (
        grey(SIGNED, **BITS, VOILUTSequence=Sequence([lut(np.arange(1000) * 65, -500, 16, "SS")])),
        ["+Wl", "1"],
    ),
    "voi lut before window": (
        grey(RAMP, **BITS, VOILUTSequence=Sequence([INVERTED]), WindowCenter="1000", WindowWidth="500"),
        ["+Wl", "1"],
    ),
    "modality lut": (
        grey(RAMP, **BITS, ModalityLUTSequence=Sequence([modality(lut(np.arange(4095, -1, -1) * 16, 0, 16))])),
        [],
    ),
    "modality lut and window": (
        grey(
            RAMP,
            **BITS,
            ModalityLUTSequence=Sequence([modality(lut(np.arange(4096) ** 2 // 4096, 0, 12))]),
            WindowCenter="1000",
            WindowWidth="600",
        ),
        ["+Wi", "1"],
    ),
    "bits beside the sample": (grey(RAMP | 0xA000, **BITS), []),
    "bits below the sample": (grey(RAMP << 4 | 5, BitsStored=12, HighBit=15), []),
    "signed with bits beside it": (grey((SIGNED.view("<u2") & 0xFFF | 0x3000).view("<i2"), **BITS), []),
}


@needs_dcmtk
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_greys_are_those_of_dcmtk(tmp_path: Path, name: str) -> None:
    ds, options = CASES[name]
    theirs = by_dcmtk(file_bytes(ds), tmp_path, *options)
    assert theirs is not None
    assert difference(rendered_picture(file_bytes(ds)), theirs) <= 1


@pytest.mark.parametrize("text", ["1000,500", "1000,500,linear", "1000,500,LINEAR"])
def test_linear_function_is_that_of_the_standard(text: str) -> None:
    shown = rendered_picture(
        file_bytes(grey(RAMP, **BITS, RescaleIntercept="-100")), look=look_of(text, None, "image/png")
    )
    x = RAMP.astype(float) - 100
    expected = np.clip(((x - 999.5) / 499 + 0.5) * 255, 0, 255)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("text", ["1000,500,linear-exact", "1000,500,LINEAR_EXACT", "1000.0,5e2,Linear_Exact"])
def test_linear_exact_function_is_that_of_the_standard(text: str) -> None:
    shown = rendered_picture(file_bytes(grey(RAMP, **BITS)), look=look_of(text, None, "image/png"))
    expected = np.clip(((RAMP.astype(float) - 1000) / 500 + 0.5) * 255, 0, 255)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


def test_sigmoid_function_is_that_of_the_standard() -> None:
    shown = rendered_picture(file_bytes(grey(RAMP, **BITS)), look=look_of("1000,500,sigmoid", None, "image/png"))
    expected = 255 / (1 + np.exp(-4 * (RAMP.astype(float) - 1000) / 500))
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


def test_window_of_the_object_has_its_function() -> None:
    ds = grey(RAMP, **BITS, WindowCenter="1000", WindowWidth="0.5", VOILUTFunction="LINEAR_EXACT")
    assert set(np.unique(rendered_picture(file_bytes(ds)))) == {0, 128, 255}


def test_windows_and_tables_are_found_by_what_they_are_called() -> None:
    ds = grey(RAMP, **BITS, WindowCenter=["1000", "3000"], WindowWidth=["500", "100"])
    ds.WindowCenterWidthExplanation = ["BRAIN", "Bone "]
    ds.VOILUTSequence = Sequence([lut(np.arange(4095, -1, -1), 0, 12, LUTExplanation="dark")])
    part10 = file_bytes(ds)
    bone = rendered_picture(part10, look=RenderingParameters("bone", kind="image/png"))
    assert np.array_equal(
        bone, rendered_picture(part10, look=RenderingParameters(VoiWindow(3000, 100), kind="image/png"))
    )
    assert np.array_equal(
        rendered_picture(part10, look=RenderingParameters("DARK", kind="image/png")), rendered_picture(part10)
    )
    with pytest.raises(CannotDo, match="no window of this name"):
        rendered_picture(part10, look=RenderingParameters("lung", kind="image/png"))


def group(**macros: Dataset) -> Dataset:
    item = Dataset()
    for keyword, macro in macros.items():
        setattr(item, keyword, Sequence([macro]))
    return item


def attributes(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def test_frames_have_the_window_and_rescale_of_their_functional_groups() -> None:
    frames = np.stack([RAMP, RAMP, RAMP])
    ds = grey(RAMP, **BITS, NumberOfFrames=3, WindowCenter="1", WindowWidth="1")
    ds.PixelData = frames.tobytes()
    shared = attributes(WindowCenter="2000", WindowWidth="1000")
    ds.SharedFunctionalGroupsSequence = Sequence([group(FrameVOILUTSequence=shared)])
    rescale = attributes(RescaleSlope="2", RescaleIntercept="-1000", RescaleType="US")
    own = attributes(WindowCenter="500", WindowWidth="300")
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [
            group(PixelValueTransformationSequence=rescale),
            group(FrameVOILUTSequence=own),
            group(FrameVOILUTSequence=own, PixelValueTransformationSequence=rescale),
        ]
    )
    for number, (center, width, slope, intercept) in enumerate(
        [(2000, 1000, 2, -1000), (500, 300, 1, 0), (500, 300, 2, -1000)], 1
    ):
        x = RAMP.astype(float) * slope + intercept
        expected = np.clip(((x - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
        assert np.abs(rendered_picture(file_bytes(ds), number) - expected).max() <= 0.5 + 1e-6


def test_a_cine_without_a_window_does_not_flicker() -> None:
    frames = np.stack([RAMP // 4, RAMP // 2 + 7, RAMP])
    ds = grey(RAMP, **BITS, NumberOfFrames=3)
    ds.PixelData = frames.tobytes()
    for number in range(1, 4):
        shown = rendered_picture(file_bytes(ds), number)
        assert np.abs(shown - frames[number - 1] / 4095 * 255).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_floating_point_samples_are_shown_through_a_window_or_their_own_range(kind: str) -> None:
    values = np.linspace(-1.5, 2.5, 4096).astype(kind).reshape(64, 64)
    ds = grey(RAMP, NumberOfFrames=1)
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.BitsAllocated = values.dtype.itemsize * 8
    if kind == "<f4":
        ds.FloatPixelData = values.tobytes()
    else:
        ds.DoubleFloatPixelData = values.tobytes()
    assert np.abs(rendered_picture(file_bytes(ds)) - (values + 1.5) / 4 * 255).max() <= 0.51
    shown = rendered_picture(file_bytes(ds), look=look_of("0.5,1,linear-exact", None, "image/png"))
    assert np.abs(shown - np.clip(values, 0, 1) * 255).max() <= 0.51
    ds.NumberOfFrames = 2
    keyword = "FloatPixelData" if kind == "<f4" else "DoubleFloatPixelData"
    setattr(ds, keyword, values.tobytes() * 2)
    with pytest.raises(CannotDo, match="no window"):
        rendered_picture(file_bytes(ds))


@pytest.mark.parametrize("bits", [1, 2, 5, 10, 20, 24, 31])
def test_samples_of_any_number_of_bits_are_shown_over_their_whole_range(bits: int) -> None:
    values = np.linspace(0, (1 << bits) - 1, 64).astype("<u4").reshape(8, 8)
    allocated = 1 if bits == 1 else 24 if bits in (20, 24) else 32
    ds = grey(values, BitsStored=bits, HighBit=bits - 1, BitsAllocated=allocated)
    if bits == 1:
        ds.PixelData = np.packbits(values.astype("u1").ravel(), bitorder="little").tobytes()
    elif allocated == 24:
        ds.PixelData = values.view("u1").reshape(-1, 4)[:, :3].tobytes()
    assert np.abs(rendered_picture(file_bytes(ds)) - values / float((1 << bits) - 1) * 255).max() <= 0.51


# ---- colour


def colours(kind: str = "u1", planar: int = 0, photometric: str = "RGB") -> tuple[Dataset, Array]:
    """An image of three samples, and these."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, np.iinfo(kind).max, (16, 24, 3), endpoint=True).astype(kind)
    ds = grey(pixels[..., 0].copy(), SamplesPerPixel=3, PlanarConfiguration=planar)
    ds.PhotometricInterpretation = photometric
    ds.PixelData = (np.moveaxis(pixels, 2, 0) if planar else pixels).tobytes()
    return ds, pixels


@needs_dcmtk
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_colours_are_those_of_dcmtk(tmp_path: Path, kind: str, planar: int) -> None:
    ds, pixels = colours(kind, planar)
    shown = rendered_picture(file_bytes(ds))
    theirs = by_dcmtk(file_bytes(ds), tmp_path)
    assert theirs is not None
    assert difference(shown, theirs) <= 1
    assert np.abs(shown - pixels / np.iinfo(kind).max * 255).max() <= 0.51


def from_ybr(pixels: Array, partial: bool = False) -> Array:
    """PS3.3 C.7.6.3.1.2, solved for RGB."""
    y, cb, cr = np.moveaxis(pixels.astype(float), -1, 0)
    forward = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    scale, offset = (219 / 255, 16) if partial else (1.0, 0)
    chroma = 224 / 255 if partial else 1.0
    vector = np.stack([(y - offset) / scale, (cb - 128) / chroma, (cr - 128) / chroma], axis=-1)
    return np.clip(vector @ np.linalg.inv(forward).T, 0, 255)


@pytest.mark.parametrize("planar", [0, 1])
def test_ybr_full_is_that_of_the_standard(planar: int) -> None:
    ds, pixels = colours("u1", planar, "YBR_FULL")
    assert np.abs(rendered_picture(file_bytes(ds)).astype(float) - from_ybr(pixels)).max() <= 1


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_chrominance_of_two_pixels_is_one(photometric: str) -> None:
    ds, pixels = colours("u1", 0, photometric)
    pixels[:, 1::2, 1:] = pixels[:, 0::2, 1:]
    pairs = np.stack([pixels[:, 0::2, 0], pixels[:, 1::2, 0], pixels[:, 0::2, 1], pixels[:, 0::2, 2]], axis=-1)
    ds.PixelData = pairs.tobytes()
    expected = from_ybr(pixels, partial=photometric == "YBR_PARTIAL_422")
    assert np.abs(rendered_picture(file_bytes(ds)).astype(float) - expected).max() <= 1.5


@pytest.mark.parametrize("photometric", ["HSV", "ARGB", "CMYK", "JUNK"])
def test_what_has_no_meaning_any_more_is_refused_in_words(photometric: str) -> None:
    ds, _ = colours(photometric=photometric)
    with pytest.raises(CannotDo, match="cannot be shown"):
        rendered_picture(file_bytes(ds))


def palette(count: int, first: int, bits: int, vr: str = "US") -> tuple[Dataset, list[Array]]:
    """An image of indices from below the first mapped value to beyond the last, and the tables."""
    index = np.linspace(0, min(255, first + count + 20), 256).astype("u1").reshape(16, 16)
    ds = grey(index, PhotometricInterpretation="PALETTE COLOR")
    rng, tables = np.random.default_rng(2), []
    for place, colour in enumerate(("Red", "Green", "Blue")):
        table = rng.integers(0, (1 << bits) - 1, count, endpoint=True)
        tables.append(table)
        ds.add_new(0x00281101 + place, vr, [count % 65536, first, bits])
        data = table.astype("<u2").tobytes() if bits > 8 else table.astype("u1").tobytes()
        ds.add_new(0x00281201 + place, "OW", data + b"\0" * (len(data) % 2))
        assert colour
    return ds, tables


@needs_dcmtk
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("count", "first"), [(256, 0), (100, 0), (100, 50), (77, 3)])
def test_palettes_are_those_of_dcmtk(tmp_path: Path, count: int, first: int, bits: int) -> None:
    ds, tables = palette(count, first, bits)
    shown = rendered_picture(file_bytes(ds))
    index = np.frombuffer(ds.PixelData, "u1").reshape(16, 16).astype(int)
    places = np.clip(index - first, 0, count - 1)
    expected = np.stack([table[places] >> (bits - 8) for table in tables], axis=-1)
    assert difference(shown, expected) == 0
    theirs = by_dcmtk(file_bytes(ds), tmp_path)
    assert theirs is not None
    assert difference(shown, theirs) <= 1


def test_segments_of_a_palette_are_put_together() -> None:
    # Discrete 1 2 3; linear to 9 in 3 steps; and the first two segments again.
    numbers = [0, 3, 1, 2, 3, 1, 3, 9, 2, 2, 0, 0]
    assert expanded(numbers, wide=True) == [1, 2, 3, 5, 7, 9, 1, 2, 3, 5, 7, 9]
    with pytest.raises(CannotDo):
        expanded([0, 65535] + [0] * 65535 + [1, 65535, 9], wide=True)


def test_segmented_palette_is_applied() -> None:
    ds, _ = palette(256, 0, 16)
    for place in range(3):
        del ds[0x00281201 + place]
        segments = [0, 1, 0, 1, 255, 0xFF00] if place == 0 else [0, 1, 0xFF00, 1, 255, 0]
        ds.add_new(0x00281221 + place, "OW", np.array(segments, "<u2").tobytes())
    index = np.frombuffer(ds.PixelData, "u1").reshape(16, 16)
    shown = rendered_picture(file_bytes(ds))
    assert np.abs(shown[..., 0].astype(int) - index).max() <= 1
    assert np.abs(shown[..., 2].astype(int) - (255 - index)).max() <= 1


def test_palette_that_is_missing_is_refused_in_words() -> None:
    with pytest.raises(CannotDo, match="palette"):
        rendered_picture(file_bytes(grey(RAMP.astype("u1"), PhotometricInterpretation="PALETTE COLOR")))


def test_supplemental_palette_colours_what_is_above_its_first_value() -> None:
    ds, tables = palette(100, 100, 16)
    ds.PhotometricInterpretation, ds.PixelPresentation = "MONOCHROME2", "MIXED"
    index = np.frombuffer(ds.PixelData, "u1").reshape(16, 16).astype(int)
    shown = rendered_picture(file_bytes(ds))
    below = index < 100
    assert np.array_equal(shown[below], np.repeat(index[below][:, None], 3, 1))
    places = np.clip(index[~below] - 100, 0, 99)
    assert np.array_equal(shown[~below], np.stack([table[places] >> 8 for table in tables], axis=-1))


# ---- overlays


def with_overlay(ds: Dataset, rows: int, columns: int, origin: tuple[int, int] = (1, 1)) -> Array:
    """Put one in; where it lies."""
    bits = np.random.default_rng(3).integers(0, 2, (rows, columns)).astype("u1")
    ds.add_new(0x60000010, "US", rows)
    ds.add_new(0x60000011, "US", columns)
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", list(origin))
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    ds.add_new(0x60003000, "OW", packed + b"\0" * (len(packed) % 2))
    return bits.astype(bool)


@needs_dcmtk
@pytest.mark.parametrize("origin", [(1, 1), (5, 9), (-3, 60)])
def test_overlays_are_those_of_dcmtk(tmp_path: Path, origin: tuple[int, int]) -> None:
    ds = grey(RAMP, **BITS)
    with_overlay(ds, 64 if origin == (1, 1) else 13, 64 if origin == (1, 1) else 11, origin)
    theirs = by_dcmtk(file_bytes(ds), tmp_path)
    assert theirs is not None
    assert difference(rendered_picture(file_bytes(ds)), theirs) <= 1
    assert difference(rendered_picture(file_bytes(ds)), rendered_picture(file_bytes(grey(RAMP, **BITS)))) > 100


@needs_dcmtk
def test_overlay_in_the_bits_beside_the_sample_is_that_of_dcmtk(tmp_path: Path) -> None:
    bits = np.random.default_rng(4).integers(0, 2, (64, 64)).astype("<u2")
    ds = grey(RAMP | bits << 14, **BITS)
    for element, vr, value in [(0x10, "US", 64), (0x11, "US", 64), (0x40, "CS", "G"), (0x50, "SS", [1, 1])]:
        ds.add_new(0x60000000 | element, vr, value)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 14)
    theirs = by_dcmtk(file_bytes(ds), tmp_path)
    assert theirs is not None
    shown = rendered_picture(file_bytes(ds))
    assert difference(shown, theirs) <= 1
    assert (shown[bits.astype(bool)] == 255).all()


# ---- viewports


def test_regions_are_cut_and_turned() -> None:
    ds = grey(RAMP.astype("u1"))
    whole = rendered_picture(file_bytes(ds))

    def shown(text: str) -> Array:
        return rendered_picture(file_bytes(ds), look=look_of(None, text, "image/png"))

    assert np.array_equal(shown("64,64"), whole)
    assert np.array_equal(shown("20,10,5,7,20,10"), whole[7:17, 5:25])
    assert np.array_equal(shown("20,10,5,7,-20,10"), whole[7:17, 5:25][:, ::-1])
    assert np.array_equal(shown("20,10,5,7,20,-10"), whole[7:17, 5:25][::-1])
    assert np.array_equal(shown("40,20,5,7,20,10"), np.repeat(np.repeat(whole[7:17, 5:25], 2, 0), 2, 1))
    assert np.array_equal(shown("64,64,,,,"), whole)
    assert shown("16,16,60,60,100,100").shape == (16, 16)
    with pytest.raises(CannotDo, match="more than 4 times"):
        shown("64,64,60,60,100,100")
    means = whole.astype(float).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(shown("32,32") - means).max() <= 0.51


def test_pixels_that_are_not_square_are_shown_with_their_proportions() -> None:
    look = look_of(None, "64,64", "image/png")
    assert rendered_picture(file_bytes(grey(RAMP, PixelAspectRatio=["1", "2"])), look=look).shape == (32, 64)
    assert rendered_picture(file_bytes(grey(RAMP, PixelSpacing=["0.5", "0.25"])), look=look).shape == (64, 32)
    assert rendered_picture(file_bytes(grey(RAMP, PixelAspectRatio=["1", "2"]))).shape == (64, 64)


def test_values_that_are_none_of_their_vr_are_as_if_they_were_not_there() -> None:
    part10 = file_bytes(grey(RAMP, **BITS, WindowCenter="1357", WindowWidth="500", RescaleSlope="2"))
    expected = rendered_picture(file_bytes(grey(RAMP, **BITS)))
    broken = part10.replace(b"1357", b"wide").replace(b"DS\x02\x002 ", b"DS\x02\x00x ")
    assert broken != part10
    assert np.array_equal(rendered_picture(broken), expected)
