"""`gantry.services.orders.workitems.answers`: the tables of PS3.18 11."""

from __future__ import annotations

import pytest

from gantry.common.orders import ERASED, Verdict
from gantry.common.web.errors import HttpProblem
from gantry.common.workitems import Workitem
from gantry.services.orders.workitems.answers import answered, warning


def refused(status: int, reason: str = "no") -> Verdict[Workitem]:
    return Verdict(False, reason, None, status)


@pytest.mark.parametrize(
    ("status", "reason", "http", "words"),
    [
        (0x0111, "no", 409, "inconsistent with the current state"),
        (0x0106, "no", 400, ""),
        (0x0120, "no", 400, ""),
        (0xC300, "no", 409, "inconsistent"),
        (0xC301, "the transaction uid is missing", 400, "The Transaction UID is missing."),
        (0xC301, "the transaction uid is incorrect", 400, "The Transaction UID is incorrect."),
        (0xC302, "no", 409, "inconsistent"),
        (0xC303, "no", 400, ""),
        (0xC304, "no", 409, "inconsistent"),
        (0xC307, "no", 404, ""),
        (0xC307, ERASED, 410, ""),
        (0xC309, "no", 400, ""),
        (0xC310, "no", 409, "did not reference a claimed Workitem"),
        (0xC311, "no", 409, "inconsistent"),
    ],
)
def test_a_refusal_has_its_status_and_its_warning(status: int, reason: str, http: int, words: str) -> None:
    with pytest.raises(HttpProblem) as raised:
        answered(refused(status, reason))
    assert raised.value.status == http
    assert words in raised.value.headers.get("Warning", "")
    assert bool(words) == ("Warning" in raised.value.headers)


def test_updating_what_is_final_is_400() -> None:
    with pytest.raises(HttpProblem) as raised:
        answered(refused(0xC300), updating=True)
    assert raised.value.status == 400


@pytest.mark.parametrize(("status", "words"), [(0xB300, "modifications"), (0xB304, "CANCELED"), (0xB306, "COMPLETED")])
def test_what_was_done_otherwise_is_a_warning(status: int, words: str) -> None:
    headers = answered(Verdict(True, "", None, status))
    assert headers["Warning"].startswith('299 gantry "')
    assert words in headers["Warning"]


def test_nothing_to_say_is_no_header() -> None:
    assert answered(Verdict(True, "", None)) == warning([]) == {}
