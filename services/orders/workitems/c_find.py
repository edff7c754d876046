"""C-FIND of Unified Procedure Steps (PS3.4 CC.2.8): decode, look up, answer page by page at the peer's pace."""

from __future__ import annotations

from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import Request
from gantry.common.ports.orders import OrderIndex
from gantry.common.statuses import CANCELLED, PENDING, PENDING_WARNING, SUCCESS
from gantry.common.tasks import turn
from gantry.common.workitems import WorkitemQuery
from gantry.common.workitems.questions import workitem_conditions
from gantry.services.orders.worklist.answers import WorklistAnswers

_AT_ONCE = 100
"""Responses encoded and written together; between two such batches C-CANCEL and other associations get their turn."""


async def answer_find(request: Request, orders: OrderIndex) -> int:
    """Send the pending responses; returns the final status. A Transaction UID is neither matched nor returned. Raises
    `IdentifierError`, `DependencyUnavailable`."""
    syntax = request.context.transfer_syntax
    identifier = decode_identifier(request.data, syntax)
    conditions = workitem_conditions(identifier)
    answers = WorklistAnswers(identifier, conditions, syntax)
    status = PENDING if answers.complete else PENDING_WARNING
    async for page in orders.find_workitems(WorkitemQuery(DEFAULT_PARTITION, conditions)):
        for start in range(0, len(page), _AT_ONCE):
            await turn()
            if request.cancelled:
                return CANCELLED
            batch = page[start : start + _AT_ONCE]
            await request.respond_pending([answers.encode(workitem) for workitem in batch], status)
    return CANCELLED if request.cancelled else SUCCESS
