"""Pictures of foreign files are those that DCMTK makes, within 1 of 255."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest

from gantry.services.retrieve.pixels.worker import CannotDo
from tests.support.pictures import HAVE_DCMTK, by_dcmtk, difference, part10_of, rendered_picture

pytestmark = pytest.mark.skipif(not HAVE_DCMTK, reason="DCMTK is not installed")

# Where one of the two is known to be off: what, and by how much they may differ.
_OTHERWISE = {
    # DCMTK takes 127.5 for the middle of chrominance (PS3.3 C.7.6.3.1.2 has 128), and cuts where we round.
    "SC_ybr_full_uncompressed.dcm": 2,
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": 2,
    "SC_rgb_dcmtk_+eb+cy+np.dcm": 2,
    "SC_rgb_jpeg_lossy_gdcm.dcm": 2,
    # Another way to bring chrominance that was halved to full size.
    "examples_ybr_color.dcm": 3,
    "color3d_jpeg_baseline.dcm": 5,
}
_LEFT_OUT = {
    "liver.dcm": "DCMTK shows a single bit as 128 of 255",
    "liver_expb.dcm": "the same",
    "liver_1frame.dcm": "the same",
    "liver_expb_1frame.dcm": "the same",
    "rtdose_expb.dcm": "DCMTK turns samples of 32 bits in words of 16",
    "rtdose_expb_1frame.dcm": "the same",
    "eCT_Supplemental.dcm": "DCMTK does not know supplemental palettes",
    "JPEG2000-embedded-sequence-delimiter.dcm": "pydicom, which cuts the frames here, ends at the delimiter",
    "bad_sequence.dcm": "is not a data set",
    "badVR.dcm": "says Rows in text",
    "MR_truncated.dcm": "ends before its frame",
}


def files() -> dict[str, str]:
    """Images by name: of pydicom, and of its test data."""
    import data_store

    roots = [Path(pydicom.__file__).parent / "data" / "test_files", Path(data_store.__file__).parent]
    paths = {}
    for path in sorted(path for root in roots for path in root.rglob("*") if path.is_file()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ds = pydicom.dcmread(path)
            except Exception:
                continue
            if "PixelData" in ds and "TransferSyntaxUID" in ds.file_meta and "Rows" in ds:
                paths.setdefault(path.name, str(path))
    return {name: path for name, path in paths.items() if name not in _LEFT_OUT}


@pytest.mark.filterwarnings("ignore")
def test_pictures_of_foreign_files_are_those_of_dcmtk(tmp_path: Path) -> None:
    compared, wrong = 0, {}
    for name, path in files().items():
        part10, ds = part10_of(path), pydicom.dcmread(path)
        voi = ["+Wl", "1"] if "VOILUTSequence" in ds else ["+Wi", "1"] if "WindowCenter" in ds else []
        theirs = by_dcmtk(part10, tmp_path, *voi)
        try:
            picture = rendered_picture(part10)
        except CannotDo as error:
            if theirs is not None:
                wrong[name] = str(error)
            continue
        if theirs is None:
            continue
        compared += 1
        if (apart := difference(picture, theirs)) > _OTHERWISE.get(name, 1):
            wrong[name] = str(apart)
    assert wrong == {}
    assert compared >= 100
