"""The outcome of one attempt at a route (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attempted:
    """The outcome: the SOP Instance UIDs that were taken, and those that were not; None if nothing was tried.
    `refused`: the destination answered and refused them, so that an early retry is of little use. With `waits`
    (seconds) the destination will report on them itself, and is not asked before that; `answered`: it has reported, and
    the consequences are on the log. `is_delivered`: there was nothing to do, and that is a success. `withheld`: why
    instances must not be sent, by SOP Instance UID; they are neither taken nor failed, and not retried."""

    taken: Collection[str]
    failed: Collection[str] | None
    why: str
    refused: bool = False
    waits: float = 0.0
    answered: bool = False
    is_delivered: bool = False
    withheld: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to try."""
        return self.failed is not None and not self.failed


def withheld_words(withheld: Mapping[str, str]) -> str:
    """Why instances were withheld: the reasons, the most frequent first; "" if none were."""
    reasons = Counter(withheld.values()).most_common()
    return "; ".join(f"{count} withheld: {reason}" for reason, count in reasons)
