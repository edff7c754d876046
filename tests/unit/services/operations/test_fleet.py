"""What processes report of themselves comes to what the archive is like, in any order."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from gantry.common.events import ProcessReported, StoreSpace
from gantry.services.operations.fleet import Fleet, missing

SECOND = 1_000_000
FIRST = ProcessReported("default", "", "a:1", "a", ("ingest",), "0.2.0", 1 * SECOND, 100 * SECOND)


def listed(*reports: ProcessReported, now: int = 110 * SECOND) -> list[tuple[str, str]]:
    fleet = Fleet()
    for report in reports:
        fleet.take(report)
    return [(process["process"], process["state"]) for process in fleet.listed(now, 30.0)]


def test_the_newest_report_of_each_process_counts_whatever_comes_first() -> None:
    later = replace(FIRST, at=105 * SECOND, problems=("index: away",))
    other = replace(FIRST, process="b:1", host="b", roles=("query",))
    for reports in permutations([FIRST, later, other]):
        assert listed(*reports) == [("a:1", "troubled"), ("b:1", "ready")]


def test_a_process_that_says_nothing_is_silent_and_one_that_ended_is_gone() -> None:
    assert listed(FIRST, now=131 * SECOND) == [("a:1", "silent")]
    assert listed(FIRST, replace(FIRST, at=101 * SECOND, ended=True)) == []
    assert listed(FIRST, now=(100 + 3601) * SECOND) == []


def test_one_that_died_is_replaced_by_one_that_began_after_it_on_its_host() -> None:
    after = replace(FIRST, process="a:2", started_at=140 * SECOND, at=141 * SECOND)
    assert listed(FIRST, after, now=145 * SECOND) == [("a:2", "ready")]
    # Beside it, it is another one: of the same host, of another role, or elsewhere.
    for beside in (
        replace(after, started_at=2 * SECOND),
        replace(after, roles=("query",)),
        replace(after, host="b", process="b:2"),
    ):
        assert ("a:1", "silent") in listed(FIRST, beside, now=145 * SECOND)


def test_what_no_living_process_plays_is_missing() -> None:
    fleet = Fleet()
    fleet.take(replace(FIRST, spaces=(StoreSpace("log", 1, 2),)))
    fleet.take(replace(FIRST, process="b:1", roles=("query",), at=50 * SECOND))
    processes = fleet.listed(110 * SECOND, 30.0)
    assert missing(processes, ("ingest", "query", "indexer")) == ["indexer", "query"]
    assert processes[0]["spaces"] == [{"store": "log", "free": 1, "size": 2}]
