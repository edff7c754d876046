"""Options by their names, and what is written of them."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.options import CLEANED, CODES, RETAINED, Option, profile_of
from gantry.common.errors import NotDeidentified


def test_every_option_has_a_code_and_is_either_kept_or_cleaned() -> None:
    assert set(CODES) == set(Option) == {*CLEANED, *RETAINED}
    assert len({code for code, _ in CODES.values()}) == len(Option)
    assert all(len(meaning) <= 64 for _, meaning in CODES.values())


def test_dates_are_kept_or_moved_and_never_both() -> None:
    with pytest.raises(NotDeidentified, match="choose"):
        profile_of(["full-dates", "modified-dates"])
    assert profile_of(["full-dates"]).temporal == "UNMODIFIED"
    assert profile_of(["modified-dates"]).temporal == "MODIFIED"
    assert profile_of([]).temporal == "REMOVED"


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(NotDeidentified, match="safe-private"):
        profile_of(["everything"])
