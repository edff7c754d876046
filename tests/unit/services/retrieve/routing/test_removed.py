"""What a study was of which nothing is left."""

from __future__ import annotations

from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import matches
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.services.retrieve.routing.removed import study_of
from tests.support.entries import entry


def test_it_is_what_its_earliest_object_says_with_the_modalities_of_all() -> None:
    late = entry(2, "1.2.3.1.2", PatientID="P2", Modality="SR")
    early = entry(1, "1.2.3.1.1", PatientID="P1", Modality="CT")
    study = study_of([late, early])
    assert study is not None
    assert study.level is Level.STUDY
    assert study.attributes[TAGS["PatientID"]] == ["P1"]
    assert study.attributes[TAGS["ModalitiesInStudy"]] == ["CT", "SR"]
    assert matches(studies_where(["PatientID=P1", "ModalitiesInStudy=SR"], "default", STANDARD), study)
    assert not matches(studies_where(["PatientID=P2"], "default", STANDARD), study)


def test_of_nothing_there_is_no_study() -> None:
    assert study_of([]) is None
