"""`gantry.common.web.conditions`: a change is made to what its caller saw."""

from __future__ import annotations

import pytest

from gantry.common.web.conditions import etag_of, require_condition
from gantry.common.web.errors import HttpProblem

HOLDS = [
    ("the tag that was seen", '"v1"', "", "v1"),
    ("one of several tags", '"v0", "v1"', "", "v1"),
    ("anything that is there", "*", "", "v1"),
    ("what is new", "", "*", ""),
]
FAILS = [
    ("no condition", "", "", "v1", 428),
    ("no condition for what is new", "", "", "", 428),
    ("another tag", '"v0"', "", "v1", 412),
    ("a weak tag", 'W/"v1"', "", "v1", 412),
    ("a tag without its quotes", "v1", "", "v1", 412),
    ("a tag of what is gone", '"v1"', "", "", 412),
    ("anything where nothing is", "*", "", "", 412),
    ("what is new and is there", "", "*", "v1", 412),
    ("another form of what is new", "", '"v1"', "v2", 400),
    ("both at once", "*", "*", "v1", 400),
    ("tags without end", ",".join(['"v0"'] * 100), "", "v1", 400),
]


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "version"), [row[1:] for row in HOLDS], ids=[r[0] for r in HOLDS]
)
def test_a_change_may_be_made_where_its_condition_holds(if_match: str, if_none_match: str, version: str) -> None:
    require_condition(if_match, if_none_match, version)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "version", "status"), [row[1:] for row in FAILS], ids=[row[0] for row in FAILS]
)
def test_a_change_is_refused_where_it_does_not(if_match: str, if_none_match: str, version: str, status: int) -> None:
    with pytest.raises(HttpProblem) as caught:
        require_condition(if_match, if_none_match, version)
    assert caught.value.status == status


def test_a_tag_that_was_given_is_one_that_matches() -> None:
    require_condition(etag_of("abc"), "", "abc")
