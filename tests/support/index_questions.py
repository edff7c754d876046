"""Entries, queries and time zones for property tests of an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from gantry.common.dicom.query.matching import (
    Condition,
    Empty,
    Fuzzy,
    Item,
    MultipleValues,
    Range,
    Single,
    UidList,
    Wildcard,
)
from gantry.common.dicom.query.ordering import STUDY_ORDERS, Order, SortKey
from gantry.common.ports.index import InstanceEntry
from tests.support.entries import entry

NAME, ID, DATE, ACCESSION, MODALITY, STUDY, SERIES, SOP = (
    0x00100010,
    0x00100020,
    0x00080020,
    0x00080050,
    0x00080060,
    0x0020000D,
    0x0020000E,
    0x00080018,
)
ZONES = st.sampled_from(["", "", "+0000", "+1400", "-1200"])

_NAMES = [
    "",
    "Müller^Jörg",
    "muller^jorg",
    "Doe^John",
    "DOE",
    "Yamada^Tarou=山田^太郎",
    "A=B=C",
    "D*e",
    "=B",
    "A==C",
    "A",
]
_TEXTS = ["", "P1", "p1", "P12", "P1*", "[x]", "Ä"]
_ALIKE = ["Mueller", "joerg muler", "jon", "D*", "Yamada", "太郎", "jörg^müller"]
REQUEST, PROCEDURE, _STEP, CODE, _MEANING = 0x00400275, 0x00081032, 0x00400009, 0x00080100, 0x00080104
_DATES = ["", "20240101", "20240630", "1994.11.05", "junk", "20241231"]


def _values(texts: list[str]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(texts).map(lambda t: t or None), max_size=2)


def _names() -> st.SearchStrategy[list[Any]]:
    groups = ("Alphabetic", "Ideographic", "Phonetic")
    split = st.sampled_from(_NAMES).map(lambda n: dict(zip(groups, n.split("="))) if n else None)
    return st.lists(split, max_size=2)


def _items() -> st.SearchStrategy[list[Any]]:
    """Request Attributes: a step, a start date, and a code within the item."""
    code = st.fixed_dictionaries({}, optional={CODE: _values(["C1", "C2"]), _MEANING: _values(_TEXTS)})
    item = st.fixed_dictionaries(
        {}, optional={_STEP: _values(_TEXTS), 0x00400002: _values(_DATES), 0x00321064: st.lists(code, max_size=2)}
    )
    return st.lists(item, max_size=2)


@st.composite
def data_sets_of_entries(draw: st.DrawFn) -> list[InstanceEntry]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        study = f"1.{draw(st.integers(1, 3))}"
        made.append(
            entry(
                draw(st.integers(0, 5)) * 100 + number,
                f"9.{draw(st.integers(1, 5))}",
                study,
                f"{study}.{draw(st.integers(1, 2))}",
                draw(st.sampled_from(["a", "b"])),
                PatientID=draw(_values(_TEXTS)),
                PatientName=draw(_names()),
                AccessionNumber=draw(_values(_TEXTS)),
                StudyDate=draw(_values(_DATES)),
                StudyDescription=draw(_values(["CT head", "ct Abdomen", "x" * 200])),
                ReferringPhysicianName=draw(_names()),
                PatientBirthDate=draw(_values(_DATES)),
                StudyTime=draw(_values(["1000", "235959.5", "x"])),
                TimezoneOffsetFromUTC=draw(_values(["+0100", "-0530", "x"])),
                RequestAttributesSequence=draw(_items()),
                ProcedureCodeSequence=draw(st.lists(st.just({CODE: ["C1"], _MEANING: ["P1"]}), max_size=1)),
                Modality=draw(_values(["CT", "MR"])),
                InstanceNumber=draw(st.lists(st.one_of(st.integers(0, 3), st.just("1")), max_size=1)),
            )
        )
    return made


def orders(tags: Sequence[int] = STUDY_ORDERS) -> st.SearchStrategy[Order]:
    """One to three of these attributes, each in one of the two directions."""
    subset = st.lists(st.sampled_from(list(tags)), min_size=1, max_size=3, unique=True)
    return subset.flatmap(
        lambda chosen: st.tuples(*(st.builds(SortKey, st.just(tag), st.booleans()) for tag in chosen))
    )


def questions() -> st.SearchStrategy[dict[int, Condition]]:
    def texts(values: list[str]) -> st.SearchStrategy[Condition]:
        value_lists = st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)
        patterns = st.lists(st.text("PpM1ulr*?D^oe=[]x", min_size=1, max_size=5), min_size=1, max_size=2).map(tuple)
        every = st.lists(st.one_of(value_lists.map(Single), patterns.map(Wildcard)), min_size=1, max_size=2).map(tuple)
        return st.one_of(value_lists.map(Single), patterns.map(Wildcard), st.just(Empty()), every.map(MultipleValues))

    def in_item(**by_tag: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        conditions = {int(tag[1:], 16): condition for tag, condition in by_tag.items()}
        return st.fixed_dictionaries({}, optional=conditions).filter(bool).map(Item)

    alike = st.lists(st.sampled_from(_ALIKE), min_size=1, max_size=2).map(tuple).map(Fuzzy)
    ends = st.sampled_from([None, "20240101", "20241231", "19940101", "junk"])
    uids = st.lists(st.sampled_from(["1.1", "1.2", "1.1.1", "9.1", "9.2"]), min_size=1, max_size=3).map(tuple)
    times = st.sampled_from([None, "0900", "11"])
    return st.fixed_dictionaries(
        {},
        optional={
            NAME: st.one_of(texts(_NAMES), alike),
            ID: texts(_TEXTS),
            ACCESSION: texts(_TEXTS),
            DATE: st.one_of(
                st.builds(Range, ends, ends),
                st.builds(Range, ends, ends, st.just(0x00080030), times, times),
                st.lists(st.sampled_from(_DATES), min_size=1, max_size=2).map(tuple).map(Single),
            ),
            0x00080030: st.one_of(st.builds(Range, times, times), st.just(Single(("1000",)))),
            REQUEST: st.one_of(
                st.just(Empty()),
                in_item(
                    t00400009=texts(_TEXTS),
                    t00400002=st.builds(Range, ends, ends),
                    t00321064=in_item(t00080100=texts(["C1", "C2"]), t00080104=texts(_TEXTS)),
                ),
            ),
            PROCEDURE: in_item(t00080100=texts(["C1", "C2"])),
            MODALITY: texts(["CT", "MR"]),
            0x00080061: texts(["CT", "MR"]),
            0x00200013: st.sampled_from([Single(("1",)), Single(("01", "2"))]),
            0x00201208: st.sampled_from([Single(("1",)), Single(("2",))]),
            STUDY: st.one_of(uids.map(UidList), uids.map(Single)),
            SERIES: uids.map(UidList),
            SOP: st.one_of(uids.map(UidList), uids.map(Single)),
        },
    )
