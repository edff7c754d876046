"""Lists all studies of an archive that limits its matches: splits time ranges until each answer is complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta

from gantry.cli.importing.model import Study

FIRST = date(1970, 1, 1)
_DAY = 24 * 60
_TIMELESS = "studies without a Study Time, on days with more studies than the source returns at once"


@dataclass(frozen=True, slots=True)
class WindowAnswer:
    """Matches of one query. `cut`: there may be more."""

    studies: list[Study]
    cut: bool


Ask = Callable[[str, str], Awaitable[WindowAnswer]]
"""A query with a range of Study Date and one of Study Time; "" matches any value, and none."""


@dataclass(slots=True)
class ListingCompleteness:
    """Whether all studies were listed; `doubts` says in words what may be missing."""

    doubts: list[str]


async def all_studies(
    ask: Ask, first: date, last: date, complete: ListingCompleteness, *, dated: bool
) -> AsyncIterator[Study]:
    """Every study of these days, each once. With `dated`, studies without a Study Date are left out."""
    seen: set[str] = set()

    def new(studies: list[Study]) -> list[Study]:
        new_studies = [study for study in studies if study.uid not in seen]
        seen.update(study.uid for study in new_studies)
        return new_studies

    if not dated:
        answer = await ask("", "")
        for study in new(answer.studies):
            yield study
        if not answer.cut:
            return
        complete.doubts.append("studies without a Study Date: the source does not return all studies at once")
    spans = [(first, last)]
    while spans:
        since, until = spans.pop()
        answer = await ask(f"{since:%Y%m%d}-{until:%Y%m%d}", "")
        for study in new(answer.studies):
            yield study
        if not answer.cut:
            continue
        if since < until:
            middle = since + (until - since) // 2
            spans += [(middle + timedelta(days=1), until), (since, middle)]
            continue
        if _TIMELESS not in complete.doubts:
            complete.doubts.append(_TIMELESS)
        async for study in _of_day(ask, since, complete):
            for new_study in new([study]):
                yield new_study


async def _of_day(ask: Ask, day: date, complete: ListingCompleteness) -> AsyncIterator[Study]:
    """The studies of one day, by minutes."""
    spans = [(0, _DAY - 1)]
    while spans:
        since, until = spans.pop()
        answer = await ask(f"{day:%Y%m%d}", f"{_time(since)}00-{_time(until)}59")
        for study in answer.studies:
            yield study
        if answer.cut and since < until:
            middle = (since + until) // 2
            spans += [(middle + 1, until), (since, middle)]
        elif answer.cut:
            complete.doubts.append(f"studies of {day:%Y-%m-%d} at {_time(since)}: more than the source returns")


def _time(minute: int) -> str:
    return f"{minute // 60:02d}{minute % 60:02d}"
