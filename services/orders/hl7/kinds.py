"""The kinds of messages that metrics tell apart: a closed set, whatever is sent (pure)."""

from __future__ import annotations

from gantry.common.hl7.patients import ADMISSIONS, CHANGES_OF_ID, MERGES, UNCHANGED, UPDATES
from gantry.common.hl7.planning import ORDERS
from gantry.common.hl7.reports import REPORT
from gantry.common.hl7.scheduling import BOOKED, CANCELLED

OTHER = "other"
KINDS = frozenset(
    (
        *ORDERS,
        REPORT,
        *(f"ADT^{event}" for event in (*UNCHANGED, *ADMISSIONS, *UPDATES, *MERGES, *CHANGES_OF_ID)),
        *(f"SIU^{event}" for event in (*BOOKED, CANCELLED)),
    )
)


def kind_label(kind: str) -> str:
    """The label of a kind, `OTHER` for what is not taken."""
    return kind if kind in KINDS else OTHER
