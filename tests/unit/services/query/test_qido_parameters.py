"""What a QIDO-RS request asks for: `gantry.services.query.qido_parameters`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import ATTRIBUTES, Level
from gantry.common.dicom.query.matching import Empty, Fuzzy, Item, MultipleValues, Range, Single, UidList, Wildcard
from gantry.common.errors import IdentifierError
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.services.query.qido_parameters import MAX_LIMIT, cursor_of, place_of, search_of

STUDIES = Match(Resource.SEARCH_STUDIES)


def conditions(*parameters: tuple[str, str], match: Match = STUDIES) -> object:
    return dict(search_of(match, parameters).query.conditions)


@pytest.mark.parametrize("name", ["PatientID", "00100020"])
def test_keys_are_keywords_or_numbers(name: str) -> None:
    assert conditions((name, "P1")) == {0x00100020: Single(("P1",))}


@pytest.mark.parametrize(
    ("parameter", "condition"),
    [
        (("StudyInstanceUID", "1.2,1.3"), UidList(("1.2", "1.3"))),
        (("StudyInstanceUID", "1.2\\1.3"), UidList(("1.2", "1.3"))),
        (("ModalitiesInStudy", "CT,MR"), Single(("CT", "MR"))),
        (("PatientName", "Doe, Jane"), Single(("Doe, Jane",))),
        (("PatientName", "DOE*"), Wildcard(("DOE*",))),
        (("StudyDate", "20240101-20240131"), Range("20240101", "20240131")),
    ],
)
def test_values_are_those_of_an_identifier(parameter: tuple[str, str], condition: object) -> None:
    assert list(search_of(STUDIES, [parameter]).query.conditions.values()) == [condition]


def test_key_that_is_there_twice_has_both_values() -> None:
    by_tag = conditions(("ModalitiesInStudy", "CT"), ("ModalitiesInStudy", "MR"))
    assert by_tag == {0x00080061: Single(("CT", "MR"))}


def test_dates_and_times_make_one_range() -> None:
    by_tag = conditions(("StudyDate", "20240101-20240102"), ("StudyTime", "1200-1300"))
    assert by_tag == {0x00080020: Range("20240101", "20240102", 0x00080030, "1200", "1300")}


def test_path_holds() -> None:
    match = Match(Resource.SEARCH_INSTANCES, "1.2", "1.3")
    assert conditions(("Rows", "512"), match=match) == {
        0x00280010: Single(("512",)),
        0x0020000D: Single(("1.2",)),
        0x0020000E: Single(("1.3",)),
    }
    with pytest.raises(HttpProblem, match="of the path"):
        search_of(match, [("StudyInstanceUID", "1.9")])


def test_what_is_returned() -> None:
    by_default = set(search_of(STUDIES, []).returned)
    assert {0x0020000D, 0x00100010, 0x00201208, 0x00080056} <= by_default
    more = set(search_of(STUDIES, [("includefield", "PatientComments,00081080"), ("PatientAge", "")]).returned)
    assert more - by_default == {0x00104000, 0x00081080, 0x00101010}
    of_studies = {tag for tag, a in ATTRIBUTES.items() if a.level.depth <= Level.STUDY.depth}
    assert of_studies <= set(search_of(STUDIES, [("includefield", "all")]).returned)
    below = Match(Resource.SEARCH_SERIES, "1.2")
    assert 0x00100010 not in search_of(below, []).returned
    assert 0x00100010 in search_of(Match(Resource.SEARCH_SERIES), []).returned


def test_what_is_not_done_is_said() -> None:
    assert search_of(STUDIES, [("fuzzymatching", "false")]).warnings == ()
    assert search_of(STUDIES, [("fuzzymatching", "true")]).warnings == ()
    parameters = [("RequestAttributesSequence.ScheduledProcedureStepID", "1"), ("Modality", "CT"), ("00091001", "x")]
    assert len(search_of(STUDIES, parameters).warnings) == 3


def test_limit_is_bounded() -> None:
    assert search_of(STUDIES, [("limit", "1000000000")]).limit == MAX_LIMIT
    assert search_of(STUDIES, [("limit", "0"), ("offset", "7")]).offset == 7


@pytest.mark.parametrize(
    "parameter",
    [
        ("limit", "-1"),
        ("limit", "x"),
        ("limit", "٣"),
        ("offset", "-1"),
        ("offset", "1e9"),
        ("offset", "100001"),
        ("includefield", "junk"),
        ("fuzzymatching", "maybe"),
        ("cursor", "junk"),
        ("cursor", "W10"),
        ("cursor", "W1tdXQ"),
        ("cursor", "\u0663"),
    ],
)
def test_junk_is_400(parameter: tuple[str, str]) -> None:
    with pytest.raises(HttpProblem) as problem:
        search_of(STUDIES, [parameter])
    assert problem.value.status == 400


@pytest.mark.parametrize("parameter", [("StudyInstanceUID", "1..2"), ("StudyDate", "yesterday")])
def test_bad_value_is_refused_as_in_an_identifier(parameter: tuple[str, str]) -> None:
    with pytest.raises(IdentifierError):
        search_of(STUDIES, [parameter])


@given(st.lists(st.tuples(st.sampled_from(["limit", "cursor", "PatientName", "StudyDate", "x"]), st.text(max_size=20))))
def test_nothing_else_is_raised(parameters: list[tuple[str, str]]) -> None:
    try:
        search_of(STUDIES, parameters)
    except (HttpProblem, IdentifierError):
        pass


@given(st.lists(st.one_of(st.text(), st.integers()), min_size=1, max_size=4).map(tuple))
def test_cursor_holds_any_place(place: tuple[str | int, ...]) -> None:
    assert place_of(cursor_of(place)) == place


def test_a_dotted_path_asks_of_one_item() -> None:
    """PS3.18 8.3.4.1; two paths into one sequence are two keys of its item (PS3.4 C.2.2.2.6)."""
    parameters = [
        ("RequestAttributesSequence.ScheduledProcedureStepID", "S*"),
        ("00400275.00321064.CodeValue", "C1"),
        ("ProcedureCodeSequence", ""),
    ]
    conditions = search_of(Match(Resource.SEARCH_SERIES), parameters).query.conditions
    code = Item({0x00080100: Single(("C1",))})
    assert conditions == {0x00400275: Item({0x00400009: Wildcard(("S*",)), 0x00321064: code})}


@pytest.mark.parametrize("name", ["PatientName.CodeValue", "RequestAttributesSequence.", "00400275." * 40 + "00080100"])
def test_a_path_that_leads_nowhere_is_400(name: str) -> None:
    with pytest.raises(HttpProblem) as problem:
        search_of(STUDIES, [(name, "x")])
    assert problem.value.status == 400


def test_flags_change_what_values_mean() -> None:
    def condition(name: str, value: str, *flags: str) -> object:
        parameters = [(name, value), *((flag, "true") for flag in flags)]
        return next(iter(search_of(STUDIES, parameters).query.conditions.values()), None)

    assert condition("PatientName", "doe john", "fuzzymatching") == Fuzzy(("doe john",))
    assert condition("PatientName", "*", "fuzzymatching") is None
    assert condition("AccessionNumber", '""', "emptyvaluematching") == Empty()
    assert condition("AccessionNumber", '""') == Single(('""',))
    both = MultipleValues((Single(("CT",)), Single(("PT",))))
    assert condition("ModalitiesInStudy", "CT,PT", "multiplevaluematching") == both
    assert condition("ModalitiesInStudy", "CT,PT") == Single(("CT", "PT"))
    assert condition("PatientID", "A\\B", "multiplevaluematching") == Single(("A", "B"))  # it has one value at most


@pytest.mark.parametrize("name", ["_", "NoSuchKeyword", "cb", "", 'a"b\r\nX: y', "x" * 5000])
def test_a_parameter_that_is_not_known_is_ignored_and_said(name: str) -> None:
    """PS3.18 8.3.4: caches are kept from answering by a parameter that means nothing to anybody."""
    search = search_of(STUDIES, [(name, "1"), ("PatientID", "P1")])
    assert search.query.conditions == {0x00100020: Single(("P1",))}
    (warning,) = search.warnings
    assert "was ignored" in warning
    assert set(warning).isdisjoint('"\r\n')
    assert len(warning) < 200
