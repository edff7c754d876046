"""`orderby`: `gantry.services.query.order_parameter`."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.ordering import RECEIVED, STUDY_ORDERS, SortKey
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.services.query.order_parameter import order_of
from gantry.services.query.qido_parameters import search_of


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["-StudyDate,StudyTime"], (SortKey(0x00080020, True), SortKey(0x00080030))),
        (["-00080020"], (SortKey(0x00080020, True),)),
        ([" PatientName , -PatientID "], (SortKey(0x00100010), SortKey(0x00100020, True))),
        (["PatientName", "-received"], (SortKey(0x00100010), SortKey(RECEIVED, True))),
        (["PatientName,-PatientName"], (SortKey(0x00100010),)),  # the second can decide nothing
        ([""], ()),
    ],
)
def test_names_become_the_keys_of_an_order(values: list[str], order: object) -> None:
    assert order_of(values, Level.STUDY, STANDARD) == order


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("Nonsense", "not an attribute"),
        ("-", "not an attribute"),
        ("--StudyDate", "not an attribute"),
        ("PatientComments", "studies are ordered by PatientName, PatientID"),
        ("Modality", "studies are ordered by"),
        ("00000000", "not an attribute"),
        ("<script>", "not an attribute"),
    ],
)
def test_what_studies_are_not_ordered_by_is_refused_in_words(value: str, line: str) -> None:
    with pytest.raises(HttpProblem, match=line) as raised:
        order_of([value], Level.STUDY, STANDARD)
    assert raised.value.status == 400


def test_more_keys_than_anybody_needs_are_refused() -> None:
    words = ["PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription"]
    words += ["PatientBirthDate", "ModalitiesInStudy", "received"]
    assert len(words) < len(STUDY_ORDERS)
    with pytest.raises(HttpProblem, match="more than 8"):
        order_of([",".join(words)], Level.STUDY, STANDARD)


def test_what_is_below_studies_is_ordered_within_one() -> None:
    order = [("orderby", "-SeriesNumber")]
    assert search_of(Match(Resource.SEARCH_SERIES, "1.2"), order).query.order == (SortKey(0x00200011, True),)
    named = [("StudyInstanceUID", "1.2"), ("orderby", "InstanceNumber")]
    assert search_of(Match(Resource.SEARCH_INSTANCES), named).query.order == (SortKey(0x00200013),)
    for match in (Match(Resource.SEARCH_SERIES), Match(Resource.SEARCH_INSTANCES)):
        with pytest.raises(HttpProblem, match="within one study"):
            search_of(match, [("orderby", "Modality")])
    with pytest.raises(HttpProblem, match="not ordered"):
        search_of(Match(Resource.SEARCH_SERIES, "1.2"), [("orderby", "received")])


def test_no_warning_says_that_an_order_was_ignored() -> None:
    search = search_of(Match(Resource.SEARCH_STUDIES), [("orderby", "PatientName")])
    assert search.warnings == ()
    assert 0x00000000 not in search.returned
