"""Conditions of a rule: what they match, and what is refused because it would match more than was meant."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import matcher
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import NotUnderstood

MODALITIES, INSTITUTION, DATE = 0x00080061, 0x00080080, 0x00080020


def test_a_study_matches_where_all_conditions_hold() -> None:
    query = studies_where(["ModalitiesInStudy=MG\\US", "InstitutionName=North*", "00080020=20200101-"], "p", STANDARD)
    assert (query.level, query.partition) == (Level.STUDY, "p")
    study = {MODALITIES: ["US", "SR"], INSTITUTION: ["North Ward"], DATE: ["20210101"]}
    assert matcher(query)(study)
    for other in ({MODALITIES: ["CT"]}, {INSTITUTION: ["South"]}, {DATE: ["20191231"]}):
        assert not matcher(query)({**study, **other})


def test_without_conditions_it_is_every_study() -> None:
    assert matcher(studies_where([], "p", STANDARD))({})


@pytest.mark.parametrize(
    "condition",
    ["ModalitiesInStudy", "ModalitiesInStudy=", "ModalitiesInStudy=*", "Modality=MG", "Colour=red", "StudyDate=soon"],
)
def test_a_condition_that_cannot_be_asked_is_refused(condition: str) -> None:
    with pytest.raises(NotUnderstood):
        studies_where([condition], "p", STANDARD)


def test_a_key_is_there_once() -> None:
    with pytest.raises(NotUnderstood, match="twice"):
        studies_where(["StudyDate=20200101-", "StudyDate=-20210101"], "p", STANDARD)
