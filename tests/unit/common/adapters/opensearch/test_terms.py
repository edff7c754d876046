"""A clause finds every document that matches: shown without a server, by reading clauses as OpenSearch does."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gantry.common.adapters.opensearch.terms import LONGEST, MOST_PATTERNS, NOTHING, clause_of, terms_of
from gantry.common.dicom.query.attributes import ATTRIBUTES, STANDARD, Level
from gantry.common.dicom.query.matching import (
    Condition,
    Document,
    Empty,
    Fuzzy,
    Item,
    MultipleValues,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
    matches,
)
from gantry.common.dicom.query.person_names import words_of

NAME, ID, DATE, TIME, AGE, SIZE, SOPS = (
    0x00100010,
    0x00100020,
    0x00080020,
    0x00080030,
    0x00101010,
    0x00101020,
    0x00080062,
)
REQUEST, STEP, DAY, CODES, CODE = 0x00400275, 0x00400009, 0x00400002, 0x00321064, 0x00080100
KEYWORDS = {attribute.keyword: tag for tag, attribute in ATTRIBUTES.items()}
TEXT = st.text("aAäÄ^=*?\\\0\n 1.\u0301Ωσς", max_size=6) | st.sampled_from(
    ["x" * LONGEST, "x" * (LONGEST + 1), "Müller^Jörg"]
)
NAMES = st.lists(
    st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), TEXT, max_size=3) | st.none(),
    max_size=2,
)
TEXTS = st.lists(TEXT | st.none(), max_size=2)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            STEP: TEXTS,
            DAY: st.lists(st.sampled_from(["20240101", "junk"]), max_size=2),
            CODES: st.lists(st.fixed_dictionaries({}, optional={CODE: TEXTS}), max_size=2),
        },
    ),
    max_size=2,
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        NAME: NAMES,
        ID: st.lists(TEXT | st.none(), max_size=2),
        DATE: st.lists(st.sampled_from(["20240101", "1994.11.05", "20241399", "junk", ""]), max_size=2),
        TIME: st.lists(st.sampled_from(["10", "1015", "10:15:30", "101530.5", "x"]), max_size=1),
        SIZE: st.lists(st.sampled_from([1, 1.0, 1.5, -0.0, 0, "1e400", "x"]), max_size=2),
        SOPS: st.lists(st.sampled_from(["1.2", "1.2.3"]), max_size=2),
        REQUEST: ITEMS,
    },
)


def coded() -> st.SearchStrategy[Condition]:
    return conditions(ID).map(lambda condition: Item({CODE: condition}))


def conditions(tag: int) -> st.SearchStrategy[Condition]:
    value_lists = st.lists(TEXT.filter(bool), min_size=1, max_size=3).map(tuple)
    if tag == REQUEST:
        below = st.fixed_dictionaries({}, optional={STEP: conditions(ID), DAY: conditions(DATE), CODES: coded()})
        return below.filter(bool).map(Item)
    if tag in (NAME, ID):
        plain = st.one_of(value_lists.map(Single), value_lists.map(Wildcard), st.just(Empty()))
        every = st.lists(plain, min_size=1, max_size=2).map(tuple).map(MultipleValues)
        words = st.lists(TEXT.filter(words_of), min_size=1, max_size=2).map(tuple)
        return st.one_of(plain, every, words.map(Fuzzy)) if tag == NAME else st.one_of(plain, every)
    if tag in (DATE, TIME):
        ends = st.sampled_from([None, "20240101", "20241231", "1015", "junk"])
        single = st.lists(st.sampled_from(["20240101", "1994.11.05", "junk", "1015", "10"]), min_size=1).map(tuple)
        return st.one_of(st.builds(Range, ends, ends), single.map(Single))
    if tag == SIZE:
        numbers = st.lists(st.sampled_from(["1", "1.50", "0", "x", "1e400"]), min_size=1).map(tuple)
        return st.one_of(numbers.map(Single), numbers.map(Wildcard))
    return st.lists(st.sampled_from(["1.2", "1.2.3", "1.9"]), min_size=1).map(tuple).map(UidList)


def finds(clause: Any, terms: dict[str, list[str]]) -> bool:
    """What OpenSearch makes of a clause, for a document with these terms under `t`."""
    ((kind, body),) = clause.items()
    if kind == "match_none":
        return False
    if kind == "match_all":
        return True
    if kind == "bool":
        should, every, none = (body.get(occurrence, []) for occurrence in ("should", "filter", "must_not"))
        return (
            (not should or any(finds(branch, terms) for branch in should))
            and all(finds(branch, terms) for branch in every)
            and not any(finds(branch, terms) for branch in none)
        )
    if kind == "exists":
        return bool(terms.get(body["field"].split(".")[1]))
    ((field, wanted),) = body.items()
    values = terms.get(field.split(".")[1], [])
    if kind == "term":
        return wanted in values
    if kind == "terms":
        return any(value in wanted for value in values)
    if kind == "range":
        return any(wanted["gte"].encode() <= value.encode() <= wanted["lte"].encode() for value in values)
    assert kind == "wildcard"
    pattern = re.escape(wanted["value"]).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.fullmatch(pattern, value, re.DOTALL) for value in values)


@given(
    VALUES,
    st.sampled_from([NAME, ID, DATE, TIME, SIZE, SOPS, REQUEST]).flatmap(
        lambda t: st.tuples(st.just(t), conditions(t))
    ),
)
@example({NAME: [{"Alphabetic": "^"}]}, (NAME, Single(("^^",))))
@example({ID: ["a\\b"]}, (ID, Wildcard(("a\\*",))))
def test_what_matches_is_found(values: dict[int, list[Any]], question: tuple[int, Condition]) -> None:
    tag, condition = question
    level = ATTRIBUTES[tag].level
    document = Document(level, values)
    if not matches(Query("default", level, {tag: condition}), document):
        return
    clause = clause_of(tag, condition, "t", STANDARD)
    assert clause is None or finds(clause, terms_of(values, level, STANDARD))


def test_a_clause_leaves_out_what_does_not_match() -> None:
    """Else the test above could pass with clauses that find everything."""
    terms = terms_of({NAME: [{"Alphabetic": "Doe^Jane"}], ID: ["P1"]}, Level.PATIENT, STANDARD)
    cases: list[tuple[int, Condition]] = [
        (NAME, Single(("roe^jane",))),
        (NAME, Fuzzy(("doe peter",))),
        (NAME, Empty()),
        (ID, MultipleValues((Single(("P1",)), Single(("P2",))))),
        (NAME, Wildcard(("*john*",))),
        (ID, Single(("p1",))),
        (ID, Wildcard(("P2*",))),
    ]
    for tag, condition in cases:
        clause = clause_of(tag, condition, "t", STANDARD)
        assert clause is not None
        assert not finds(clause, terms)


def test_nothing_is_asked_of_attributes_that_nobody_has() -> None:
    assert clause_of(0x00091001, Single(("x",)), "t", STANDARD) is NOTHING


def test_a_thousand_patterns_are_left_to_the_matcher() -> None:
    assert clause_of(ID, Wildcard(tuple(f"{n}*" for n in range(MOST_PATTERNS + 1))), "t", STANDARD) is None


def test_terms_are_bounded_whatever_a_modality_sends() -> None:
    terms = terms_of({ID: ["x" * (1 << 20)], NAME: [{"Alphabetic": "y" * 5000}]}, Level.PATIENT, STANDARD)
    assert terms == {"wide": ["PatientName", "PatientID"]} or terms == {"wide": ["PatientID", "PatientName"]}
