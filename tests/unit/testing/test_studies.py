"""Studies that are made up."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread

from gantry.testing import make_study
from gantry.testing.studies import part10


@pytest.mark.parametrize("modality", ["CR", "CT", "DX", "MG", "MR", "NM", "OT", "PT", "US", "XA"])
def test_made_images_are_read_with_their_pixels_and_each_is_another_one(modality: str) -> None:
    study = make_study(modality, instances=5, series=2, size=33)
    read = [dcmread(BytesIO(part10(ds))) for ds in study.data_sets]
    assert {ds.Modality for ds in read} == {modality}
    assert [ds.pixel_array.shape for ds in read] == [(33, 33)] * 5
    assert len({ds.PixelData for ds in read}) == len(set(study.sop_instance_uids)) == 5
    assert len(study.series_instance_uids) == 2
    assert {ds.StudyInstanceUID for ds in read} == {study.study_instance_uid}


def test_a_seed_gives_the_same_study_and_none_gives_a_new_one() -> None:
    first_pair, again, other = (
        (make_study("MR", 3, seed=7, study_date="20260102") for _ in range(2)),
        None,
        make_study("MR", 3),
    )
    first, second = first_pair
    assert [part10(ds) for ds in first.data_sets] == [part10(ds) for ds in second.data_sets]
    assert other.study_instance_uid not in (first.study_instance_uid, again)


@pytest.mark.parametrize(("modality", "instances", "series"), [("SR", 1, 1), ("CT", 0, 1), ("CT", 1, 2), ("CT", 3, 0)])
def test_what_cannot_be_made_is_refused_in_words(modality: str, instances: int, series: int) -> None:
    with pytest.raises(ValueError, match=r"one of CR, CT|at least one"):
        make_study(modality, instances, series=series)
