"""Which attributes can be made searchable, and the errors for others."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import Attribute, Level
from gantry.common.errors import ConfigError
from gantry.services.process.searchable import searchable


def settings(*attributes: dict[str, Any]) -> Settings:
    return Settings.model_validate({"index": {"attributes": attributes}})


def test_keywords_numbers_and_private_attributes_are_taken() -> None:
    table = searchable(
        settings(
            {"attribute": "PregnancyStatus", "level": "STUDY"},
            {"attribute": "0018,0087", "level": "SERIES"},
            {"attribute": "(0019,100a)", "level": "SERIES", "creator": "MAKER 1", "vr": "DS"},
        )
    )
    assert table.added == (
        Attribute(0x001021C0, "PregnancyStatus", "US", Level.STUDY),
        Attribute(0x00180087, "MagneticFieldStrength", "DS", Level.SERIES),
        Attribute(0x0019100A, "0019100A", "DS", Level.SERIES, creator="MAKER 1"),
    )
    assert table.level_of(0x00180087) is Level.SERIES
    assert table.vr_of(0x0019100A) == b"DS"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"attribute": "NoSuchThing", "level": "STUDY"}, "neither a keyword nor a number"),
        ({"attribute": "0008,9999", "level": "STUDY"}, "not an attribute"),
        ({"attribute": "PixelData", "level": "IMAGE"}, "not an attribute"),
        ({"attribute": "TransferSyntaxUID", "level": "IMAGE"}, "not an attribute"),
        ({"attribute": "RedPaletteColorLookupTableData", "level": "IMAGE"}, "binary"),
        ({"attribute": "StudyInstanceUID", "level": "SERIES"}, "already, as an attribute of the STUDY level"),
        ({"attribute": "ModalitiesInStudy", "level": "SERIES"}, "already, as an attribute of the STUDY level"),
        ({"attribute": "StudyDate", "level": "SERIES"}, "already, as an attribute of the STUDY level"),
        ({"attribute": "PatientName", "level": "STUDY"}, "already, as an attribute of the PATIENT level"),
        ({"attribute": "PregnancyStatus", "level": "STUDY", "creator": "X"}, "not private"),
        ({"attribute": "0019,100A", "level": "STUDY"}, "needs its creator"),
        ({"attribute": "0019,100A", "level": "STUDY", "creator": "X", "vr": "OB"}, "needs its creator"),
        ({"attribute": "0019,200A", "level": "STUDY", "creator": "X", "vr": "LO"}, "first block"),
        ({"attribute": "0019,0010", "level": "STUDY", "creator": "X", "vr": "LO"}, "first block"),
    ],
)
def test_what_nothing_can_be_searched_by_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        searchable(settings(given))


def test_one_attribute_has_one_place() -> None:
    twice = {"attribute": "PregnancyStatus", "level": "STUDY"}
    with pytest.raises(ConfigError, match="twice"):
        searchable(settings(twice, {**twice, "level": "IMAGE"}))
