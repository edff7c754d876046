"""`tests.support.leaks`: a name is noticed as a log writes it, and what else has a caret is none."""

import pytest

from tests.support.leaks import require_no_names


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "stored", "patient": "Doe^Jane"}',
        "Öz^Ayşe",
        r'"M\u00fcller^J\u00f6rg"',
        r'"Gro\u00df^\u00c4nne"',
        "Groß^Änne",
    ],
)
def test_a_name_in_any_form_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="the log"):
        require_no_names("the log", f"first\n{line}\nlast")


@pytest.mark.parametrize(
    "line", ['{"source": "RIS^HOSPITAL", "kind": "ORM^O01"}', "2^3", "MSH^1^9", "a regular ^expression$", ""]
)
def test_what_else_has_a_caret_is_none(line: str) -> None:
    require_no_names("the log", line)
