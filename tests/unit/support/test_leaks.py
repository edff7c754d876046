"""`tests.support.leaks`: names are found as a log writes them, but other texts with a caret are not."""

import json

import pytest

from tests.support.leaks import require_no_names
from tests.support.messages import PATIENT


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "stored", "patient": "Doe^Jane"}',
        '{"event": "stored", "patient": "Patient^P1"}',
        "Öz^Ayşe",
        r'"M\u00fcller^J\u00f6rg"',
        r'"Gro\u00df^\u00c4nne"',
        "Groß^Änne",
        "NEW^NAME",
        "SURVIVING^NAME",
        "doe^jane",
        '{"event": "MARKED^NAME is merged"}',
        "DOE^JANE^^^",
        "MÜLLER^JÖRG^^^Dr.",
        json.dumps({"name": PATIENT[5]}),
        json.dumps({"name": "山田^太郎"}),
        '{"source": "RIS^HOSPITAL", "name": "DOE^JANE"}',
        '{"by": "rest DOE^JANE"}',
    ],
)
def test_a_name_in_any_form_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="the log"):
        require_no_names("the log", f"first\n{line}\nlast")


@pytest.mark.parametrize(
    "line",
    [
        '{"source": "RIS^HOSPITAL", "kind": "ORM^O01"}',
        '{"event": "merged", "by": "hl7 RIS^HOSPITAL"}',
        "reported: final, order A100 by hl7 RIS^HOSPITAL",
        "ORM^O01^ORM_O01",
        "4711^^^HOSP^^MR",
        "2^3",
        "MSH^1^9",
        "a regular ^expression$",
        "call(True, False, None)",
        "CT, MR",
        "    ~~~~^^^^^^",
        "",
    ],
)
def test_what_else_has_a_caret_is_none(line: str) -> None:
    require_no_names("the log", line)
