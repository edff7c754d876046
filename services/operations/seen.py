"""Who called and how it went, by AE title, from the recorded associations: a fold with bounds. Pure.

Times are microseconds since the epoch; days are counted from the epoch, in UTC.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gantry.common.events import AssociationEnded, AssociationRefused, Event
from gantry.common.statuses import is_failure

DAYS = 14
"""Days for which associations are recorded."""
_DAY_US = 24 * 3600 * 1_000_000
_MOST_TITLES = 2000
_MOST_REFUSED = 500


@dataclass(slots=True)
class SeenCaller:
    """An AE title that was admitted. `error` is the last thing that went wrong, in words."""

    at: int = 0
    address: str = ""
    outcome: str = ""
    error: str = ""
    error_at: int = 0
    associations: int = 0
    bytes_by_day: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class RefusedCaller:
    """A caller that got no association."""

    title: str
    called: str
    address: str
    why: str
    at: int = 0
    times: int = 0


@dataclass(slots=True)
class Seen:
    """A summary of the associations of the last days."""

    callers: dict[str, SeenCaller] = field(default_factory=dict)
    refused: dict[tuple[str, str, str, str], RefusedCaller] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in a record, once each."""
        if isinstance(event, AssociationEnded):
            self._ended(event)
        elif isinstance(event, AssociationRefused):
            self._refused(event)

    def _ended(self, event: AssociationEnded) -> None:
        caller = self.callers.setdefault(event.calling_ae_title, SeenCaller())
        caller.associations += event.times
        caller.bytes_by_day[event.ended_at // _DAY_US] += event.bytes_in
        if event.ended_at >= caller.at:
            caller.at, caller.address, caller.outcome = event.ended_at, event.peer_address, event.outcome
        error = _error(event)
        if error and event.ended_at >= caller.error_at:
            caller.error, caller.error_at = error, event.ended_at
        if len(self.callers) > _MOST_TITLES:
            del self.callers[min(self.callers, key=lambda title: self.callers[title].at)]

    def _refused(self, event: AssociationRefused) -> None:
        key = event.calling_ae_title, event.called_ae_title, event.peer_address, event.why
        refused = self.refused.setdefault(key, RefusedCaller(*key))
        refused.times += event.times
        refused.at = max(refused.at, event.at)
        if len(self.refused) > _MOST_REFUSED:
            del self.refused[min(self.refused, key=lambda caller: self.refused[caller].at)]

    def forget(self, now: int) -> None:
        """Drop everything older than the retention of the records."""
        first = now - DAYS * _DAY_US
        self.callers = {title: caller for title, caller in self.callers.items() if caller.at >= first}
        self.refused = {key: caller for key, caller in self.refused.items() if caller.at >= first}
        for caller in self.callers.values():
            for day in [day for day in caller.bytes_by_day if day < first // _DAY_US]:
                del caller.bytes_by_day[day]

    def received(self, now: int) -> list[dict[str, Any]]:
        """Bytes received over associations by AE title, most first: today so far, and in the seven whole days
        before."""
        today = now // _DAY_US
        week = range(today - 7, today)
        rows = [
            {
                "ae_title": title,
                "today": caller.bytes_by_day[today],
                "week": sum(caller.bytes_by_day[day] for day in week),
            }
            for title, caller in self.callers.items()
        ]
        return sorted(
            (row for row in rows if row["today"] or row["week"]), key=lambda row: -(row["week"] + row["today"])
        )


def _error(event: AssociationEnded) -> str:
    for answer in event.answers:
        if is_failure(answer.status):
            why = f": {answer.why}" if answer.why else ""
            return f"{answer.command} answered {answer.status:04X}H{why}"
    return "" if event.outcome == "released" else f"association {event.outcome}"
