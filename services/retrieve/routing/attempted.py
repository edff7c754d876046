"""What one attempt at a route came to (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of it: the SOP Instance UIDs that were taken, and those that were not; None where nothing was tried.
    `refused`: the destination answered and did not want them, so that trying again soon is of little use. With `waits`
    (seconds) it will say by itself what becomes of them, and is not asked before; `answered`: it has, and what follows
    is on the log. `is_delivered`: there was nothing to do, and that is well. `withheld`: why instances must not leave,
    by SOP Instance UID; they are neither taken nor failed, and not tried again."""

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
        """Whether nothing is left to be tried."""
        return self.failed is not None and not self.failed


def withheld_words(withheld: Mapping[str, str]) -> str:
    """Why instances were withheld: the reasons, the most frequent first; "" where none were."""
    reasons = Counter(withheld.values()).most_common()
    return "; ".join(f"{count} withheld: {reason}" for reason, count in reasons)
