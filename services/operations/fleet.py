"""The processes of the archive as they report themselves: the newest report of each, and its state by now. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from gantry.common.events import Event, ProcessReported

FORGOTTEN_SECONDS = 3600.0
"""A process without reports for this long is not listed any more."""


@dataclass(slots=True)
class Fleet:
    """Reports in any order. Times are microseconds since the epoch."""

    newest: dict[str, ProcessReported] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Add a report."""
        if isinstance(event, ProcessReported):
            known = self.newest.get(event.process)
            if known is None or event.at >= known.at:
                self.newest[event.process] = event

    def listed(self, now: int, silent_after: float) -> list[dict[str, Any]]:
        """Running processes, and those that disappeared, by role and host: "ready", "troubled" (with its reason) or
        "silent" for more than `silent_after` seconds. Those that ended normally, or were replaced on the same host, are
        not listed."""
        old = now - int(FORGOTTEN_SECONDS * 1e6)
        for name in [name for name, report in self.newest.items() if report.at < old]:
            del self.newest[name]
        silent = now - int(silent_after * 1e6)
        reports = [
            report
            for report in self.newest.values()
            if not report.ended and not (report.at < silent and self._replaced(report))
        ]
        reports.sort(key=lambda report: (report.roles, report.process))
        return [_listed(report, report.at < silent) for report in reports]

    def _replaced(self, report: ProcessReported) -> bool:
        return any(
            (other.host, other.roles) == (report.host, report.roles) and other.started_at > report.at
            for other in self.newest.values()
        )


def missing(processes: Collection[dict[str, Any]], roles: Collection[str]) -> list[str]:
    """The `roles` that no reporting process has."""
    played = {role for process in processes if process["state"] != "silent" for role in process["roles"]}
    return sorted(set(roles) - played)


def _listed(report: ProcessReported, silent: bool) -> dict[str, Any]:
    return {
        "process": report.process,
        "host": report.host,
        "roles": list(report.roles),
        "version": report.version,
        "started_at": report.started_at,
        "at": report.at,
        "state": "silent" if silent else "troubled" if report.problems else "ready",
        "problems": list(report.problems),
        "associations": report.associations,
        "transfers": report.transfers,
        "spaces": [{"store": space.store, "free": space.free, "size": space.size} for space in report.spaces],
    }
