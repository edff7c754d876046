"""The fold's decision on a workitem as an answer of PS3.18 11 (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common import statuses
from gantry.common.orders import ERASED, Verdict
from gantry.common.web.errors import HttpProblem
from gantry.common.workitems import Workitem, WorkitemSubscription

GONE = "the workitem was erased"
_CREATED = "The Workitem was created with modifications."
_CANCELED = "The UPS is already in the requested state of CANCELED."
_COMPLETED = "The UPS is already in the requested state of COMPLETED."
_MISSING = "The Transaction UID is missing."
_INCORRECT = "The Transaction UID is incorrect."
_INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."
_UNCLAIMED = "The target URI did not reference a claimed Workitem."
_WARNINGS = {
    statuses.WORKITEM_CREATED_WITH_MODIFICATIONS: _CREATED,
    statuses.WORKITEM_ALREADY_CANCELED: _CANCELED,
    statuses.WORKITEM_ALREADY_COMPLETED: _COMPLETED,
}
_CONFLICTS = frozenset(
    (
        statuses.DUPLICATE_SOP_INSTANCE,
        statuses.WORKITEM_ALREADY_IN_PROGRESS,
        statuses.WORKITEM_FINAL_STATE_REQUIREMENTS,
        statuses.WORKITEM_IS_COMPLETED,
        statuses.WORKITEM_MAY_NOT_BE_UPDATED,
        statuses.WORKITEM_NOT_IN_PROGRESS,
    )
)
"""409: the request conflicts with the current state (PS3.18 tables 11.4.3-1, 11.6.3-1, 11.7.3-1, 11.8.3-1)."""


def warning(words: Iterable[str]) -> dict[str, str]:
    """The Warning header (PS3.18 8.4); none if there is no warning."""
    texts = [f'299 gantry "{text}"' for text in words]
    return {"Warning": ", ".join(texts)} if texts else {}


def answered(verdict: Verdict[Workitem] | Verdict[WorkitemSubscription], *, updating: bool = False) -> dict[str, str]:
    """The headers of an answer to an accepted request. Raises `HttpProblem` for a refused one: 400, 404, 409, 410.
    `updating`: PS3.18 11.6.2 requires 400 for a workitem in a final state."""
    status = verdict.status
    if verdict.accepted:
        return warning([_WARNINGS[status]] if status in _WARNINGS else [])
    if status == statuses.WORKITEM_UNKNOWN:
        raise HttpProblem(410, GONE) if verdict.reason == ERASED else HttpProblem(404, "not found")
    if status == statuses.WORKITEM_WRONG_TRANSACTION_UID:
        words = _MISSING if "missing" in verdict.reason else _INCORRECT
        raise HttpProblem(400, verdict.reason, warning([words]))
    if status in _CONFLICTS:
        final = updating and status == statuses.WORKITEM_MAY_NOT_BE_UPDATED
        words = _UNCLAIMED if status == statuses.WORKITEM_NOT_IN_PROGRESS else _INCONSISTENT
        raise HttpProblem(400 if final else 409, verdict.reason, warning([words]))
    raise HttpProblem(400, verdict.reason)
