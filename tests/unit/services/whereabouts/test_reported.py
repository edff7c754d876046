"""Reports on studies among what happened to them."""

from __future__ import annotations

from gantry.common.events import OrderErased, OrderPlaced, OrderReported
from gantry.services.whereabouts.account import Occurrence
from gantry.services.whereabouts.reported import ReportsOf


def reported(status: str, at: int, change: str, study: str = "1.2") -> OrderReported:
    return OrderReported("default", "", "A1", change, "hl7 RIS^H", "M", at, b"", status, (study, "1.9"), "k", 3, "d")


def test_reports_that_were_taken_are_named_once_and_those_that_were_refused_are_not() -> None:
    reports = ReportsOf({"1.2", "1.3"})
    for event in (
        reported("preliminary", 1, "a"),
        reported("final", 2, "b"),
        reported("final", 2, "b"),
        reported("preliminary", 3, "c"),
        reported("of a newer release", 4, "d"),
    ):
        reports.take(event)
    assert reports.of("1.2") == [
        Occurrence(1, "reported: preliminary, order A1", 0, "hl7 RIS^H"),
        Occurrence(2, "reported: final, order A1", 0, "hl7 RIS^H"),
    ]
    assert (reports.of("1.3"), reports.of("1.9")) == ([], [])


def test_draft_after_the_order_was_placed_anew_or_erased_is_none_that_was_refused() -> None:
    """It may be of another patient now, whose report is a draft."""
    for between in (
        OrderPlaced("default", "", "A1", "p", "hl7 RIS^H", "M", 3, b""),
        OrderErased("default", "", "A1", "e", "by", "", 3, "b", (), "the law"),
    ):
        reports = ReportsOf({"1.2"})
        for event in (reported("final", 1, "a"), between, reported("preliminary", 4, "b")):
            reports.take(event)
        assert [one.at for one in reports.of("1.2")] == [1, 4]
