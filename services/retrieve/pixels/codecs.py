"""Which transfer syntaxes of compressed frames can be decoded, and the form of the decoded samples. Pure."""

from __future__ import annotations

from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_IMAGE_FRAME,
    ENCAPSULATED_UNCOMPRESSED,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_FULL_PROGRESSION,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_SPECTRAL_SELECTION,
    RLE_LOSSLESS,
)
from gantry.common.dicom.standard.transfer_syntaxes import JPEG_2000 as JPEG_2000_LOSSY
from gantry.services.retrieve.pixels.image import SUBSAMPLED, Image

JPEG = frozenset(
    (JPEG_BASELINE, JPEG_EXTENDED, JPEG_SPECTRAL_SELECTION, JPEG_FULL_PROGRESSION, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1)
)
JPEG_LS = frozenset((JPEG_LS_LOSSLESS, JPEG_LS_NEAR_LOSSLESS))
JPEG_2000 = frozenset((JPEG_2000_LOSSLESS, JPEG_2000_LOSSY))
HIGH_THROUGHPUT = frozenset((HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K))

DECODED = JPEG | JPEG_LS | JPEG_2000 | HIGH_THROUGHPUT | {RLE_LOSSLESS, ENCAPSULATED_UNCOMPRESSED, DEFLATED_IMAGE_FRAME}
"""Each has a test that decodes it. Video, JPEG XL and JPEG 2000 Part 2 are not decoded."""

# PS3.3 C.7.6.3.1.2: transformations that exist only in a codestream, never in native pixel data.
_OF_CODESTREAM = frozenset(("YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420"))


def frame_photometric(image: Image) -> str:
    """The photometric interpretation of decoded frames: that of the metadata, so that both agree and a lossless
    codestream yields its original samples; RGB if that interpretation exists in codestreams only."""
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
    """The same for a whole object, whose header we can rewrite: subsampled chrominance, which decoders return in full,
    becomes RGB, which every receiver understands."""
    photometric = frame_photometric(image)
    return "RGB" if photometric in SUBSAMPLED or image.photometric in SUBSAMPLED else photometric


def planar_of(image: Image, photometric: str) -> int:
    """Planar Configuration of decoded samples: that of the metadata if it is possible, else 0."""
    return image.planar if image.samples > 1 and photometric not in SUBSAMPLED and image.planar == 1 else 0
