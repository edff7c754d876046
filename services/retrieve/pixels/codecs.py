"""Which transfer syntaxes of compressed frames can be decoded, and in which form their samples come out. Pure."""

from __future__ import annotations

from gantry.services.retrieve.pixels.image import SUBSAMPLED, Image

_ROOT = "1.2.840.10008.1.2"
ENCAPSULATED_UNCOMPRESSED = f"{_ROOT}.1.98"
DEFLATED_FRAMES = f"{_ROOT}.8.1"
RLE = f"{_ROOT}.5"
JPEG = frozenset(f"{_ROOT}.4.{number}" for number in (50, 51, 53, 55, 57, 70))
"""Baseline, Extended, Spectral Selection, Full Progression (retired), Lossless, Lossless first-order prediction."""
JPEG_LS = frozenset(f"{_ROOT}.4.{number}" for number in (80, 81))
JPEG_2000 = frozenset(f"{_ROOT}.4.{number}" for number in (90, 91))
HIGH_THROUGHPUT = frozenset(f"{_ROOT}.4.{number}" for number in (201, 202, 203))

DECODED = JPEG | JPEG_LS | JPEG_2000 | HIGH_THROUGHPUT | {RLE, ENCAPSULATED_UNCOMPRESSED, DEFLATED_FRAMES}
"""Of each there is a test that decodes it. Video, JPEG XL and JPEG 2000 Part 2 are not among them."""

# PS3.3 C.7.6.3.1.2: transformations that belong to the codestream, and that no native pixel data has.
_OF_CODESTREAM = frozenset(("YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420"))


def frame_photometric(image: Image) -> str:
    """The photometric interpretation of decoded frames: what the metadata says, so that both agree and a lossless
    codestream gives back its samples; RGB where that exists in the codestream only."""
    photometric = image.photometric
    if image.samples != 3:
        return photometric
    if photometric in _OF_CODESTREAM:
        return "RGB"
    # PS3.3 C.7.6.3.1.2: pairs of pixels share their chrominance; an odd row has no such form.
    if photometric in SUBSAMPLED and image.columns % 2:
        return "YBR_FULL" if photometric == "YBR_FULL_422" else "RGB"
    return photometric


def object_photometric(image: Image) -> str:
    """The same for a whole object, whose own header can say otherwise: subsampled chrominance, which decoders give in
    full, becomes RGB, which every receiver understands."""
    photometric = frame_photometric(image)
    return "RGB" if photometric in SUBSAMPLED or image.photometric in SUBSAMPLED else photometric


def planar_of(image: Image, photometric: str) -> int:
    """Planar Configuration of decoded samples: what the metadata says where that is possible."""
    return image.planar if image.samples > 1 and photometric not in SUBSAMPLED and image.planar == 1 else 0
