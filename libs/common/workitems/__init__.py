"""Unified Procedure Steps, which PS3.18 calls workitems: their state machine (PS3.4 CC.1.1), what they need, and what
can be asked of them (pure).

What belongs here: the state of a workitem as a frozen value, the verdict on an event and the workitem after it, with
the DIMSE status to answer. What does not: stores, clocks, sockets, statuses of HTTP.

Every process folds the log in its order, so of two workers that claim one workitem at once all processes agree who has
it.
"""

from gantry.common.workitems.fold import WorkitemEvent, fold_workitem, refused_as_erased
from gantry.common.workitems.model import FINAL, Workitem, WorkitemState, lock_of
from gantry.common.workitems.questions import WorkitemQuery

__all__ = [
    "FINAL",
    "Workitem",
    "WorkitemEvent",
    "WorkitemQuery",
    "WorkitemState",
    "fold_workitem",
    "lock_of",
    "refused_as_erased",
]
