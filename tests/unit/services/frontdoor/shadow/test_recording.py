"""What comes of a comparison: metrics, counts and log lines."""

from __future__ import annotations

from gantry.common.clock import ManualClock
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind
from gantry.services.frontdoor.shadow.recording import Recorder


def test_every_comparison_is_counted_once_and_its_differences_by_kind() -> None:
    metrics, clock = Metrics(), ManualClock()
    recorder = Recorder(clock, metrics)
    recorder.compared("C-FIND", "WARD", [], {"gantry": 0.1, "other": 0.2})
    differences = [
        AnswerDifference(DifferenceKind.ONLY_OTHER, 3, "", ("1.2",)),
        AnswerDifference(DifferenceKind.STATUS, 1, "words"),
    ]
    recorder.compared("C-FIND", "WARD", differences, {"gantry": 0.1, "other": 0.2})
    (day,) = recorder.days.values()
    assert (day.same["C-FIND"], day.different["C-FIND"]) == (1, 1)
    assert day.differences == {("C-FIND", "only_other"): 1, ("C-FIND", "status"): 1}
    assert [(example.kind, example.uids) for example in day.examples] == [("only_other", ("1.2",)), ("status", ())]
    assert metrics.shadow_compared.labels("C-FIND", "different")._value.get() == 1
    assert metrics.shadow_differences.labels("C-FIND", "status")._value.get() == 1
    assert metrics.shadow_seconds.labels("C-FIND", "other")._sum.get() == 0.4


def test_what_was_not_compared_is_counted_by_its_reason() -> None:
    metrics = Metrics()
    recorder = Recorder(ManualClock(), metrics, "north")
    recorder.given_up("busy", "WARD")
    recorder.not_mirrored("C-MOVE")
    recorder.reached(False)
    for process_recorder in (recorder, Recorder(ManualClock(), metrics, "south"), recorder):
        process_recorder.opened()
    recorder.closed()
    (day,) = recorder.days.values()
    assert (day.given_up["busy"], day.not_mirrored["C-MOVE"]) == (1, 1)
    assert metrics.shadow_given_up.labels("busy")._value.get() == 1
    assert metrics.shadow_not_mirrored.labels("C-MOVE")._value.get() == 1
    assert metrics.shadow_reached.labels("north")._value.get() == 0
    assert metrics.shadow_open._value.get() == 2


def test_a_new_day_begins_new_counts() -> None:
    clock = ManualClock()
    recorder = Recorder(clock, Metrics())
    recorder.not_mirrored("C-MOVE")
    clock.advance(24 * 3600)
    recorder.not_mirrored("C-MOVE")
    assert len(recorder.days) == 2
    assert recorder.unsaved == set(recorder.days)
