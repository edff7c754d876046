"""Frames as arrays, and arrays as the samples of a native frame. Runs in worker processes.

The decoders are pydicom's (pylibjpeg, pyjpegls, Pillow). Their result stays in the photometric interpretation of the
codestream: the caller decides whether to convert it.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_IMAGE_FRAME,
    ENCAPSULATED_UNCOMPRESSED,
    JPEG_EXTENDED,
    JPEG_FULL_PROGRESSION,
    JPEG_SPECTRAL_SELECTION,
)
from gantry.services.retrieve.pixels.codecs import DECODED, JPEG, planar_of
from gantry.services.retrieve.pixels.colours import halved, to_rgb, whole
from gantry.services.retrieve.pixels.image import SUBSAMPLED, Image
from gantry.services.retrieve.pixels.worker import CannotDo, Files

Array = np.ndarray[Any, np.dtype[Any]]

MAX_FRAME = 1 << 30
"""Bytes of a decoded frame."""
_RETIRED = frozenset((JPEG_SPECTRAL_SELECTION, JPEG_FULL_PROGRESSION))


def decode(files: Files, image: Image, photometric: str) -> dict[str, Any]:
    """Append the samples of a compressed frame to the output, in this photometric interpretation."""
    require_size(image)
    array, interpretation = decoded(image, bytes(files.input))
    return {"length": files.write(samples_of(image, array, interpretation, photometric))}


def require_size(image: Image) -> None:
    """Raises `CannotDo` if a frame is larger than `MAX_FRAME`."""
    if max(image.most_bytes, image.frame_bytes) > MAX_FRAME:
        raise CannotDo(f"a frame of {image.most_bytes} bytes is too large")


def decoded(image: Image, frame: bytes) -> tuple[Array, str]:
    """A frame, compressed or native, as an array of rows, columns and, in colour, samples; and its photometric
    interpretation. May raise any exception of a decoder."""
    if not image.encapsulated or image.transfer_syntax == ENCAPSULATED_UNCOMPRESSED:
        return native(image, frame), _full(image.photometric)
    if image.transfer_syntax == DEFLATED_IMAGE_FRAME:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, image.frame_bytes)
        return native(image, inflated), _full(image.photometric)
    if image.transfer_syntax not in DECODED:
        raise CannotDo(f"there is no decoder for {image.transfer_syntax}")
    data_set = _data_set(image, mended(frame) if image.transfer_syntax in JPEG else frame)
    decoder = get_decoder(data_set.file_meta.TransferSyntaxUID)
    array, properties = decoder.as_array(data_set, index=0, raw=True)
    return array, _full(str(properties["photometric_interpretation"]))


def _full(photometric: str) -> str:
    """The photometric interpretation after decoding: decoders return chrominance for every pixel."""
    return "YBR_FULL" if photometric == "YBR_FULL_422" else photometric


def _data_set(image: Image, frame: bytes) -> Any:
    """A data set of one frame for pydicom. The retired JPEG processes use the decoder of Extended."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEG_EXTENDED if image.transfer_syntax in _RETIRED else image.transfer_syntax
    ds.Rows, ds.Columns, ds.SamplesPerPixel = image.rows, image.columns, image.samples
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = image.allocated, image.stored, image.high_bit
    ds.PixelRepresentation, ds.PhotometricInterpretation = image.signed, image.photometric
    if image.samples > 1:
        ds.PlanarConfiguration = image.planar
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    return ds


def mended(frame: bytes) -> bytes:
    """A JPEG codestream whose scan headers have the values that a sequential scan must have.

    ITU-T T.81 table B.3: a sequential DCT scan covers coefficients 0 to 63 (Ss, Se) at once (Ah, Al 0). Encoders in the
    field write 0 to 0, which other decoders ignore and ours refuses.
    """
    pos, sequential, out = 2, False, bytearray(frame)
    while pos + 4 <= len(frame) and frame[pos] == 0xFF:
        marker, length = frame[pos + 1], int.from_bytes(frame[pos + 2 : pos + 4], "big")
        if marker == 0xFF:
            pos += 1
            continue
        sequential = sequential or marker in (0xC0, 0xC1)
        if marker == 0xDA:
            end = pos + 2 + length
            if sequential and length >= 6 and end <= len(frame):
                out[end - 3 : end] = b"\x00\x3f\x00"
            pos = _after_scan(frame, end)
        else:
            pos += 2 + length
    return bytes(out)


def _after_scan(frame: bytes, pos: int) -> int:
    """Where the marker after the data of a scan is: FF that is followed by neither 00 nor a restart marker."""
    while (pos := frame.find(b"\xff", pos)) >= 0:
        if pos + 1 < len(frame) and frame[pos + 1] != 0 and not 0xD0 <= frame[pos + 1] <= 0xD7:
            return pos
        pos += 2
    return len(frame)


def native(image: Image, frame: bytes) -> Array:
    """A native frame in little endian (PS3.5 8.1.1)."""
    if len(frame) < image.frame_bytes:
        raise CannotDo("the pixel data ends before this frame")
    if image.allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
        flat: Array = bits[: image.rows * image.columns * image.samples]
    else:
        flat = _numbers(image, frame[: image.frame_bytes])
    if image.samples == 1:
        return flat.reshape(image.rows, image.columns)
    if image.photometric in SUBSAMPLED and image.samples == 3:
        return whole(flat.reshape(image.rows, -1, 4))
    if image.planar == 1:
        return np.moveaxis(flat.reshape(image.samples, image.rows, image.columns), 0, 2)
    return flat.reshape(image.rows, image.columns, image.samples)


def _numbers(image: Image, data: bytes) -> Array:
    width = image.allocated // 8
    if image.is_float:
        return np.frombuffer(data, f"<f{width}")
    if width in (1, 2, 4, 8):
        return np.frombuffer(data, f"<{'i' if image.signed else 'u'}{width}")
    # Three bytes, or five to seven: into the next wider type, at its most significant end, to preserve the sign.
    wide = 4 if width < 4 else 8
    padded = np.zeros((len(data) // width, wide), np.uint8)
    padded[:, wide - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    flat: Array = padded.reshape(-1).view(f"<{'i' if image.signed else 'u'}{wide}") >> (8 * (wide - width))
    return flat


def samples_of(image: Image, array: Array, interpretation: str, wanted: str) -> bytes:
    """An array as the samples of a native frame in the photometric interpretation `wanted`."""
    if array.ndim == 3:
        if interpretation != wanted and wanted == "RGB":
            array = to_rgb(array, interpretation, image.stored)
        elif interpretation != wanted and wanted in SUBSAMPLED:
            array = halved(array)
        elif interpretation != wanted:
            raise CannotDo(f"samples are {interpretation}, and not {wanted}")
        if planar_of(image, wanted):
            array = np.moveaxis(array, 2, 0)
    if image.allocated == 1:
        return np.packbits(array.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    width = image.allocated // 8
    if width in (1, 2, 4, 8):
        kind = f"<f{width}" if image.is_float else f"<{'i' if image.signed else 'u'}{width}"
        return np.ascontiguousarray(array, dtype=kind).tobytes()
    narrow = np.ascontiguousarray(array, dtype="<i8").reshape(-1).view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(narrow).tobytes()
