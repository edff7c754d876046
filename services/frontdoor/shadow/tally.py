"""Counts of comparisons: of one day at one process of the door, of many together, and the verdict on the switch.

Pure: time is an argument.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.common.amounts import counted

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends of the classes of answer times, in seconds; the last class is open."""
SIDES = ("gantry", "other")
MOST_EXAMPLES = 20
"""Examples of one operation and kind that are kept for a day."""
WEEKS_DAYS = 14
"""Days with traffic that a verdict in favour of the switch needs."""
_MUCH_GIVEN_UP = 0.01


@dataclass(frozen=True, slots=True)
class Example:
    """One difference to examine. `at` is in microseconds since the epoch."""

    at: int
    operation: str
    kind: str
    calling: str
    words: str = ""
    uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """The content of the spool of one process of the door (`door`) at a time; times in microseconds since the epoch."""

    door: str
    at: int
    objects: int = 0
    bytes: int = 0
    oldest: int = 0


@dataclass(slots=True)
class ComparisonTally:
    """The counts of comparisons. `waiting` is the content of each spool, by door, and `taken_over` names the doors
    whose spools others took over. `differences` counts answers by operation and kind; `seconds` counts, for each
    operation and side, the answers in each class of `BOUNDS`."""

    first: int = 0
    last: int = 0
    days: set[str] = field(default_factory=set)
    same: Counter[str] = field(default_factory=Counter)
    different: Counter[str] = field(default_factory=Counter)
    differences: Counter[tuple[str, str]] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    not_mirrored: Counter[str] = field(default_factory=Counter)
    seconds: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    taken_over: set[str] = field(default_factory=set)

    def add_time(self, at: int, day: str) -> None:
        """Record that something was counted, at microseconds since the epoch, on a day as `2026-11-29`."""
        self.first = self.first or at
        self.last = max(self.last, at)
        self.days.add(day)

    def add_seconds(self, operation: str, side: str, seconds: float) -> None:
        """Count the time of an answer of one side."""
        classes = self.seconds.setdefault((operation, side), [0] * (len(BOUNDS) + 1))
        classes[bisect_left(BOUNDS, seconds)] += 1

    def example(self, example: Example) -> None:
        """Keep an example, unless there are enough of its kind."""
        kind = example.operation, example.kind
        if sum(1 for example in self.examples if (example.operation, example.kind) == kind) < MOST_EXAMPLES:
            self.examples.append(example)

    @property
    def compared(self) -> int:
        """How many answers were compared."""
        return self.same.total() + self.different.total()

    @property
    def waits(self) -> Waiting:
        """The content of all spools together, as last reported."""
        queues = [queue for door, queue in self.waiting.items() if door not in self.taken_over]
        return Waiting(
            "",
            max((queue.at for queue in queues), default=0),
            sum(queue.objects for queue in queues),
            sum(queue.bytes for queue in queues),
            min((queue.oldest for queue in queues if queue.oldest), default=0),
        )

    @property
    def operations(self) -> list[str]:
        """The operations that were compared."""
        return sorted(self.same.keys() | self.different.keys())

    def quantile(self, operation: str, side: str, share: float) -> float | None:
        """The seconds within which this share of requests was answered, as the upper end of its class; None without an
        answer, infinite beyond the last bound."""
        classes = self.seconds.get((operation, side), [])
        wanted, so_far = share * sum(classes), 0
        for number, count in enumerate(classes):
            so_far += count
            if count and so_far >= wanted:
                return BOUNDS[number] if number < len(BOUNDS) else float("inf")
        return None

    # ---- as it is saved

    def to_json(self) -> bytes:
        """The saved form."""
        return json.dumps(
            {
                "version": 1,
                "first": self.first,
                "last": self.last,
                "days": sorted(self.days),
                "same": self.same,
                "different": self.different,
                "differences": _nested(self.differences),
                "given_up": self.given_up,
                "not_mirrored": self.not_mirrored,
                "seconds": [[*key, classes] for key, classes in sorted(self.seconds.items())],
                "examples": [
                    [example.at, example.operation, example.kind, example.calling, example.words, list(example.uids)]
                    for example in self.examples
                ],
                "waiting": [
                    [queue.door, queue.at, queue.objects, queue.bytes, queue.oldest] for queue in self.waiting.values()
                ],
                "taken_over": sorted(self.taken_over),
            },
            ensure_ascii=False,
        ).encode()

    @staticmethod
    def from_json(data: bytes) -> ComparisonTally:
        """Raises `ValueError` for invalid data, or data of a later version."""
        try:
            saved: Mapping[str, Any] = json.loads(data)
            if saved["version"] != 1:
                raise ValueError(f"counts of version {saved['version']}")
            return ComparisonTally(
                first=int(saved["first"]),
                last=int(saved["last"]),
                days=set(saved["days"]),
                same=Counter(saved["same"]),
                different=Counter(saved["different"]),
                differences=Counter(
                    {
                        (operation, kind): n
                        for operation, kinds in saved["differences"].items()
                        for kind, n in kinds.items()
                    }
                ),
                given_up=Counter(saved["given_up"]),
                not_mirrored=Counter(saved["not_mirrored"]),
                seconds={(operation, side): list(classes) for operation, side, classes in saved["seconds"]},
                examples=[
                    Example(at, operation, kind, calling, words, tuple(uids))
                    for at, operation, kind, calling, words, uids in saved["examples"]
                ],
                # Counts from releases before the spool have neither.
                waiting={
                    str(door): Waiting(str(door), int(at), int(objects), int(count), int(oldest))
                    for door, at, objects, count, oldest in saved.get("waiting", [])
                },
                taken_over={str(door) for door in saved.get("taken_over", [])},
            )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError("no counts of comparisons") from error


def added_up(tallies: Iterable[ComparisonTally]) -> ComparisonTally:
    """The sum of tallies, with the newest examples."""
    whole = ComparisonTally()
    examples: list[Example] = []
    for tally in tallies:
        whole.first = min(filter(None, (whole.first, tally.first)), default=0)
        whole.last = max(whole.last, tally.last)
        whole.days |= tally.days
        for mine, theirs in (
            (whole.same, tally.same),
            (whole.different, tally.different),
            (whole.given_up, tally.given_up),
            (whole.not_mirrored, tally.not_mirrored),
        ):
            mine.update(theirs)
        whole.differences.update(tally.differences)
        for key, classes in tally.seconds.items():
            known = whole.seconds.setdefault(key, [0] * (len(BOUNDS) + 1))
            whole.seconds[key] = [a + b for a, b in zip(known, classes, strict=False)]
        examples += tally.examples
        whole.taken_over |= tally.taken_over
        for door, waiting in tally.waiting.items():
            if door not in whole.waiting or whole.waiting[door].at < waiting.at:
                whole.waiting[door] = waiting
    for example in sorted(examples, key=lambda candidate: -candidate.at):
        whole.example(example)
    return whole


def verdict(tally: ComparisonTally) -> list[str]:
    """The verdict on the switch, in sentences; the first one is the sum, the last one the verdict."""
    given_up = tally.given_up.total()
    if not tally.compared:
        return [
            "Nothing was compared yet.",
            *(
                [f"{counted(given_up, 'association or message', 'associations or messages')} were given up."]
                * bool(given_up)
            ),
        ]
    different = tally.different.total()
    lines = [
        f"In {counted(len(tally.days), 'day')} {different:,} of {tally.compared:,} answers "
        f"{'was' if different == 1 else 'were'} different ({_percent(different, tally.compared)})."
    ]
    against: list[str] = []
    for (operation, kind), count in tally.differences.most_common(3):
        against.append(f"{operation}: {kind.replace('_', ' ')} {'once' if count == 1 else f'{count:,} times'}")
    if given_up > _MUCH_GIVEN_UP * tally.compared:
        (reason, count) = tally.given_up.most_common(1)[0]
        against.append(f"{given_up:,} were given up, most of them for: {reason.replace('_', ' ')} ({count:,})")
    if len(tally.days) < WEEKS_DAYS:
        against.append(f"there was traffic on {counted(len(tally.days), 'day')}, not on {WEEKS_DAYS} yet")
    if against:
        return [*lines, f"Before the switch, look into this: {'; '.join(against)}."]
    return [*lines, "The comparisons show nothing against the switch."]


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "none" if not part else f"{share:.2f} %" if share >= 0.01 else "less than 0.01 %"


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(counts.items()):
        groups.setdefault(first, {})[second] = count
    return groups
