"""Listing an archive that gives only so many matches for one question."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from gantry.cli.importing.model import Study
from gantry.cli.importing.windows import ListingCompleteness, WindowAnswer, all_studies

DATES = st.one_of(st.just(""), st.dates(date(2019, 12, 30), date(2020, 1, 3)).map("{:%Y%m%d}".format))
TIMES = st.one_of(st.just(""), st.times().map("{:%H%M%S}".format))


class Few:
    """An archive with studies by date and time, that gives `most` matches at once."""

    def __init__(self, studies: list[tuple[str, str]], most: int) -> None:
        self.studies = [(f"1.2.{number}", *when) for number, when in enumerate(studies)]
        self.most = most

    async def ask(self, dates: str, times: str) -> WindowAnswer:
        uids = [uid for uid, day, time in self.studies if within(day, dates) and within(time, times)]
        return WindowAnswer([Study(uid, {}) for uid in uids[: self.most]], len(uids) >= self.most)


def within(value: str, window: str) -> bool:
    since, dash, until = window.partition("-")
    return not window or (bool(value) and (since <= value <= until if dash else value == since))


@given(st.lists(st.tuples(DATES, TIMES), max_size=40), st.integers(2, 12))
async def test_every_study_with_a_date_is_listed_once_or_it_is_said_that_some_may_lack(
    studies: list[tuple[str, str]], most: int
) -> None:
    archive, complete = Few(studies, most), ListingCompleteness([])
    first, last = date(1970, 1, 1), date(2020, 6, 1)
    listed = [study.uid async for study in all_studies(archive.ask, first, last, complete, dated=False)]
    assert len(listed) == len(set(listed))
    lacking = [study for study in archive.studies if study[0] not in listed]
    timed = [study for study in lacking if study[1] and study[2]]
    assert not timed or any("more than the source returns" in doubt for doubt in complete.doubts)
    assert not lacking or complete.doubts


async def test_with_dates_given_no_study_beyond_them_is_asked_for() -> None:
    archive = Few([("20200101", "101500"), ("20210101", "101500"), ("", "")], 50)
    days = date(2020, 1, 1), date(2020, 12, 31)
    listed = [study.uid async for study in all_studies(archive.ask, *days, ListingCompleteness([]), dated=True)]
    assert listed == ["1.2.0"]
