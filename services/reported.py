"""N-EVENT-REPORT of storage commitment (PS3.4 J.3.3) to us, who asked: on the association of the request, or on one
that the peer opens. Either way it is taken once, and answered when what follows is durable."""

from __future__ import annotations

import asyncio

from gantry.common.commitment.wire import TRANSFER_SYNTAXES, decode_event_information
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gantry.common.dimse import CommandField, Element
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.runtime.elsewhere import Elsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.statuses import (
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_OBJECT_INSTANCE,
    NO_SUCH_SOP_CLASS,
    PROCESSING_FAILURE,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.ul import Ability

EVENT_TYPES = (1, 2)
"""PS3.4 table J.3-2: all are committed, or there are failures."""
BYTES_PER_REFERENCE = 256


async def take_report(request: Request, elsewhere: Elsewhere, max_references: int) -> str:
    """Take and answer a report. Returns the Transaction UID, "" where the report was refused."""
    refusal = _refusal(request)
    if refusal is not None:
        await request.fail(*refusal)
        return ""
    try:
        syntax = request.context.transfer_syntax
        report = await asyncio.to_thread(decode_event_information, request.data, syntax, max_references)
        await elsewhere.reported(request.association.peer_ae_title, report)
    except DependencyUnavailable as error:
        # PS3.7 10.1.1.1.8: the statuses of this operation are those of the standard; the peer reports again.
        await request.fail(PROCESSING_FAILURE, str(error))
        return ""
    except GantryError as error:
        await request.fail(error.dicom_status, str(error))
        return ""
    await reach(FailPoint.BEFORE_ANSWER)
    await request.respond(SUCCESS)
    return report.transaction_uid


def _refusal(request: Request) -> tuple[int, str] | None:
    command = request.command
    if command.field != CommandField.N_EVENT_REPORT_RQ:
        return UNRECOGNISED_OPERATION, "only N-EVENT-REPORT is served here"
    if command.sop_class_uid != STORAGE_COMMITMENT:
        return NO_SUCH_SOP_CLASS, "affected sop class is not storage commitment"
    if command.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        return NO_SUCH_OBJECT_INSTANCE, "affected sop instance is not the well-known one"
    if command.number(Element.EVENT_TYPE_ID) not in EVENT_TYPES:
        return NO_SUCH_EVENT_TYPE, "event type is neither 1 nor 2"
    return None


class ReportsOnOurs:
    """Serves an association that we opened to ask."""

    def __init__(self, elsewhere: Elsewhere, max_references: int) -> None:
        self.abilities = {STORAGE_COMMITMENT: Ability(frozenset(TRANSFER_SYNTAXES))}
        self._elsewhere = elsewhere
        self._max_references = max_references
        self._taken: dict[str, asyncio.Event] = {}

    def receive(self, request: Request) -> Sink:
        return MemorySink(self._max_references * BYTES_PER_REFERENCE + 65536)

    async def perform(self, request: Request) -> None:
        uid = await take_report(request, self._elsewhere, self._max_references)
        self._of(uid).set()

    async def wait(self, transaction_uid: str, seconds: float, ended: asyncio.Event) -> bool:
        """Whether a transaction was reported on within some seconds; at the end of the association it is over."""
        taken = asyncio.ensure_future(self._of(transaction_uid).wait())
        over = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait([taken, over], timeout=seconds, return_when="FIRST_COMPLETED")
        finally:
            taken.cancel()
            over.cancel()
        return self._of(transaction_uid).is_set()

    def _of(self, transaction_uid: str) -> asyncio.Event:
        return self._taken.setdefault(transaction_uid, asyncio.Event())
