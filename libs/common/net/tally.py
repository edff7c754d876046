"""The results of an association: counted while it lasts, logged when it ends."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from gantry.common.statuses import is_failure, is_pending

_MOST_REFUSALS = 256


class RefusedRequest(NamedTuple):
    """A request that was answered with a failure: its command field, the status, and the Error Comment."""

    field: int
    status: int
    comment: str


class AssociationTally:
    """Counts of one association. `refusals` holds the latest refused requests until the observer logs them."""

    __slots__ = ("answers", "refusals", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        """By the event loop's clock, in seconds."""
        self.answers: Counter[tuple[int, int]] = Counter()
        """Our final responses, by command field of the request and status."""
        self.refusals: deque[RefusedRequest] = deque(maxlen=_MOST_REFUSALS)

    def answered(self, field: int, status: int, comment: str) -> None:
        """Count a response that we have sent."""
        if is_pending(status):
            return  # pending (PS3.4 C.4.1.1.4): the final one follows
        self.answers[field, status] += 1
        if is_failure(status):
            self.refusals.append(RefusedRequest(field, status, comment))

    @property
    def statuses(self) -> dict[str, int]:
        """How often each status was answered, as four hexadecimal digits."""
        total: Counter[str] = Counter()
        for (_, status), times in self.answers.items():
            total[f"{status:04X}"] += times
        return dict(sorted(total.items()))
