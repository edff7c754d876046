"""Orders and performed procedure steps: the pure folds of their events, and what follows for a scheduled step.

What belongs here: states as frozen values, the verdict on an event and the state after it, what an order is known by,
and the state of a scheduled step. What does not: stores, clocks, settings, sockets.

Unlike what happens to a study (`gantry.common.lifecycle`), events here may contradict each other: a second N-CREATE of
one UID, a change of an order that is cancelled. Each topic has an order per key, so the fold decides, and every process
that reads the log decides the same.
"""

from gantry.common.orders.commands import (
    OrderCancellation,
    OrderChange,
    OrderErasure,
    OrderReport,
    PlacedOrder,
    StudyLink,
    StudyUnlink,
    Verdict,
)
from gantry.common.orders.fold import OrderEvent, fold_order
from gantry.common.orders.keys import order_key
from gantry.common.orders.model import (
    Attributes,
    Changes,
    Order,
    ReportStatus,
    ResultReport,
    ScheduledStep,
    first,
    items,
    may_follow,
    pack,
    unpack,
)
from gantry.common.orders.mpps import FINAL, PerformedState, PerformedStep, StepEvent, fold_step, refused_as_erased
from gantry.common.orders.states import (
    IDLE,
    NO_LINKS,
    Links,
    StepReference,
    StepState,
    references_of,
    refers_to,
    state_of,
    studies_of,
)
from gantry.common.orders.values import (
    ERASED,
    ValuedEvent,
    is_apart,
    values_in,
    values_key_of,
    with_values,
    without_values,
)

__all__ = [
    "ERASED",
    "FINAL",
    "IDLE",
    "NO_LINKS",
    "Attributes",
    "Changes",
    "Links",
    "Order",
    "OrderCancellation",
    "OrderChange",
    "OrderErasure",
    "OrderEvent",
    "OrderReport",
    "PerformedState",
    "PerformedStep",
    "PlacedOrder",
    "ReportStatus",
    "ResultReport",
    "ScheduledStep",
    "StepEvent",
    "StepReference",
    "StepState",
    "StudyLink",
    "StudyUnlink",
    "ValuedEvent",
    "Verdict",
    "first",
    "fold_order",
    "fold_step",
    "is_apart",
    "items",
    "may_follow",
    "order_key",
    "pack",
    "references_of",
    "refers_to",
    "refused_as_erased",
    "state_of",
    "studies_of",
    "unpack",
    "values_in",
    "values_key_of",
    "with_values",
    "without_values",
]
