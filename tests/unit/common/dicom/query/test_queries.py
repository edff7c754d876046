"""From identifiers to queries: what is refused, with which status and which offending elements (PS3.4 C.4.1)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.dicom.query.attributes import ATTRIBUTES
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Document, Level, Range, Single, UidList, Wildcard, matches
from gantry.common.dicom.query.queries import (
    FIND_INFORMATION,
    Extended,
    Model,
    compile_query,
    compile_retrieve,
    extended_of,
    is_supported,
    model_of,
)
from gantry.common.errors import IdentifierError

LEVEL, NAME, ID, DATE, TIME, DT = 0x00080052, 0x00100010, 0x00100020, 0x00080020, 0x00080030, 0x0008002A
STUDY, SERIES, IMAGE = 0x0020000D, 0x0020000E, 0x00080018


def conditions(model: Model, level: str, keys: dict[int, list[str]], **options: bool) -> dict[int, object]:
    identifier = Identifier({LEVEL: [level], **keys})
    return dict(compile_query(identifier, model, "default", Extended(**options)).conditions)


def refused(model: Model, keys: dict[int, list[str]]) -> tuple[int, tuple[int, ...]]:
    with pytest.raises(IdentifierError) as caught:
        compile_query(Identifier(keys), model, "default")
    return caught.value.dicom_status, caught.value.offending


def test_keys_become_conditions_by_their_vr() -> None:
    assert conditions(
        Model.STUDY_ROOT,
        "STUDY",
        {
            NAME: ["Doe*"],
            ID: ["P1"],
            DATE: ["20240101-20240131"],
            TIME: ["-12"],
            STUDY: ["1.2", "1.3", "1.2"],
            0x00080050: [],
            0x00081030: ["*"],
            0x00080061: ["CT", "MR"],
        },
    ) == {
        NAME: Wildcard(("Doe*",)),
        ID: Single(("P1",)),
        DATE: Range("20240101", "20240131"),
        TIME: Range(None, "12"),
        STUDY: UidList(("1.2", "1.3")),
        0x00080061: Single(("CT", "MR")),
    }


def test_keys_of_lower_levels_are_left_out() -> None:
    assert conditions(Model.STUDY_ROOT, "STUDY", {0x00080060: ["CT"], 0x00091001: ["x"], STUDY: ["*"]}) == {}
    assert not is_supported(0x00080060, Level.STUDY)
    assert is_supported(0x00080060, Level.SERIES)
    assert is_supported(ID, Level.IMAGE)
    assert is_supported(0x00400275, Level.SERIES)
    assert not is_supported(0x00091001, Level.IMAGE)


@pytest.mark.parametrize(
    ("model", "level", "allowed"),
    [
        (Model.PATIENT_ROOT, "PATIENT", True),
        (Model.STUDY_ROOT, "PATIENT", False),
        (Model.PATIENT_STUDY_ONLY, "SERIES", False),
        (Model.STUDY_ROOT, "FRAME", False),
        (Model.STUDY_ROOT, "", False),
        (Model.STUDY_ROOT, "study", False),
    ],
)
def test_a_level_that_the_model_has_not_is_a_mismatch(model: Model, level: str, allowed: bool) -> None:
    if allowed:
        assert conditions(model, level, {}) == {}
    else:
        assert refused(model, {LEVEL: [level]}) == (0xA900, (LEVEL,))
        assert refused(model, {}) == (0xA900, (LEVEL,))


def test_unique_keys_above_the_level_are_required() -> None:
    for bad in ([], ["1.2", "1.3"], [""], ["*"]):
        assert refused(Model.STUDY_ROOT, {LEVEL: ["SERIES"], STUDY: bad}) == (0xA900, (STUDY,))
    assert refused(Model.PATIENT_ROOT, {LEVEL: ["STUDY"]}) == (0xA900, (ID,))
    assert refused(Model.PATIENT_ROOT, {LEVEL: ["STUDY"], ID: ["P*"]}) == (0xA900, (ID,))
    assert refused(Model.PATIENT_ROOT, {LEVEL: ["IMAGE"], ID: ["P"], STUDY: ["1.2"]}) == (0xA900, (SERIES,))
    assert conditions(Model.STUDY_ROOT, "SERIES", {}, relational=True) == {}
    assert conditions(Model.STUDY_ROOT, "IMAGE", {STUDY: ["1.2"], SERIES: ["1.3"]}) == {
        STUDY: Single(("1.2",)),
        SERIES: Single(("1.3",)),
    }


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (STUDY, "1.2*"),
        (STUDY, "../../x"),
        (DATE, "yesterday"),
        (DATE, "9999-0001"),
        (DATE, "20240101-20240102-20240103"),
        (DATE, "2024*"),
        (TIME, "25"),
        (NAME, "*a" * 2000),
    ],
)
def test_values_that_cannot_be_processed_name_their_element(tag: int, value: str) -> None:
    assert refused(Model.STUDY_ROOT, {LEVEL: ["STUDY"], tag: [value]}) == (0xC000, (tag,))


def test_lists_of_uids_are_bounded() -> None:
    many = [f"1.2.{i}" for i in range(10_000)]
    assert conditions(Model.STUDY_ROOT, "STUDY", {STUDY: many}) == {STUDY: UidList(tuple(many))}
    assert refused(Model.STUDY_ROOT, {LEVEL: ["STUDY"], STUDY: many * 10}) == (0xA700, (STUDY,))
    assert refused(Model.STUDY_ROOT, {LEVEL: ["STUDY"], ID: many}) == (0xA700, (ID,))


def test_dates_and_times_combine_where_it_was_negotiated() -> None:
    keys = {DATE: ["20240101-20240102"], TIME: ["22-06"]}
    assert conditions(Model.STUDY_ROOT, "STUDY", keys, combined_date_time=True) == {
        DATE: Range("20240101", "20240102", TIME, "22", "06")
    }
    assert conditions(Model.STUDY_ROOT, "STUDY", keys) == {
        DATE: Range("20240101", "20240102"),
        TIME: Range("22", "06"),
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-2025", Range("2024", "2025")),
        ("2024-0500", Single(("2024-0500",))),
        ("20240101120000-0500-20240102", Range("20240101120000-0500", "20240102")),
        ("-2024+0100", Range(None, "2024+0100")),
        ("20240101-", Range("20240101", None)),
    ],
)
def test_a_hyphen_in_a_date_time_is_a_range_or_an_offset(value: str, expected: object) -> None:
    keys = {STUDY: ["1.2"], SERIES: ["1.3"], DT: [value]}
    assert conditions(Model.STUDY_ROOT, "IMAGE", keys)[DT] == expected


def test_a_retrieve_takes_unique_keys_only() -> None:
    query = compile_retrieve(
        Identifier({LEVEL: ["SERIES"], STUDY: ["1.2"], SERIES: ["1.3", "1.4"], NAME: ["Doe"]}), Model.STUDY_ROOT, "p"
    )
    assert query.conditions == {STUDY: Single(("1.2",)), SERIES: UidList(("1.3", "1.4"))}
    with pytest.raises(IdentifierError):
        compile_retrieve(Identifier({LEVEL: ["STUDY"]}), Model.STUDY_ROOT, "p")
    with pytest.raises(IdentifierError):
        compile_retrieve(Identifier({LEVEL: ["STUDY"], STUDY: ["*"]}), Model.STUDY_ROOT, "p")
    patient = compile_retrieve(Identifier({LEVEL: ["PATIENT"], ID: ["P*"]}), Model.PATIENT_ROOT, "p")
    assert not matches(patient, Document(Level.PATIENT, {ID: ["P1"]}))


@pytest.mark.parametrize("service", ["1", "2", "3"])
def test_sop_classes_name_their_model(service: str) -> None:
    root = "1.2.840.10008.5.1.4.1.2."
    assert model_of(f"{root}1.{service}") is Model.PATIENT_ROOT
    assert model_of(f"{root}2.{service}") is Model.STUDY_ROOT
    assert model_of(f"{root}3.{service}") is Model.PATIENT_STUDY_ONLY
    assert model_of(f"{root}4.{service}") is None
    assert model_of("1.2.840.10008.1.1") is None


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(ATTRIBUTES)),
        st.lists(st.one_of(st.text(max_size=10), st.text("0123456789-*?.:", max_size=16)), max_size=3),
    ),
    st.sampled_from(list(Model)),
    st.sampled_from([level.value for level in Level]),
)
def test_any_identifier_is_answered_or_refused(keys: dict[int, list[str]], model: Model, level: str) -> None:
    refusal = None
    try:
        query = compile_query(Identifier({**keys, LEVEL: [level]}), model, "default", Extended(relational=True))
    except IdentifierError as error:
        refusal = error
    if refusal is not None:
        assert refusal.dicom_status in (0xA900, 0xA700, 0xC000)
        assert refusal.offending
        return
    document = Document(query.level, {tag: list(values) for tag, values in keys.items()})
    assert matches(query, document) in (True, False)


def test_what_was_agreed_on_is_read_field_by_field() -> None:
    """PS3.4 table C.5-2; a field that is not there says no."""
    assert extended_of(b"") == Extended()
    assert extended_of(b"\1") == Extended(relational=True)
    assert extended_of(b"\0\1\1\1\1\1\1\1") == Extended(False, True, True, True, True, True)
    assert extended_of(bytes(range(7))) == Extended(combined_date_time=True)
    assert FIND_INFORMATION == b"\1\1\1\1\0\1\1"


def test_the_zone_is_no_key_and_means_something_only_where_it_was_agreed_on() -> None:
    identifier = Identifier({LEVEL: ["STUDY"], DATE: ["20240101"], 0x00080201: ["+0100"]})
    without = compile_query(identifier, Model.STUDY_ROOT, "default")
    assert (dict(without.conditions), without.zone) == ({DATE: Single(("20240101",))}, "")
    assert compile_query(identifier, Model.STUDY_ROOT, "default", Extended(timezone=True)).zone == "+0100"
    junk = Identifier({LEVEL: ["STUDY"], 0x00080201: ["CET"]})
    with pytest.raises(IdentifierError):
        compile_query(junk, Model.STUDY_ROOT, "default", Extended(timezone=True))
    assert compile_query(junk, Model.STUDY_ROOT, "default").zone == ""
