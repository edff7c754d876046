"""What an object says of how its frames are shown (PS3.3 C.7.6.16, C.11)."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.services.retrieve.pixels.display import Display, header_of, table, windows_of
from gantry.services.retrieve.pixels.greys import Lut, ModalityTransformation
from gantry.services.retrieve.pixels.look import Function, VoiWindow
from gantry.services.retrieve.pixels.worker import CannotDo
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, to_bytes


def ds(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return made


def transformed(slope: float) -> Dataset:
    return ds(PixelValueTransformationSequence=[ds(RescaleSlope=slope, RescaleIntercept=0)])


def test_the_frames_own_group_comes_before_the_shared_one_and_both_before_the_top_level() -> None:
    """C.7.6.16."""
    header = ds(
        RescaleSlope=5,
        RescaleIntercept=0,
        SharedFunctionalGroupsSequence=[transformed(3)],
        PerFrameFunctionalGroupsSequence=[transformed(2), ds()],
    )
    assert Display(header, 1).modality == ModalityTransformation(2.0, 0.0)
    assert Display(header, 2).modality == ModalityTransformation(3.0, 0.0)
    assert Display(ds(RescaleSlope=5, RescaleIntercept=-1), 1).modality == ModalityTransformation(5.0, -1.0)
    assert Display(ds(), 1).modality == ModalityTransformation()


def test_a_voi_lut_comes_before_windows_and_a_name_chooses() -> None:
    """C.11.2.1.1."""
    header = ds(
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        WindowCenterWidthExplanation=["SOFT", "LUNG"],
        PixelRepresentation=0,
    )
    assert Display(header, 1).voi(None) == VoiWindow(40, 400)
    assert Display(header, 1).voi(" lung") == VoiWindow(-600, 1500)
    with pytest.raises(CannotDo, match="no window of this name"):
        Display(header, 1).voi("BONE")
    header.VOILUTSequence = Sequence([ds(LUTDescriptor=[2, 0, 8], LUTData=[0, 255], LUTExplanation="TABLE")])
    assert isinstance(Display(header, 1).voi(None), Lut)
    assert isinstance(Display(header, 1).voi("table"), Lut)
    assert Display(header, 1).voi("SOFT") == VoiWindow(40, 400)
    assert Display(ds(), 1).voi(None) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, [(VoiWindow(40, 400), "")]),
        ({"WindowCenter": [40, 1], "WindowWidth": [0, 2]}, [(VoiWindow(1, 2), "")]),
        ({"WindowCenter": 40}, []),
        (
            {"WindowCenter": 40, "WindowWidth": 0.5, "VOILUTFunction": "SIGMOID"},
            [(VoiWindow(40, 0.5, Function.SIGMOID), "")],
        ),
        ({"WindowCenter": 40, "WindowWidth": 2, "VOILUTFunction": "ODD"}, [(VoiWindow(40, 2), "")]),
    ],
)
def test_only_windows_that_are_possible_count(values: dict[str, Any], expected: list[Any]) -> None:
    assert windows_of(ds(**values)) == expected


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse"),
    [
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_the_lowest_value_is_white_in_monochrome1(photometric: str, shape: str | None, inverse: bool) -> None:
    header = ds(PhotometricInterpretation=photometric)
    if shape:
        header.PresentationLUTShape = shape
    assert Display(header, 1).is_inverse is inverse


@pytest.mark.parametrize(
    ("values", "aspect"),
    [
        ({}, 1.0),
        ({"PixelAspectRatio": [2, 1]}, 2.0),
        ({"PixelSpacing": [0.5, 1.0]}, 0.5),
        ({"PixelAspectRatio": [0, 1], "ImagerPixelSpacing": [3, 1]}, 3.0),
        ({"PixelSpacing": [100, 1]}, 1.0),
    ],
)
def test_pixels_may_be_higher_than_wide(values: dict[str, Any], aspect: float) -> None:
    """C.7.6.3.1.7: vertical by horizontal."""
    assert Display(ds(**values), 1).aspect == aspect


def test_a_table_of_0_entries_has_65536_and_one_that_is_missing_is_refused() -> None:
    found = table(ds(LUTDescriptor=[0, 0, 16], LUTData=list(range(65536))), "LUTDescriptor", "LUTData", "<")
    assert len(found.entries) == 65536
    with pytest.raises(CannotDo):
        table(ds(LUTDescriptor=[2, 0, 16]), "LUTDescriptor", "LUTData", "<")
    with pytest.raises(CannotDo):
        table(ds(LUTDescriptor=[2, 0, 0], LUTData=[1, 2]), "LUTDescriptor", "LUTData", "<")


def test_what_a_table_maps_may_be_negative() -> None:
    """C.11.2.1.1: whatever VR the descriptor was written in."""
    header = ds(PixelRepresentation=1, VOILUTSequence=[ds(LUTDescriptor=[2, 0xFFF0, 8], LUTData=[0, 255])])
    found = Display(header, 1).voi(None)
    assert isinstance(found, Lut)
    assert found.first == -16


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_header_is_read_in_its_encoding(syntax: str) -> None:
    data = to_bytes(ds(Rows=7, PixelRepresentation=1, SmallestImagePixelValue=-5), syntax)
    header = header_of(data, syntax)
    assert (header.Rows, header.SmallestImagePixelValue) == (7, -5)


def test_a_table_of_one_entry_has_the_bits_that_its_descriptor_says() -> None:
    for bits, expected in ((16, 0x825F), (8, 0x5F)):
        found = table(ds(LUTDescriptor=[1, 0, bits], LUTData=b"\x5f\x82"), "LUTDescriptor", "LUTData", "<")
        assert list(found.entries) == [expected]
