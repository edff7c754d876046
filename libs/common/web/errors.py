"""Errors as HTTP answers: a status and one line of text, never a stack trace, never content of the request."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.common.errors import (
    Archived,
    Conflicting,
    DependencyUnavailable,
    GantryError,
    Held,
    IdentifierError,
    NotAuthorised,
    NotFound,
    QuotaReached,
    RefusedDataSet,
    TooLarge,
)
from gantry.common.statuses import OUT_OF_RESOURCES

RETRY_AFTER_SECONDS = 5


class HttpProblem(GantryError):
    """A request that is answered with `status` (PS3.18 8.5) and a line of text."""

    def __init__(self, status: int, line: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(line)
        self.status = status
        self.line = line
        self.headers = dict(headers or {})


def problem_of(error: GantryError) -> HttpProblem:
    """The HTTP answer to an error."""
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, DependencyUnavailable | QuotaReached):
        return HttpProblem(503, str(error), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    if isinstance(error, Archived):
        return HttpProblem(503, str(error), {"Retry-After": str(error.retry_after)})
    if isinstance(error, NotFound):
        return HttpProblem(404, "not found")
    if isinstance(error, Held | Conflicting):
        return HttpProblem(409, str(error))
    if isinstance(error, IdentifierError):
        return HttpProblem(413 if error.dicom_status == OUT_OF_RESOURCES else 400, str(error))
    if isinstance(error, NotAuthorised):
        return HttpProblem(403, str(error))
    if isinstance(error, TooLarge):
        return HttpProblem(413, str(error))
    if isinstance(error, RefusedDataSet):
        return HttpProblem(409, str(error))
    return HttpProblem(500, "internal error")
