"""How a picture is asked for (PS3.18 8.3.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.services.retrieve.pixels.look import (
    MOST_SIDE,
    MOST_TIMES,
    Function,
    Region,
    RenderingParameters,
    Viewport,
    VoiWindow,
    look_of,
    picture_size,
    region_of,
    viewport_of,
    window_of,
)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400", VoiWindow(40, 400)),
        ("-600,1500,linear", VoiWindow(-600, 1500)),
        ("1.5e2,1,LINEAR", VoiWindow(150, 1)),
        ("0.5,0.1,linear-exact", VoiWindow(0.5, 0.1, Function.LINEAR_EXACT)),
        ("40,400,sigmoid", VoiWindow(40, 400, Function.SIGMOID)),
        ("LUNG", "LUNG"),
        ("Mediastinum 2", "Mediastinum 2"),
    ],
)
def test_a_window_is_center_width_and_function_or_a_name(text: str, window: VoiWindow | str) -> None:
    assert window_of(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "40",
        "40,",
        "40,400,cubic",
        "40,400,linear,1",
        "a,b",
        "nan,1",
        "inf,1",
        "40,0",
        "40,0.5",
        "40,0,sigmoid",
        "1e999,1",
        "x" * 65,
    ],
)
def test_what_is_no_window_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        window_of(text)


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("512,256", Viewport(512, 256)),
        ("512,256,10,20,30,40", Viewport(512, 256, 10, 20, 30, 40)),
        ("512,256,,,-30,", Viewport(512, 256, 0, 0, -30, None)),
        ("512,256,,,,", Viewport(512, 256)),
    ],
)
def test_a_viewport_is_a_size_and_a_region_of_which_parts_may_be_empty(text: str, viewport: Viewport) -> None:
    """PS3.18 8.3.5.1.3."""
    assert viewport_of(text) == viewport


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0,1",
        "1,2,3",
        f"{MOST_SIDE + 1},1",
        "-1,1",
        "1.5,1",
        "1,1,-1,0,1,1",
        "1,1,0,0,0,1",
        "1,1,a,,,",
        "1,1,,,,,",
    ],
)
def test_what_is_no_viewport_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="viewport"):
        viewport_of(text)


@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_a_region_lies_within_the_image(columns: int, rows: int, data: st.DataObject) -> None:
    part = st.floats(0, 600)
    extent = st.none() | st.floats(-600, 600)
    viewport = Viewport(100, 100, data.draw(part), data.draw(part), data.draw(extent), data.draw(extent))
    try:
        region = region_of(viewport, columns, rows)
    except ValueError:
        return
    assert 0 <= region.left < region.left + region.columns <= columns
    assert 0 <= region.top < region.top + region.rows <= rows


def test_without_a_region_all_is_shown() -> None:
    assert region_of(Viewport(10, 10), 40, 30) == Region(0, 0, 40, 30, False, False)


def test_a_negative_extent_is_the_same_part_the_other_way_round() -> None:
    assert region_of(Viewport(10, 10, 5, 6, -20, 10), 40, 30) == Region(5, 6, 20, 10, True, False)
    assert region_of(Viewport(10, 10, 5, 6, 20, -10), 40, 30) == Region(5, 6, 20, 10, False, True)


@pytest.mark.parametrize(("left", "top"), [(40, 0), (0, 30), (100, 100)])
def test_a_region_beside_the_image_shows_nothing(left: int, top: int) -> None:
    with pytest.raises(ValueError, match="beside"):
        region_of(Viewport(10, 10, left, top), 40, 30)


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 2000), st.floats(0.25, 4))
def test_a_picture_is_as_large_as_fits(width: int, height: int, columns: int, rows: int, aspect: float) -> None:
    found = picture_size(Viewport(width, height, enlarge=False), columns, rows, aspect)
    assert 1 <= found[0] <= width
    assert 1 <= found[1] <= height
    if min(width / columns, height / (rows * aspect)) <= MOST_TIMES:
        assert found[0] == width or found[1] == height
    assert found[0] <= columns * MOST_TIMES


def test_an_image_is_not_enlarged_beyond_the_limit() -> None:
    assert picture_size(Viewport(400, 400), 100, 100) == (400, 400)
    with pytest.raises(ValueError, match="times as large"):
        picture_size(Viewport(401, 401), 100, 100)
    assert picture_size(Viewport(4000, 4000, enlarge=False), 100, 100) == (400, 400)


@pytest.mark.parametrize("quality", ["1", "100", "090"])
def test_quality_is_from_1_to_100(quality: str) -> None:
    """PS3.18 8.3.5.1.2."""
    assert look_of(None, None, quality=quality).quality == int(quality)


@pytest.mark.parametrize("quality", ["", "0", "101", "-1", "9.5", "high", "٣"])
def test_what_is_no_quality_is_refused_in_words(quality: str) -> None:
    with pytest.raises(ValueError, match="quality"):
        look_of(None, None, quality=quality)


def test_without_a_word_it_is_a_jpeg_of_the_whole_image() -> None:
    assert look_of(None, None) == RenderingParameters(None, None, "image/jpeg", 90)
