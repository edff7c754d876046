"""N-ACTION (PS3.4 J.3.2): check the request, publish it as an event, answer. `taking` and `member` do the rest.

A report on what we asked a peer for comes here, too, where the peer opens an association for it (PS3.4 J.3.3)."""

from __future__ import annotations

import asyncio

from gantry.common.clock import Clock
from gantry.common.commitment.wire import ActionInformation, decode_action_information
from gantry.common.config.role_sections import Commitment
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gantry.common.dimse import CommandField, Element
from gantry.common.errors import GantryError
from gantry.common.events import CommitmentRequested
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import Elsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.statuses import (
    DUPLICATE_TRANSACTION_UID,
    NO_SUCH_ACTION,
    NO_SUCH_OBJECT_INSTANCE,
    NO_SUCH_SOP_CLASS,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.commitment.taking import Takers
from gantry.services.commitment.transactions import TransactionLedger
from gantry.services.reported import take_report

_REQUEST_COMMITMENT = 1

_BYTES_PER_REFERENCE = 256
"""Upper bound for a reference in any encoding: item, two UIDs of 64 characters, their headers, delimiters."""


class RequestRefused(GantryError):
    """A request that is answered with a failure status (PS3.7 10.1.4.1.10)."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.dicom_status = status


class CommitmentService:
    """The network side of storage commitment."""

    def __init__(
        self,
        abilities: Abilities,
        ledger: TransactionLedger,
        takers: Takers,
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        settings: Commitment,
        elsewhere: Elsewhere,
    ) -> None:
        self._elsewhere = elsewhere
        self.abilities = abilities
        self._ledger = ledger
        self._takers = takers
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._under_way: set[str] = set()

    def receive(self, request: Request) -> Sink:
        return MemorySink(self._settings.max_references * _BYTES_PER_REFERENCE + 65536)

    async def perform(self, request: Request) -> None:
        if request.command.field == CommandField.N_EVENT_REPORT_RQ:
            # A peer that we asked. Many do not propose that they are SCP (PS3.7 D.3.3.4), so that is not demanded.
            await take_report(request, self._elsewhere, self._settings.max_references)
            return
        try:
            await self._accept(request)
            self._metrics.commitment_transactions.labels("accepted").inc()
        except GantryError as error:
            self._metrics.commitment_transactions.labels("refused").inc()
            await request.fail(error.dicom_status, str(error))

    async def _accept(self, request: Request) -> None:
        check_command(request)
        # A hundred thousand references take half a second to decode: not on the event loop.
        syntax = request.context.transfer_syntax
        information = await asyncio.to_thread(
            decode_action_information, request.data, syntax, self._settings.max_references
        )
        uid = information.transaction_uid
        if self._ledger.is_known(uid) or uid in self._under_way:
            raise RequestRefused(DUPLICATE_TRANSACTION_UID, "transaction uid was used before")
        self._under_way.add(uid)
        try:
            async with self._takers.taking(uid, request.association) as taking:
                await reach(FailPoint.BEFORE_PUBLISH)
                requested = self._requested(request, information)
                await self._log.append(requested)
                self._ledger.note(uid)
                taking.accepted(requested)
                await reach(FailPoint.BEFORE_ANSWER)
                await request.respond(SUCCESS)
        finally:
            self._under_way.discard(uid)

    def _requested(self, request: Request, information: ActionInformation) -> CommitmentRequested:
        association = request.association
        return CommitmentRequested(
            partition=DEFAULT_PARTITION,
            trace=association.trace,
            transaction_uid=information.transaction_uid,
            requested_at=self._clock.now_us(),
            calling_ae_title=association.calling_ae_title,
            called_ae_title=association.called_ae_title,
            peer_address=association.peer_address,
            references=information.references,
        )


def check_command(request: Request) -> None:
    """PS3.4 J.3.2: the one well-known instance, the one action; raises `RequestRefused`."""
    command = request.command
    if not request.context.requestor_is_scu:
        raise RequestRefused(UNRECOGNISED_OPERATION, "the requestor is not scu in this context")
    if command.field != CommandField.N_ACTION_RQ:
        raise RequestRefused(UNRECOGNISED_OPERATION, "only N-ACTION is served in this context")
    if command.sop_class_uid != STORAGE_COMMITMENT:
        raise RequestRefused(NO_SUCH_SOP_CLASS, "requested sop class is not storage commitment")
    if command.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise RequestRefused(NO_SUCH_OBJECT_INSTANCE, "requested sop instance is not the well-known one")
    if command.number(Element.ACTION_TYPE_ID) != _REQUEST_COMMITMENT:
        raise RequestRefused(NO_SUCH_ACTION, "action type is not 1")
