"""Callers, results, refusals and amounts, from records of associations."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.events import AssociationEnded, AssociationRefused, RequestAnswers
from gantry.services.operations.seen import Seen

DAY = 24 * 3600 * 1_000_000
NOW = 100 * DAY + 1000
CT = AssociationEnded(
    "default", "t", "all", "CT1", "GANTRY", "192.0.2.8", False, NOW - 900, NOW - 800, "released", 5000, 10
)
REFUSED = AssociationRefused("default", "", "all", "X", "GANTRY", "192.0.2.9", 1, 1, 3, "not known", NOW - 500, 3)


def test_the_last_contact_and_the_last_error_of_a_caller_are_told_apart() -> None:
    seen = Seen()
    failed = replace(CT, ended_at=NOW - 700, answers=(RequestAnswers("C-STORE", 0xA700, 2, "index unavailable"),))
    for event in (replace(CT, ended_at=NOW - 100), failed, CT):
        seen.take(event)
    caller = seen.callers["CT1"]
    assert (caller.at, caller.outcome, caller.associations) == (NOW - 100, "released", 3)
    assert (caller.error, caller.error_at) == ("C-STORE answered A700H: index unavailable", NOW - 700)
    seen.take(replace(CT, ended_at=NOW - 50, outcome="aborted by peer"))
    assert seen.callers["CT1"].error == "association aborted by peer"


def test_refusals_of_one_kind_are_one_with_their_number() -> None:
    seen = Seen()
    for event in (REFUSED, replace(REFUSED, at=NOW - 10, times=2), replace(REFUSED, why="called AE title is not ours")):
        seen.take(event)
    assert {(refusal.why, refusal.times, refusal.at) for refusal in seen.refused.values()} == {
        ("not known", 5, NOW - 10),
        ("called AE title is not ours", 3, NOW - 500),
    }


def test_what_came_is_told_by_day_and_forgotten_with_the_records() -> None:
    seen = Seen()
    for days in (0, 1, 7, 8):
        seen.take(replace(CT, ended_at=NOW - days * DAY))
    seen.take(replace(CT, calling_ae_title="MR1", ended_at=NOW - DAY, bytes_in=50_000))
    assert seen.received(NOW) == [
        {"ae_title": "MR1", "today": 0, "week": 50_000},
        {"ae_title": "CT1", "today": 5000, "week": 10_000},
    ]
    seen.take(REFUSED)
    seen.forget(NOW + 15 * DAY)
    assert (seen.callers, seen.refused) == ({}, {})


def test_strangers_cannot_fill_the_memory() -> None:
    seen = Seen()
    for number in range(2100):
        seen.take(replace(CT, calling_ae_title=f"A{number}", ended_at=NOW + number))
        seen.take(replace(REFUSED, calling_ae_title=f"A{number}", at=NOW + number))
    assert len(seen.callers) == 2000
    assert len(seen.refused) == 500
    assert "A2099" in seen.callers
    assert "A0" not in seen.callers
