"""What other archives are asked, and what is taken of their answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.identifiers import Identifier, decode_identifier, encode_identifier
from gantry.common.dicom.query.matching import Document, Level, Query, Single, UidList
from gantry.common.dicom.query.queries import Extended, Model, compile_query
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.services.query.federation.merging import (
    MOST_NAMED,
    MOST_UIDS,
    Question,
    cleaned,
    merged,
    named_studies,
    questions_of,
)
from tests.support.dicom import EXPLICIT

NAME, PATIENT, DATE, MODALITIES = (
    TAGS[k] for k in ("PatientName", "PatientID", "StudyDate", "ModalitiesInStudy")
)  # fmt: skip
EVERYTHING = Extended(True, True, True, True, True, True)


def query(extended: Extended = Extended(), **keys: list[str]) -> Query:
    values = {QUERY_RETRIEVE_LEVEL: ["STUDY"], **{TAGS[keyword]: value for keyword, value in keys.items()}}
    return compile_query(Identifier(values), Model.STUDY_ROOT, "default", extended)


def question_of(search: Query, tags: list[int]) -> Question | None:
    questions = questions_of(search, tags)
    if questions is None:
        return None
    (question,) = questions
    return question


def asked(extended: Extended = Extended(), **keys: list[str]) -> Question:
    question = question_of(query(extended, **keys), [TAGS[k] for k in keys])
    assert question is not None
    return question


def answer(uid: str = "1.2", **keys: Any) -> dict[int, list[Any]]:
    return {STUDY_INSTANCE_UID: [uid], **{TAGS[keyword]: value for keyword, value in keys.items()}}


def test_the_same_keys_are_asked_with_the_unique_ones_and_the_level() -> None:
    keys = asked(PatientName=["DOE*"], StudyDate=["20240101-"], ModalitiesInStudy=["CT"], StudyDescription=[]).keys
    assert keys == {
        QUERY_RETRIEVE_LEVEL: ["STUDY"], NAME: ["DOE*"], DATE: ["20240101-"], MODALITIES: ["CT"], PATIENT: [],
        TAGS["StudyDescription"]: [], STUDY_INSTANCE_UID: [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [{"PatientName": ["jane doe"]}, {"StudyDescription": ['""']}, {"ModalitiesInStudy": ["CT", "MR"]}],
    ids=["fuzzy", "empty", "multiple"],
)
def test_what_basic_matching_does_not_have_is_asked_for_as_any_value_and_must_be_answered(keys: dict[str, Any]) -> None:
    question = asked(EVERYTHING, **keys)
    (tag,) = (TAGS[k] for k in keys)
    assert question.keys[tag] == []
    assert tag in question.strict
    assert not question.fits({STUDY_INSTANCE_UID: ["1.2"], tag: ["SOMETHING ELSE"]})


def test_dates_in_another_zone_are_compared_here() -> None:
    question = asked(EVERYTHING, StudyDate=["20240101"], TimezoneOffsetFromUTC=["+0100"])
    assert question.keys[DATE] == []
    assert DATE in question.strict


def test_items_of_sequences_and_too_many_uids_are_not_asked() -> None:
    item = Identifier({TAGS["CodeValue"]: ["X"]})
    tag = TAGS["ProcedureCodeSequence"]
    identifier = Identifier({QUERY_RETRIEVE_LEVEL: ["STUDY"], tag: []}, items={tag: item})
    of_items = compile_query(identifier, Model.STUDY_ROOT, "default", EVERYTHING)
    assert question_of(of_items, [tag]) is None
    uids = [f"1.{n}" for n in range(MOST_UIDS + 1)]
    assert question_of(query(StudyInstanceUID=uids), [STUDY_INSTANCE_UID]) is None
    assert question_of(query(StudyInstanceUID=uids[1:]), [STUDY_INSTANCE_UID]) is not None


def test_an_answer_is_matched_again_where_it_has_the_attribute() -> None:
    question = asked(PatientID=["P1"], ModalitiesInStudy=["CT"])
    assert question.fits(answer(PatientID=["P1"], ModalitiesInStudy=["CT", "SR"]))
    assert question.fits(answer(PatientID=["P1"]))  # an optional key that it does not know
    assert not question.fits(answer(PatientID=["P1"], ModalitiesInStudy=["MR"]))
    assert not question.fits(answer(PatientID=["P12"], ModalitiesInStudy=["CT"]))


def test_an_answer_that_does_not_say_whose_it_is_fits_no_question_for_a_patient() -> None:
    assert not asked(PatientID=["P1"]).fits(answer())
    assert not asked(PatientName=["DOE*"]).fits(answer(PatientName=[]))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "yesterday"), ("StudyDate", "20241301"), ("StudyTime", "99"), ("PatientSex", "male"),
        ("NumberOfStudyRelatedInstances", "99999999999"), ("PatientWeight", "1e999"), ("PatientAge", "old"),
        ("PatientID", "x" * 65), ("StudyDescription", "a\0b"), ("PatientName", "\ufffd"), ("PatientName", "a=b=c=d"),
        ("AccessionNumber", "x" * 17),
    ],
)  # fmt: skip
def test_a_value_that_is_not_valid_for_its_vr_is_left_out(keyword: str, value: str) -> None:
    assert cleaned(answer(**{keyword: [value]})) == answer(**{keyword: []})


def test_numbers_and_names_are_what_our_own_documents_have() -> None:
    values = cleaned(answer(NumberOfStudyRelatedInstances=["12"], PatientWeight=["70.5"], PatientName=["Doe^J=道"]))
    assert values == answer(
        NumberOfStudyRelatedInstances=[12],
        PatientWeight=[70.5],
        PatientName=[{"Alphabetic": "Doe^J", "Ideographic": "道"}],
    )


@pytest.mark.parametrize("uids", [[], ["1.2", "1.3"], ["1.2*"], ["no uid"], [""]], ids=lambda u: repr(u))
def test_an_answer_that_names_not_one_study_is_none(uids: list[str]) -> None:
    assert cleaned({STUDY_INSTANCE_UID: uids}) is None


TEXTS = st.lists(st.text(max_size=70), max_size=3)


@given(st.dictionaries(st.sampled_from(sorted(asked(PatientName=[]).keys | answer(StudyDate=[]))), TEXTS))
def test_no_foreign_value_breaks_our_encoder(values: dict[int, list[str]]) -> None:
    cleaned_values = cleaned({**values, STUDY_INSTANCE_UID: ["1.2"]})
    assert cleaned_values is not None
    read = decode_identifier(encode_identifier(cleaned_values, EXPLICIT), EXPLICIT).keys
    assert read[STUDY_INSTANCE_UID] == ["1.2"]
    assert set(read) - {0x00080005} == set(cleaned_values)


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["OLD", "NORTH", "SOUTH"]),
        st.builds(lambda n, p: answer(f"1.{n}", PatientID=[p]), st.integers(1, 4), st.sampled_from(["P1", "P2"])),
    ),
    max_size=12,
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_and_duplicates_never_change_what_is_merged(answers: list[Any], random: Any) -> None:
    again = answers + random.choices(answers, k=3) if answers else []
    random.shuffle(again)
    assert merged(again) == merged(answers)


@given(ANSWERS)
def test_each_study_is_there_once_with_all_that_have_it(answers: list[Any]) -> None:
    foreign = merged(answers)
    studies = {
        document.attributes[STUDY_INSTANCE_UID][0]: document.attributes for document in foreign.elsewhere({"1.1"})
    }
    assert set(studies) == {values[STUDY_INSTANCE_UID][0] for _, values in answers} - {"1.1"}
    for uid, attributes in studies.items():
        holders = {title for title, values in answers if values[STUDY_INSTANCE_UID] == [uid]}
        assert attributes[RETRIEVE_AE_TITLE] == sorted(holders)
        assert attributes[INSTANCE_AVAILABILITY] == ["NEARLINE"]


def test_ours_wins_and_we_are_the_first_of_those_that_have_it() -> None:
    ours = Document(Level.STUDY, answer("1.1", PatientID=["P1"]))
    foreign = merged([("OLD", answer("1.1", PatientID=["P9"])), ("B", answer("1.1", PatientID=["P8"]))])
    (joined,) = foreign.joined([ours], "GANTRY")
    assert joined.attributes == {**ours.attributes, RETRIEVE_AE_TITLE: ["GANTRY", "B", "OLD"]}
    assert foreign.elsewhere({"1.1"}) == []


def test_a_question_for_one_study_is_one_value() -> None:
    search = Query("default", Level.STUDY, {STUDY_INSTANCE_UID: Single(("1.2",))})
    question = question_of(search, [])
    assert question is not None
    assert question.keys[STUDY_INSTANCE_UID] == ["1.2"]
    assert not question.fits(answer("1.3"))


def below(level: str, **keys: list[str]) -> tuple[Question, ...]:
    values = {QUERY_RETRIEVE_LEVEL: [level], **{TAGS[keyword]: value for keyword, value in keys.items()}}
    compiled = compile_query(Identifier(values), Model.STUDY_ROOT, "default", Extended(relational=True))
    questions = questions_of(compiled, list(values))
    assert questions is not None
    return questions


def test_instances_are_asked_for_from_the_study_down_with_the_keys_of_each_level() -> None:
    study, series, image = below(
        "IMAGE", StudyInstanceUID=["1.2"], PatientID=["P1"], Modality=["CT"], InstanceNumber=["7"], SOPInstanceUID=[]
    )
    assert study.keys == {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: ["1.2"], PATIENT: ["P1"]}
    assert series.under({STUDY_INSTANCE_UID: ["1.2"]}).keys == {
        QUERY_RETRIEVE_LEVEL: ["SERIES"], STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: [],
        TAGS["Modality"]: ["CT"],
    }  # fmt: skip
    assert image.under({STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"], PATIENT: ["P1"]}).keys == {
        QUERY_RETRIEVE_LEVEL: ["IMAGE"], STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"],
        SOP_INSTANCE_UID: [], TAGS["InstanceNumber"]: ["7"],
    }  # fmt: skip


def test_what_is_of_another_study_or_series_or_does_not_say_of_which_is_not_taken() -> None:
    image = below("IMAGE", StudyInstanceUID=["1.2"])[2].under(
        {STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"]}
    )
    right = {STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"], SOP_INSTANCE_UID: ["1.4"]}
    assert image.fits(right)
    for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID):
        assert not image.fits({**right, tag: ["1.9"]})
        assert not image.fits({**right, tag: []})


def test_answers_of_a_level_have_its_attributes_and_the_unique_ones_above() -> None:
    answered = {
        STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"], TAGS["Modality"]: ["CT"], PATIENT: ["P9"],
        TAGS["SeriesNumber"]: ["7"],
    }  # fmt: skip
    assert cleaned(answered, Level.SERIES) == {
        STUDY_INSTANCE_UID: ["1.2"], SERIES_INSTANCE_UID: ["1.3"], TAGS["Modality"]: ["CT"], TAGS["SeriesNumber"]: [7],
    }  # fmt: skip
    assert cleaned(answered, Level.IMAGE) is None


def test_series_that_several_have_are_one_and_those_of_studies_that_are_here_are_left_to_us() -> None:
    def series(study: str, uid: str) -> dict[int, list[Any]]:
        return {STUDY_INSTANCE_UID: [study], SERIES_INSTANCE_UID: [uid]}

    answers = [("OLD", series("1.2", "1.3")), ("B", series("1.2", "1.3")), ("B", series("1.2", "1.4"))]
    foreign = merged([*answers, ("B", series("1.1", "1.5"))], Level.SERIES)
    assert foreign.studies == ["1.1", "1.2"]
    documents = foreign.elsewhere({"1.1"})
    assert [document.level for document in documents] == [Level.SERIES] * 2
    assert [
        (document.attributes[SERIES_INSTANCE_UID], document.attributes[RETRIEVE_AE_TITLE]) for document in documents
    ] == [
        (["1.3"], ["B", "OLD"]),
        (["1.4"], ["B"]),
    ]


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        (None, 0), (Single(("1.2",)), 1), (UidList(("1.2", "1.3")), 2),
        (UidList(tuple(f"1.{n}" for n in range(MOST_NAMED))), MOST_NAMED),
        (UidList(tuple(f"1.{n}" for n in range(MOST_NAMED + 1))), 0),
    ],
    ids=["none", "one", "two", "most", "more"],
)  # fmt: skip
def test_series_are_asked_for_in_a_few_studies_that_are_named(condition: Any, named: int) -> None:
    conditions = {} if condition is None else {STUDY_INSTANCE_UID: condition}
    assert len(named_studies(Query("default", Level.SERIES, conditions))) == named
