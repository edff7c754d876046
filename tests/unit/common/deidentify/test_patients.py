"""Pseudonyms that somebody gives."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.patients import pseudonyms_in
from gantry.common.errors import NotDeidentified


def test_each_line_is_a_patient_and_empty_lines_are_none() -> None:
    assert pseudonyms_in('4711, S-1\n\n"08,15",S-2\r\n') == {"4711": "S-1", "08,15": "S-2"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("4712", id="no pseudonym"),
        pytest.param("4712, ", id="an empty one"),
        pytest.param("4712,a,b", id="two"),
        pytest.param("4712," + "x" * 65, id="too long"),
        pytest.param("4711 ,S-2", id="a patient twice"),
    ],
)
def test_a_line_that_is_not_understood_is_named_by_its_number_and_not_by_the_patient(line: str) -> None:
    with pytest.raises(NotDeidentified, match="line 2 is not one Patient ID") as refused:
        pseudonyms_in(f"4711,S-1\n{line}\n")
    assert "471" not in str(refused.value)
