"""Which studies something arrives for, and when nothing more is expected: a quiet period (pure; time is an argument).

What has been read of the log may be forgotten only up to the first arrival of a study that is still open: whoever goes
on after a crash reads those anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gantry.common.lifecycle.held_back import HeldBack, LogPlace


class CompletionReason(StrEnum):
    """Why nothing more is expected."""

    QUIET = "quiet"
    """Nothing has come for the quiet period."""
    LONG = "long"
    """Something came all the time, for longer than a study stays open."""


@dataclass(slots=True, eq=False)
class OpenStudy:
    """What came of a study since it was complete last. Times are in microseconds."""

    partition: str
    study_instance_uid: str
    begun: int
    last: int
    first_receipt: str
    last_receipt: str
    trace: str
    instances: set[tuple[str, str]] = field(default_factory=set)
    """Series and SOP Instance UIDs."""
    senders: set[str] = field(default_factory=set)
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object of a study came, at a time in microseconds."""

    partition: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    receipt: str
    trace: str
    at: int
    sender: str = ""


class Arrivals:
    """The open studies. `quiet` and `longest` are in microseconds."""

    def __init__(self, quiet: int, longest: int) -> None:
        self._quiet = quiet
        self._longest = longest
        self._open: dict[tuple[str, str], OpenStudy] = {}
        self._held = HeldBack[OpenStudy](lambda study: study.closed)

    def __len__(self) -> int:
        return len(self._open)

    def take(self, place: LogPlace, offset: int, arrival: Arrival | None) -> None:
        """The next record of a place; None for one that is about something else."""
        study = None if arrival is None else self._noted(arrival)
        self._held.take(place, offset, study)

    def _noted(self, arrival: Arrival) -> OpenStudy:
        key = arrival.partition, arrival.study_instance_uid
        study = self._open.get(key)
        if study is None:
            study = self._open[key] = OpenStudy(
                *key, arrival.at, arrival.at, arrival.receipt, arrival.receipt, arrival.trace
            )
        if arrival.at >= study.last:
            study.last, study.trace = arrival.at, arrival.trace
        # Several processes name receipts by their own clocks: the last one read need not be the last one by name.
        study.first_receipt = min(study.first_receipt, arrival.receipt)
        study.last_receipt = max(study.last_receipt, arrival.receipt)
        study.begun = min(study.begun, arrival.at)
        study.instances.add((arrival.series_instance_uid, arrival.sop_instance_uid))
        study.senders.add(arrival.sender)
        return study

    def was_complete(self, partition: str, study: str, first_receipt: str, last_receipt: str, added: int) -> None:
        """Somebody said that a study is complete, with so many instances from one receipt to another: before a crash,
        or before the log was lost. Where that is what has come, it does not make it complete once more. Receipts alone
        do not tell: that of a large object is older than small ones which came while it did."""
        known = self._open.get((partition, study))
        if known is None:
            return
        if (known.first_receipt, known.last_receipt, len(known.instances)) == (first_receipt, last_receipt, added):
            self.close(known)

    def due(self, now: int) -> list[tuple[OpenStudy, CompletionReason]]:
        """The studies that are complete now, and why."""
        return [(study, why) for study in self._open.values() if (why := self._why(study, now)) is not None]

    def next_due(self) -> int | None:
        """When the next one will be, if nothing comes before; None where none is open."""
        return min((self._at(study) for study in self._open.values()), default=None)

    def _at(self, study: OpenStudy) -> int:
        return min(study.last + self._quiet, study.begun + self._longest)

    def _why(self, study: OpenStudy, now: int) -> CompletionReason | None:
        if now >= study.last + self._quiet:
            return CompletionReason.QUIET
        return CompletionReason.LONG if now >= study.begun + self._longest else None

    def close(self, study: OpenStudy) -> None:
        """It is complete: what comes later opens it anew."""
        study.closed = True
        del self._open[study.partition, study.study_instance_uid]

    def forget(self) -> Iterator[tuple[LogPlace, int]]:
        """For each place the last offset up to which nothing belongs to an open study, where that has moved."""
        return self._held.forget()
