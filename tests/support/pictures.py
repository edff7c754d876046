"""Pictures rendered by our pipeline, in this process, and by DCMTK: two independent implementations."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from gantry.common.dicom.encoding.inflate import inflate_head
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.encoding.rewriting import swapped
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.layout import Layout
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.services.retrieve.pixels.display import header_of
from gantry.services.retrieve.pixels.image import image_of, native_frame
from gantry.services.retrieve.pixels.look import RenderingParameters
from gantry.services.retrieve.pixels.rendering import shown
from tests.support.objects import file_bytes

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
HAVE_DCMTK = shutil.which("dcmj2pnm") is not None


def part10_of(path: str) -> bytes:
    """A file that can be stored, with all UIDs present."""
    ds = pydicom.dcmread(path, force=True)
    wrong = [name for name in _UIDS if not str(ds.get(name) or "").replace(".", "").isdigit()]
    if not wrong:
        return Path(path).read_bytes()
    for name in wrong:
        setattr(ds, name, "1.2.3")
    return file_bytes(ds)


def rendered_picture(part10: bytes, number: int = 1, look: RenderingParameters | None = None) -> np.ndarray[Any, Any]:
    """The picture of a frame."""
    meta = parse_meta(part10)
    data, syntax = part10[meta.data_set_offset :], meta.transfer_syntax_uid
    scanner = Scanner(syntax, ScanLimits(max_header=1 << 26))
    scanner.feed(data)
    scan = scanner.finish()
    if encoding_of(syntax).deflated:
        data = inflate_head(data, 1 << 28)
    header = data[: scan.header_length]
    image = image_of(header, syntax, Layout(scan.header_length, scan.bulk, scan.pixel_data))
    if image.encapsulated:
        pixels = pydicom.dcmread(io.BytesIO(part10)).PixelData
        frame = list(generate_frames(pixels, number_of_frames=image.frames))[number - 1]
    else:
        place = native_frame(image, number)
        frame = swapped(data[place.offset : place.offset + place.length], place.swap)[place.skip :]
    return shown(image, header_of(header, syntax), frame, look or RenderingParameters(kind="image/png"), number)


def by_dcmtk(part10: bytes, folder: Path, *options: str) -> np.ndarray[Any, Any] | None:
    """The picture rendered by DCMTK; None if it renders none."""
    (folder / "in.dcm").write_bytes(part10)
    run = subprocess.run(["dcmj2pnm", "-q", "+on", *options, folder / "in.dcm"], capture_output=True, check=False)
    return np.asarray(Image.open(io.BytesIO(run.stdout))) if run.stdout else None


def difference(first: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """The largest difference, of 255; grey is compared with colour whose components are all equal."""
    if first.ndim != other.ndim:
        first, other = (np.repeat(p[..., None], 3, 2) if p.ndim == 2 else p for p in (first, other))
    assert first.shape == other.shape
    return int(np.abs(first.astype(int) - other.astype(int)).max())


def grey(pixels: np.ndarray[Any, Any], **more: Any) -> Dataset:
    """An image of these samples."""
    from tests.support.objects import data_set

    ds = data_set(study="1.2", series="1.3", instance="1.4", size=8)
    ds.Rows, ds.Columns = pixels.shape[:2]
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds
