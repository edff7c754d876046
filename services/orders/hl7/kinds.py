"""The kinds of messages in metrics and log lines: never text of the sender (pure)."""

from __future__ import annotations

import re

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
_KIND = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2})?")


def kind_label(kind: str) -> str:
    """The label of a kind, `OTHER` for one that is not accepted."""
    return kind if kind in KINDS else OTHER


def kind_logged(kind: str) -> str:
    """A kind in log lines, `OTHER` for text that is not like one: if a sender miscounts its fields, MSH-9 may hold
    anything."""
    return kind if kind == "" or _KIND.fullmatch(kind) else OTHER
