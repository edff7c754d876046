"""Where compressed frames end that follow each other in one value."""

from __future__ import annotations

import jpeg_ls
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gantry.common.errors import NotUnderstood
from gantry.services.ingest.stow.frame_boundaries import MOST_FRAMES, frames_in
from tests.support.codestreams import HTJ2K
from tests.unit.services.ingest.stow.test_codestreams import jpeg, saved

PLANES = [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 40), dtype=np.uint8)) for seed in range(6)]
KINDS = {
    "jpeg": [saved(plane, "JPEG", quality=95) for plane in PLANES],
    "restarts": [saved(plane, "JPEG", restart_marker_rows=1) for plane in PLANES],
    "jpeg 2000": [saved(plane, "JPEG2000", no_jp2=True) for plane in PLANES],
    "tiles": [saved(plane, "JPEG2000", no_jp2=True, tile_size=(16, 16)) for plane in PLANES],
    "jpeg-ls": [bytes(jpeg_ls.encode_array(np.asarray(plane))) for plane in PLANES],
    "htj2k": [HTJ2K] * 3,
}


def places(data: bytes, count: int) -> list[bytes]:
    _, spans = frames_in(lambda at, length: data[at : at + length], count)
    return [data[at : at + length] for at, length in spans]


@settings(deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_frames_are_found_with_a_byte_of_padding_behind_them_or_without(kind: str, data: st.DataObject) -> None:
    frames = data.draw(st.lists(st.sampled_from(KINDS[kind]), min_size=1, max_size=4))
    padded = [frame + b"\0" * data.draw(st.integers(0, 1)) for frame in frames]
    assert places(b"".join(padded), len(frames)) == frames


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_as_many_frames_are_wanted_as_the_metadata_says(kind: str) -> None:
    data = b"".join(KINDS[kind][:3])
    for count in (2, 4):
        with pytest.raises(NotUnderstood):
            places(data, count)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_frame_that_is_cut_is_refused(kind: str) -> None:
    first, second = KINDS[kind][:2]
    for cut in (1, 2, 20, len(second) // 2):
        with pytest.raises(NotUnderstood):
            places(first + second[:-cut], 2)
        with pytest.raises(NotUnderstood):
            places(first[:-cut] + second, 2)


def test_frames_are_of_one_kind() -> None:
    other = saved(PLANES[0].resize((8, 8)), "JPEG")
    for second in (other, KINDS["jpeg-ls"][0], KINDS["jpeg 2000"][0]):
        with pytest.raises(NotUnderstood):
            places(KINDS["jpeg"][0] + second, 2)


@pytest.mark.parametrize("count", [0, -1, MOST_FRAMES + 1])
def test_the_number_of_frames_is_bounded(count: int) -> None:
    with pytest.raises(NotUnderstood):
        places(KINDS["jpeg"][0], count)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_not_understood(tail: bytes) -> None:
    try:
        places(jpeg(0xC0) + tail, 1)
    except NotUnderstood:
        pass
