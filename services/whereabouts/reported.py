"""Reports on studies, as they came by their orders. Pure."""

from __future__ import annotations

from collections.abc import Collection

from gantry.common.events import Event, OrderErased, OrderPlaced, OrderReported
from gantry.common.orders import ReportStatus, may_follow
from gantry.services.whereabouts.account import Occurrence

_STATUSES = frozenset(status.value for status in ReportStatus)


class ReportsOf:
    """Of some studies. What a report says is not here, nor whom it is about."""

    def __init__(self, studies: Collection[str]) -> None:
        self._reports: dict[str, list[Occurrence]] = {study: [] for study in studies}
        self._last: dict[str, ReportStatus] = {}
        self._taken: set[str] = set()

    def take(self, event: Event) -> None:
        """Take in an event of orders, in the order of the log. One that was refused, or came before, changes
        nothing. Of an order that is placed anew nothing is known any more: it may be another patient's."""
        if isinstance(event, OrderPlaced | OrderErased):
            self._last.pop(event.order, None)
            return
        if not isinstance(event, OrderReported) or event.change in self._taken or event.status not in _STATUSES:
            return
        status, before = ReportStatus(event.status), self._last.get(event.order)
        if before is not None and not may_follow(before, status):
            return
        self._taken.add(event.change)
        self._last[event.order] = status
        for study in event.studies:
            if study in self._reports:
                kind = f"reported: {status.value}, order {event.order}"
                self._reports[study].append(Occurrence(event.at, kind, 0, event.source))

    def of(self, study: str) -> list[Occurrence]:
        """What came of a study."""
        return self._reports.get(study, [])
