"""`gantry.common.workitems.reports`: the events of PS3.4 table CC.2.4-1."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.workitems import Workitem, WorkitemEvent, fold_workitem
from gantry.common.workitems.reports import EventType, WorkitemReport, reports_of
from tests.support.orders import attributes
from tests.support.workitems import MINE, cancel, code, created, done, erased, set_, state, subscribed, why


def after(events: Sequence[WorkitemEvent]) -> Workitem:
    standing: Workitem | None = None
    for event in events:
        standing = fold_workitem(standing, event).state
    assert standing is not None
    return standing


def reports(*events: WorkitemEvent) -> list[WorkitemReport]:
    """Those of the last event."""
    return reports_of(events[-1], after(events))


def state_report(value: str, readiness: str = "READY") -> WorkitemReport:
    return WorkitemReport(EventType.STATE, attributes(ProcedureStepState=value, InputReadinessState=readiness))


def test_each_new_state_is_reported() -> None:
    claimed = created(), state("IN PROGRESS")
    assert reports(created()) == [state_report("SCHEDULED")]
    assert reports(*claimed) == [state_report("IN PROGRESS")]
    assert reports(*claimed, set_(done()), state("COMPLETED")) == [state_report("COMPLETED")]
    assert reports(created(), cancel()) == [state_report("CANCELED")]


def test_what_happened_is_reported_as_it_was_however_late() -> None:
    now = after([created(), state("IN PROGRESS"), set_(done()), state("COMPLETED", change="end")])
    assert reports_of(created(), now) == [state_report("SCHEDULED")]
    assert reports_of(state("IN PROGRESS"), now) == [state_report("IN PROGRESS")]


def test_who_performs_it_hears_of_a_cancellation_that_is_requested() -> None:
    (report,) = reports(created(), state("IN PROGRESS"), cancel(attributes(ReasonForCancellation="late")))
    assert report.type is EventType.CANCEL_REQUESTED
    assert report.information == attributes(ReasonForCancellation="late", RequestingAE="RIS")


def test_progress_assignment_and_readiness_are_reported() -> None:
    station = {TAGS["ScheduledStationNameCodeSequence"]: [code("W2", "Worker")]}
    progress = why()
    assert reports(created(), state("IN PROGRESS"), set_({**progress, **station})) == [
        WorkitemReport(EventType.PROGRESS, progress),
        WorkitemReport(EventType.ASSIGNED, station),
    ]
    waits = attributes(InputReadinessState="INCOMPLETE")
    assert reports(created(), set_(waits, "")) == [state_report("SCHEDULED", "INCOMPLETE")]
    assert reports(created(), state("IN PROGRESS"), set_(waits, MINE)) == [state_report("IN PROGRESS", "INCOMPLETE")]
    assert reports(created(), set_(attributes(ProcedureStepLabel="New"), "")) == []


def test_whoever_subscribes_is_told_how_it_stands() -> None:
    standing = after([created(), state("IN PROGRESS")])
    assert reports_of(subscribed(), standing) == [state_report("IN PROGRESS")]
    assert reports_of(erased(), standing) == []
