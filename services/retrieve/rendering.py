"""Samples and pictures of frames, with pydicom's decoders, numpy and Pillow; imported where something is decoded."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Pictures
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array

from services.retrieve.decoding import PICTURES, Look
from services.retrieve.images import Image


def samples_of(image: Image, frame: bytes) -> bytes:
    """The samples of a compressed frame, little endian."""
    ds = _data_set(image, frame)
    ds.decompress(generate_instance_uid=False)
    samples: bytes = ds.PixelData
    return samples


def picture_of(image: Image, frame: bytes, look: Look) -> bytes:
    """A picture of a frame."""
    pixels = _array(image, frame)
    if look.size is not None:
        pixels = _fitted(pixels, *look.size)
    shown = pixels if pixels.ndim == 3 else _windowed(image, pixels, look)
    return _picture(np.ascontiguousarray(shown.astype(np.uint8)), look)


def _data_set(image: Image, frame: bytes) -> Any:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = image.transfer_syntax if image.encapsulated else "1.2.840.10008.1.2.1"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = image.rows, image.columns, image.samples
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = image.allocated, image.stored, image.high_bit
    ds.PixelRepresentation, ds.PhotometricInterpretation = image.signed, image.photometric
    if image.samples > 1:
        ds.PlanarConfiguration = image.planar
    if image.encapsulated:
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
    else:
        ds.PixelData = frame + b"\0" * (len(frame) & 1)
        ds["PixelData"].VR = "OB" if image.allocated <= 8 else "OW"
    return ds


def _array(image: Image, frame: bytes) -> Any:
    return pixel_array(_data_set(image, frame))


def _fitted(pixels: Any, columns: int, rows: int) -> Any:
    """As large as fits, with its proportions; the mean of what falls together, the nearest where it is enlarged."""
    scale = min(columns / pixels.shape[1], rows / pixels.shape[0])
    shape = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    down = [np.linspace(0, pixels.shape[axis], shape[axis] + 1) for axis in (0, 1)]
    if scale >= 1:
        return pixels[np.ix_(*[edges[:-1].astype(int) for edges in down])]
    sums = pixels.astype(np.float64)
    for axis, edges in enumerate(down):
        starts = edges[:-1].astype(int)
        counts = np.diff([*starts, pixels.shape[axis]])
        shape_of = [-1 if i == axis else 1 for i in range(sums.ndim)]
        sums = np.add.reduceat(sums, starts, axis=axis) / counts.reshape(shape_of)
    return sums


def _windowed(image: Image, pixels: Any, look: Look) -> Any:
    """PS3.3 C.11.2.1.2: the linear function; inverted where the lowest value is white."""
    if pixels.dtype.kind not in "iu" or pixels.itemsize > 2:
        return _shown(image, pixels, look)
    # Each value once, and not each pixel.
    low = int(pixels.min())
    table = _shown(image, np.arange(low, int(pixels.max()) + 1), look).astype(np.uint8)
    return table[pixels.astype(np.int32) - low]


def _shown(image: Image, stored: Any, look: Look) -> Any:
    slope, intercept = image.rescale
    values = stored.astype(np.float64) * slope + intercept
    window = look.window or image.window
    if window is None:
        low, high = float(values.min()), float(values.max())
        window = (low + high) / 2 + 0.5, high - low + 1
    center, width = window
    shown = ((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5) * 255
    shown = np.clip(np.rint(shown), 0, 255)
    return 255 - shown if image.photometric == "MONOCHROME1" else shown


def _picture(pixels: Any, look: Look) -> bytes:
    out = BytesIO()
    more = {"quality": look.quality} if look.kind == "image/jpeg" else {}
    Pictures.fromarray(pixels).save(out, PICTURES[look.kind], **more)
    return out.getvalue()
