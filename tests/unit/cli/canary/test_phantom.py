"""The image of a canary."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pydicom

from gantry.cli.canary.phantom import phantom, uid_of
from gantry.common.ids import is_uid

NOON, NIGHT = datetime(2026, 11, 27, 12, 0, 0), datetime(2026, 11, 28, 1, 0, 0)


def test_those_of_one_canary_and_one_day_are_one_series_and_never_the_same_image() -> None:
    first, second, later, other = phantom("a", NOON), phantom("a", NOON), phantom("a", NIGHT), phantom("b", NOON)
    assert (first.study, first.series) == (second.study, second.series)
    assert len({first.study, later.study, other.study}) == 3
    assert first.instance != second.instance
    assert first.data_set.PixelData != second.data_set.PixelData


def test_it_is_a_file_that_names_nobody(tmp_path: Path) -> None:
    made = phantom("a", NOON)
    ds = pydicom.dcmread(made.write(tmp_path))
    assert (ds.PatientID, str(ds.PatientName), ds.SOPInstanceUID) == ("GANTRY-CANARY", "Canary^Gantry", made.instance)
    assert ds.pixel_array.shape == (32, 32)
    assert all(map(is_uid, (made.study, made.series, made.instance, uid_of("x"))))
