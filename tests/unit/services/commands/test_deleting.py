"""`gantry delete --where`: a rule that would be ignored is refused, since it would match more than was meant."""

from __future__ import annotations

import click
import pytest

from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.standard.tags import MODALITIES_IN_STUDY, STUDY_DATE
from gantry.services.commands.deleting import query_of


def test_rules_are_conditions_that_all_hold() -> None:
    query = query_of(["StudyDate=-20141231", "ModalitiesInStudy=US"], STANDARD)
    assert query.level is Level.STUDY
    assert set(query.conditions) == {STUDY_DATE, MODALITIES_IN_STUDY}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("StudyDate", "KEY=VALUE"),
        ("StudyDate=", "KEY=VALUE"),
        ("PatientName=*", "KEY=VALUE"),
        ("PatientName=**", "KEY=VALUE"),
        ("Foo=1", "is no parameter and no attribute"),
        ("PixelData=1", "."),
        ("PatientName=?*", "KEY=VALUE"),
        ("limit=5", "parameter of searches"),
        ("fuzzymatching=true", "parameter of searches"),
        ("includefield=all", "parameter of searches"),
        ("offset=1", "parameter of searches"),
        ("StudyDate=2014-12-31", "StudyDate"),
    ],
)
def test_a_rule_that_is_none_is_refused_in_words(rule: str, words: str) -> None:
    for rules in ([rule], ["ModalitiesInStudy=US", rule]):
        with pytest.raises(click.UsageError, match=words):
            query_of(rules, STANDARD)


def test_a_key_that_is_given_twice_would_match_either_and_is_refused() -> None:
    with pytest.raises(click.UsageError, match="twice"):
        query_of(["ModalitiesInStudy=CT", "ModalitiesInStudy=US"], STANDARD)
    with pytest.raises(click.UsageError, match="ignored"):
        query_of(["PatientID=A", "00100020=B"], STANDARD)
