"""Which compressed frames can be decoded and in which form (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

import pytest
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLETransferSyntaxes

from gantry.common.dicom.standard.transfer_syntaxes import TRANSFER_SYNTAXES
from gantry.services.retrieve.pixels.codecs import (
    DECODED,
    HIGH_THROUGHPUT,
    JPEG_2000,
    JPEG_LS,
    frame_photometric,
    object_photometric,
    planar_of,
)
from tests.unit.services.retrieve.images import image

PHOTOMETRICS = (
    *("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT"),
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
)


def test_everything_that_is_decoded_is_encapsulated_and_known() -> None:
    assert all(TRANSFER_SYNTAXES[uid].encoding.encapsulated for uid in DECODED)
    part_2 = {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"}
    assert set(JPEG2000TransferSyntaxes) - part_2 == JPEG_2000 | HIGH_THROUGHPUT
    assert set(JPEGLSTransferSyntaxes) == JPEG_LS
    assert set(RLETransferSyntaxes) <= DECODED


def test_no_video_is_decoded() -> None:
    assert not {uid for uid in DECODED if TRANSFER_SYNTAXES[uid].media_type.startswith("video/")}


@pytest.mark.parametrize("photometric", PHOTOMETRICS)
def test_one_sample_stays_what_it_is(photometric: str) -> None:
    object_image = image(samples=1, photometric=photometric)
    assert frame_photometric(object_image) == object_photometric(object_image) == photometric or photometric.startswith(
        "YBR_"
    )


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420"])
def test_what_exists_in_codestreams_only_becomes_rgb(photometric: str) -> None:
    made = image(samples=3, allocated=8, photometric=photometric)
    assert frame_photometric(made) == object_photometric(made) == "RGB"


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_what_can_be_native_stays(photometric: str) -> None:
    made = image(samples=3, allocated=8, photometric=photometric)
    assert frame_photometric(made) == object_photometric(made) == photometric


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
@pytest.mark.parametrize("columns", [4, 5])
def test_no_object_says_that_its_chrominance_is_subsampled(photometric: str, columns: int) -> None:
    made = image(samples=3, allocated=8, photometric=photometric, columns=columns)
    assert object_photometric(made) == "RGB"
    assert (frame_photometric(made) == photometric) is (columns % 2 == 0)


def test_the_chrominance_of_an_odd_row_is_in_full() -> None:
    assert frame_photometric(image(samples=3, allocated=8, photometric="YBR_FULL_422", columns=5)) == "YBR_FULL"
    assert frame_photometric(image(samples=3, allocated=8, photometric="YBR_PARTIAL_422", columns=5)) == "RGB"


@pytest.mark.parametrize(
    ("samples", "planar", "photometric", "expected"),
    [(3, 1, "RGB", 1), (3, 0, "RGB", 0), (1, 1, "MONOCHROME2", 0), (3, 1, "YBR_FULL_422", 0), (3, 7, "RGB", 0)],
)
def test_samples_lie_as_the_metadata_says_where_that_is_possible(
    samples: int, planar: int, photometric: str, expected: int
) -> None:
    """PS3.3 C.7.6.3.1.3."""
    assert planar_of(image(samples=samples, planar=planar), photometric) == expected
