"""The kinds of messages as metrics and log lines say them: whatever is sent, no text of the sender's (pure)."""

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
    """The label of a kind, `OTHER` for what is not taken."""
    return kind if kind in KINDS else OTHER


def kind_logged(kind: str) -> str:
    """A kind as log lines say it, `OTHER` for what is written like none: of a sender that counts its fields wrong,
    MSH-9 may hold anything."""
    return kind if kind == "" or _KIND.fullmatch(kind) else OTHER
