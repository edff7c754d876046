"""N-CREATE, N-SET and N-GET of Modality Performed Procedure Steps (PS3.4 F.7, F.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
)
from gantry.common.dimse import CommandField, Element
from gantry.common.dimse.command import Value, name_of
from gantry.common.errors import DependencyUnavailable, NotUnderstood, OperationRefused
from gantry.common.events import ProcedureStepCreated, ProcedureStepSet
from gantry.common.ids import DEFAULT_PARTITION, is_uid, new_uid
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.orders import PerformedStep, StepEvent, Verdict, pack
from gantry.common.ports.orders import OrderIndex
from gantry.common.statuses import (
    INVALID_OBJECT_INSTANCE,
    NO_SUCH_OBJECT_INSTANCE,
    NO_SUCH_SOP_CLASS,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.steps.data_sets import decoded, encoded

_MAX_DATA_SET = 16 << 20
"""Bytes: a step that refers to a hundred thousand images fits."""
_OPERATIONS = {
    MODALITY_PERFORMED_PROCEDURE_STEP: (CommandField.N_CREATE_RQ, CommandField.N_SET_RQ),
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: (CommandField.N_GET_RQ,),
}


class PerformedStepService:
    """SCP of the two SOP classes, for modalities and for those that query what they did."""

    def __init__(
        self,
        abilities: Abilities,
        desk: OrderDesk,
        orders: OrderIndex,
        clock: Clock,
        metrics: Metrics,
        changed: Callable[[PerformedStep, str], None] = lambda *_: None,
    ) -> None:
        """`changed` is called with each step after a request, and the trace of that request."""
        self._changed = changed
        self.abilities = abilities
        self._desk = desk
        self._orders = orders
        self._clock = clock
        self._metrics = metrics

    def receive(self, request: Request) -> Sink:
        return MemorySink(_MAX_DATA_SET)

    async def perform(self, request: Request) -> None:
        """Answer one request. A request that cannot be decided now is refused with 0213H: PS3.7 allows it here, unlike
        A700H."""
        operation = name_of(request.command.field)
        try:
            await self._perform(request)
        except DependencyUnavailable as error:
            await request.fail(RESOURCE_LIMITATION, str(error))
        except NotUnderstood as error:
            await request.fail(PROCESSING_FAILURE, str(error))
        except OperationRefused as error:
            await request.fail(error.dicom_status, str(error))
        self._metrics.step_requests.labels(operation, f"{request.status or 0:04X}").inc()

    async def _perform(self, request: Request) -> None:
        command = request.command
        if command.field not in _OPERATIONS.get(request.context.abstract_syntax, ()):
            raise OperationRefused(UNRECOGNISED_OPERATION, "this operation is not one of the sop class")
        if command.sop_class_uid not in _OPERATIONS:
            raise OperationRefused(NO_SUCH_SOP_CLASS, "sop class is not that of performed procedure steps")
        creates = command.field == CommandField.N_CREATE_RQ
        # PS3.7 10.1.5.1.4: an N-CREATE without a SOP Instance UID leaves it to us.
        uid = command.sop_instance_uid or (new_uid() if creates else "")
        if not is_uid(uid):
            raise OperationRefused(INVALID_OBJECT_INSTANCE, "sop instance uid is not a uid")
        if command.field == CommandField.N_GET_RQ:
            await self._get(request, uid)
            return
        kind = ProcedureStepCreated if creates else ProcedureStepSet
        verdict = await self._desk.perform(self._event(request, kind, uid))
        await self._answer(request, uid, verdict)
        if verdict.accepted and verdict.state is not None:
            self._changed(verdict.state, request.association.trace)

    def _event(self, request: Request, kind: type[Any], uid: str) -> StepEvent:
        association = request.association
        event: StepEvent = kind(
            partition=DEFAULT_PARTITION,
            trace=association.trace,
            sop_instance_uid=uid,
            change=self._desk.new_change(),
            source=f"ae {association.calling_ae_title.strip()}",
            message="",
            at=self._clock.now_us(),
            attributes=pack(decoded(request.data, request.context.transfer_syntax)),
        )
        return event

    async def _answer(self, request: Request, uid: str, verdict: Verdict[PerformedStep]) -> None:
        extra: dict[int, Value] = {Element.AFFECTED_SOP_INSTANCE_UID: uid}
        if verdict.reason:
            extra[Element.ERROR_COMMENT] = verdict.reason
        if verdict.error_id:
            extra[Element.ERROR_ID] = verdict.error_id
        await request.respond(verdict.status, extra=extra)

    async def _get(self, request: Request, uid: str) -> None:
        step = await self._orders.performed(DEFAULT_PARTITION, uid)
        if step is None:
            raise OperationRefused(NO_SUCH_OBJECT_INSTANCE, "there is no such performed procedure step")
        wanted = request.command.elements.get(Element.ATTRIBUTE_IDENTIFIER_LIST, ())
        tags = wanted if isinstance(wanted, tuple) else ()
        await request.respond(SUCCESS, encoded(step.attributes, tags, request.context.transfer_syntax))
