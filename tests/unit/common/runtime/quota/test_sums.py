"""What an archive holds, added up from counts, listings and what a process stores itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.ids import FOLDER_MS
from gantry.common.runtime.quota.sums import StoredCount, StoredSums, covered_to, folder_of
from tests.support.long import examples

FOLDER_US = FOLDER_MS * 1000
NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000


def list_all(sums: StoredSums, lying: dict[int, int], now: int) -> list[tuple[int, int]]:
    """One round of listings over a store that holds `lying` bytes by folder."""
    runs = sums.due(now)
    for first, last in runs:
        own = sums.listing(first, last)
        sums.listed(first, last, {f: size for f, size in lying.items() if first <= f <= last}, own, now)
    return runs


def test_a_count_and_what_came_since_it_is_added_up() -> None:
    sums = StoredSums()
    sums.counted(StoredCount(NOW, NOW + 1, 1000))
    since = covered_to(NOW)
    assert list_all(sums, {since - 1: 7, since: 20, folder_of(NOW): 300}, NOW) == [(since, folder_of(NOW) + 1)]
    assert sums.used == 1320


def test_a_count_leaves_the_hour_before_it_began_to_listings() -> None:
    assert covered_to(NOW) <= folder_of(NOW - HOUR)
    assert covered_to(NOW) >= folder_of(NOW - HOUR) - 1
    assert covered_to(0) == 0


def test_what_is_stored_counts_at_once_and_once() -> None:
    sums = StoredSums()
    sums.begin(NOW)
    folder = folder_of(NOW)
    sums.reserve(50)
    assert sums.used == 50
    sums.store(50, folder)
    assert sums.used == 50
    list_all(sums, {folder: 55}, NOW)  # as it lies there
    assert sums.used == 55
    list_all(sums, {folder: 55}, NOW)
    assert sums.used == 55


def test_what_was_not_stored_does_not_count() -> None:
    sums = StoredSums()
    sums.begin(NOW)
    sums.reserve(50)
    sums.release(50)
    assert sums.used == 0


def test_what_is_stored_while_a_listing_runs_is_not_lost_by_it() -> None:
    sums = StoredSums()
    sums.begin(NOW)
    folder = folder_of(NOW)
    sums.reserve(50)
    sums.store(50, folder)
    ((first, last),) = sums.due(NOW)
    own = sums.listing(first, last)
    sums.reserve(30)
    sums.store(30, folder)
    sums.listed(first, last, {folder: 50}, own, NOW)
    assert sums.used == 80
    list_all(sums, {folder: 80}, NOW)
    assert sums.used == 80


def test_an_object_that_took_long_is_found_by_a_listing_of_its_folder() -> None:
    """Its folder is that of its first byte: not one of the newest."""
    sums = StoredSums()
    sums.begin(NOW)
    list_all(sums, {}, NOW)
    slow = folder_of(NOW) - 3
    sums.reserve(50)
    sums.store(50, slow)
    later = NOW + 10 * FOLDER_US
    list_all(sums, {}, later - FOLDER_US)  # not found: perhaps another turn's
    sums.reserve(50)
    sums.store(50, slow)
    runs = list_all(sums, {slow: 100}, later)
    assert (slow, slow) in runs
    assert sums.used == 100


def test_what_came_after_the_last_look_is_found_however_long_ago_that_was() -> None:
    sums = StoredSums()
    sums.begin(NOW)
    list_all(sums, {}, NOW)
    list_all(sums, {folder_of(NOW): 50}, NOW + 2 * FOLDER_US)
    assert sums.used == 50


def test_what_is_gone_from_an_older_folder_is_noticed_in_turn() -> None:
    sums = StoredSums()
    sums.counted(StoredCount(NOW, NOW, 0))
    later = NOW + 20 * FOLDER_US
    old = folder_of(NOW) + 1
    list_all(sums, {old: 500}, later)
    assert sums.used == 500
    rounds = 0
    while sums.used:
        runs = list_all(sums, {}, later)
        assert len(runs) <= 2
        rounds += 1
    assert rounds <= 25


def test_a_newer_count_takes_the_place_of_listings_and_an_older_one_changes_nothing() -> None:
    sums = StoredSums()
    sums.counted(StoredCount(NOW, NOW, 1000))
    later = NOW + 40 * FOLDER_US
    lying = {folder_of(NOW): 10, folder_of(later): 20}
    list_all(sums, lying, later)
    assert sums.used == 1030
    sums.counted(StoredCount(later, later, 1010))
    assert sums.used == 1030
    sums.counted(StoredCount(NOW, NOW, 1000))
    list_all(sums, lying, later)
    assert sums.used == 1030


def test_the_first_count_has_what_came_before_this_process_listed_too() -> None:
    sums = StoredSums()
    now = NOW + 100 * FOLDER_US
    sums.begin(now)
    old = folder_of(NOW)
    list_all(sums, {old: 500, folder_of(now): 5}, now)
    assert sums.used == 5
    sums.counted(StoredCount(NOW, NOW, 1000))
    list_all(sums, {old: 500, folder_of(now): 5}, now)
    assert sums.used == 1505


def test_nothing_is_listed_before_it_is_known_from_where() -> None:
    assert StoredSums().due(NOW) == []


# ---- whatever the order


@dataclass
class World:
    """A store, an index that follows it within the margin, counts, and two processes that are started again."""

    now: int = NOW
    stored: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Received, stored, indexed (microseconds) and bytes."""
    begun: int | None = None
    newest: StoredCount | None = None
    processes: list[StoredSums] = field(default_factory=lambda: [StoredSums(), StoredSums()])

    def store(self, process_number: int, size: int, took: int, lag: int) -> None:
        received, sums = self.now - took, self.processes[process_number]
        sums.reserve(size)
        sums.store(size, folder_of(received))
        self.stored.append((received, self.now, self.now + lag, size))

    def end_count(self) -> None:
        if self.begun is not None:
            # The index was walked at some time since the count began: the earliest is the least it has seen.
            seen = [row for row in self.stored if row[2] <= self.begun]
            settled = sum(size for received, _, _, size in seen if folder_of(received) < covered_to(self.begun))
            self.newest = StoredCount(self.begun, self.now, settled)
            self.begun = None

    def look(self, process_number: int) -> StoredSums:
        sums = self.processes[process_number]
        if self.newest is not None:
            sums.counted(self.newest)
        lying: dict[int, int] = {}
        for received, _, _, size in self.stored:
            lying[folder_of(received)] = lying.get(folder_of(received), 0) + size
        list_all(sums, lying, self.now)
        return sums


STEPS = st.one_of(
    st.tuples(
        st.just("store"), st.integers(0, 1), st.integers(1, 1000), st.integers(0, HOUR // 4), st.integers(0, HOUR // 4)
    ),
    st.tuples(st.just("wait"), st.integers(0, 3 * HOUR)),
    st.tuples(st.just("begin")),
    st.tuples(st.just("end")),
    st.tuples(st.just("look"), st.integers(0, 1)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
)


@settings(max_examples=examples(400))
@given(st.lists(STEPS, max_size=60))
def test_what_is_used_is_never_less_than_what_lies_there(steps: list[tuple[object, ...]]) -> None:
    """After a look, of what was there at the look, whoever stored it; but for slow objects of others, which the listing
    in turn finds."""
    world = World()
    world.begun = world.now
    world.end_count()
    for step in steps:
        match step:
            case ("store", int(process_number), int(size), int(took), int(lag)):
                world.store(process_number, size, min(took, FOLDER_US), lag)
            case ("wait", int(duration)):
                world.now += duration
            case ("begin",):
                world.begun = world.now if world.begun is None else world.begun
            case ("end",):
                world.end_count()
            case ("look", int(process_number)):
                assert world.look(process_number).used >= sum(size for *_, size in world.stored)
            case ("restart", int(process_number)):
                world.processes[process_number] = StoredSums()
    for process_number in (0, 1):
        restarted = world.processes[process_number] = StoredSums()
        assert world.look(process_number) is restarted
        # Nothing here is deleted or sent twice: then it is what lies there, to the byte.
        assert restarted.used == sum(size for *_, size in world.stored)


@pytest.mark.parametrize("stored_in", [-1, 0, 1])
def test_between_two_looks_a_process_knows_what_it_stores_itself(stored_in: int) -> None:
    sums = StoredSums()
    sums.counted(StoredCount(NOW, NOW, 5))
    list_all(sums, {}, NOW)
    for _ in range(3):
        sums.reserve(10)
        sums.store(10, folder_of(NOW) + stored_in)
    assert sums.used == 35
