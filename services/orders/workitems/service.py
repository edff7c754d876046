"""Unified Procedure Steps over DIMSE (PS3.4 CC.2): N-CREATE, N-SET, N-GET, N-ACTION and C-FIND."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from gantry.common.access import Sight
from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.sop_classes import (
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
    UPS_FILTERED_GLOBAL_SUBSCRIPTION,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.dimse import CommandField, Element
from gantry.common.dimse.command import Value, name_of
from gantry.common.errors import DependencyUnavailable, GantryError, IdentifierError, NotUnderstood, OperationRefused
from gantry.common.ids import DEFAULT_PARTITION, is_ae_title, is_uid, new_uid
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.orders import Verdict, first
from gantry.common.ports.orders import OrderIndex
from gantry.common.statuses import (
    INVALID_ARGUMENT_VALUE,
    INVALID_OBJECT_INSTANCE,
    NO_SUCH_ACTION,
    NO_SUCH_SOP_CLASS,
    NOT_AUTHORISED,
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
    UNRECOGNISED_OPERATION,
    WORKITEM_NO_EVENT_REPORTS,
    WORKITEM_UNKNOWN,
    WORKITEM_UNKNOWN_RECEIVER,
)
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.common.workitems import Workitem, WorkitemSubscription
from gantry.common.workitems.model import PROCEDURE_STEP_STATE, TRANSACTION_UID
from gantry.common.workitems.subscriptions import filter_of
from gantry.services.orders.steps.data_sets import decoded, encoded
from gantry.services.orders.workitems.c_find import answer_find
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk

_MAX_DATA_SET = 16 << 20
_RECEIVING_AE, _DELETION_LOCK = TAGS["ReceivingAE"], TAGS["DeletionLock"]
_CHANGE_STATE, _REQUEST_CANCEL, _SUBSCRIBE, _UNSUBSCRIBE, _SUSPEND = 1, 2, 3, 4, 5
_SUBSCRIPTIONS = frozenset((_SUBSCRIBE, _UNSUBSCRIBE, _SUSPEND))
_CREATE, _SET, _GET, _ACTION, _FIND = (
    CommandField.N_CREATE_RQ,
    CommandField.N_SET_RQ,
    CommandField.N_GET_RQ,
    CommandField.N_ACTION_RQ,
    CommandField.C_FIND_RQ,
)
OPERATIONS: Mapping[str, frozenset[CommandField]] = {
    UNIFIED_PROCEDURE_STEP_PUSH: frozenset((_CREATE, _GET, _ACTION)),
    UNIFIED_PROCEDURE_STEP_PULL: frozenset((_FIND, _GET, _SET, _ACTION)),
    UNIFIED_PROCEDURE_STEP_WATCH: frozenset((_FIND, _GET, _ACTION)),
    UNIFIED_PROCEDURE_STEP_QUERY: frozenset((_FIND,)),
}
"""PS3.4 tables CC.2-1 to CC.2-5."""
_ACTIONS: Mapping[str, frozenset[int]] = {
    UNIFIED_PROCEDURE_STEP_PUSH: frozenset((_REQUEST_CANCEL,)),
    UNIFIED_PROCEDURE_STEP_PULL: frozenset((_CHANGE_STATE,)),
    UNIFIED_PROCEDURE_STEP_WATCH: frozenset((_REQUEST_CANCEL, *_SUBSCRIPTIONS)),
}
_CLASSES = frozenset(
    (
        *(UNIFIED_PROCEDURE_STEP_PUSH, UNIFIED_PROCEDURE_STEP_PULL, UNIFIED_PROCEDURE_STEP_WATCH),
        *(UNIFIED_PROCEDURE_STEP_EVENT, UNIFIED_PROCEDURE_STEP_QUERY),
    )
)


class WorkitemService:
    """SCP of Push, Pull, Watch and Query."""

    def __init__(
        self,
        abilities: Abilities,
        desk: WorkitemDesk,
        orders: OrderIndex,
        metrics: Metrics,
        sight_of: Callable[[str], Sight],
        is_receiver: Callable[[str], bool] | None,
        audit: Callable[[Request, str], None] = lambda *_: None,
        shown: Callable[[Request, str], None] = lambda *_: None,
    ) -> None:
        """`sight_of` returns which studies an AE title sees: one that sees only some does not see workitems.
        `is_receiver` returns whether an AE title may be notified of events; None if there are no receivers. `audit` is
        called when a C-FIND ends, with why it failed, `shown` with the UID of a workitem that is returned."""
        self.abilities = abilities
        self._desk = desk
        self._orders = orders
        self._metrics = metrics
        self._sight_of = sight_of
        self._is_receiver = is_receiver
        self._audit = audit
        self._shown = shown
        self._operations: Mapping[int, Callable[[Request, str], Awaitable[None]]] = {
            _CREATE: self._create,
            _SET: self._set,
            _GET: self._get,
            _ACTION: self._act,
        }

    def receive(self, request: Request) -> Sink:
        return MemorySink(_MAX_DATA_SET)

    async def perform(self, request: Request) -> None:
        """Answer one request. If it cannot be decided now, it is refused with 0213H, a C-FIND with A700H."""
        try:
            await self._perform(request)
        except DependencyUnavailable as error:
            if request.command.field == _FIND:
                raise
            await request.fail(RESOURCE_LIMITATION, str(error))
        except IdentifierError as error:
            if request.command.field == _FIND:
                raise
            await request.fail(INVALID_ARGUMENT_VALUE, str(error))
        except NotUnderstood as error:
            if request.command.field == _FIND:
                raise
            await request.fail(PROCESSING_FAILURE, str(error))
        except OperationRefused as error:
            await request.fail(error.dicom_status, str(error))
        finally:
            operation, status = name_of(request.command.field), request.status
            self._metrics.workitem_requests.labels(operation, "" if status is None else f"{status:04X}").inc()

    async def _perform(self, request: Request) -> None:
        command, syntax = request.command, request.context.abstract_syntax
        if command.field not in OPERATIONS.get(syntax, ()):
            raise OperationRefused(UNRECOGNISED_OPERATION, "this operation is not one of the sop class")
        if not self._sight_of(request.association.calling_ae_title.strip()).whole:
            raise OperationRefused(NOT_AUTHORISED, "workitems are for those who see every study")
        if command.field == _FIND:
            await self._find(request)
            return
        # PS3.4 CC.3.1: the SOP class of a workitem is Push, whatever the context; some name that of the context.
        if command.sop_class_uid not in _CLASSES:
            raise OperationRefused(NO_SUCH_SOP_CLASS, "sop class is not that of unified procedure steps")
        # PS3.7 10.1.5.1.4: an N-CREATE without a SOP Instance UID leaves it to us.
        uid = command.sop_instance_uid or (new_uid() if command.field == _CREATE else "")
        if not is_uid(uid):
            raise OperationRefused(INVALID_OBJECT_INSTANCE, "sop instance uid is not a uid")
        await self._operations[command.field](request, uid)

    async def _find(self, request: Request) -> None:
        try:
            status = await answer_find(request, self._orders)
        except GantryError as error:
            self._audit(request, str(error))
            raise
        self._audit(request, "")
        await request.respond(status)

    async def _create(self, request: Request, uid: str) -> None:
        verdict = await self._desk.create(uid, _data(request), _asker(request))
        await self._answer(request, uid, verdict)

    async def _set(self, request: Request, uid: str) -> None:
        attributes = _data(request)
        transaction_uid = first(attributes, TRANSACTION_UID)
        await self._answer(request, uid, await self._desk.set(uid, attributes, transaction_uid, _asker(request)))

    async def _act(self, request: Request, uid: str) -> None:
        action = request.command.number(Element.ACTION_TYPE_ID)
        if action not in _ACTIONS.get(request.context.abstract_syntax, ()):
            raise OperationRefused(NO_SUCH_ACTION, f"action type {action} is not one of the sop class")
        if action in _SUBSCRIPTIONS:
            await self._answer(request, uid, await self._subscription(request, uid, action))
            return
        attributes = _data(request)
        if action == _CHANGE_STATE:
            state, transaction_uid = first(attributes, PROCEDURE_STEP_STATE), first(attributes, TRANSACTION_UID)
            verdict = await self._desk.change_state(uid, state, transaction_uid, _asker(request))
        else:
            verdict = await self._desk.request_cancel(uid, attributes, _asker(request))
        await self._answer(request, uid, verdict)

    async def _subscription(self, request: Request, uid: str, action: int) -> Verdict[WorkitemSubscription]:
        """PS3.4 CC.2.3."""
        attributes, asker = _data(request), _asker(request)
        title = first(attributes, _RECEIVING_AE)
        if not is_ae_title(title):
            raise OperationRefused(INVALID_ARGUMENT_VALUE, "receiving ae is not an ae title")
        if action == _UNSUBSCRIBE:
            return await self._desk.unsubscribe(uid, title, asker)
        if self._is_receiver is None:
            raise OperationRefused(WORKITEM_NO_EVENT_REPORTS, "events are not reported here: routing.workitems")
        if not self._is_receiver(title):
            raise OperationRefused(WORKITEM_UNKNOWN_RECEIVER, "receiving ae: no peer with ups, host and port")
        if action == _SUSPEND:
            return await self._desk.suspend(uid, title, asker)
        keys: dict[int, list[object]] = {}
        if uid == UPS_FILTERED_GLOBAL_SUBSCRIPTION:
            identifier = decode_identifier(request.data, request.context.transfer_syntax)
            wanted = {
                tag: values for tag, values in identifier.keys.items() if tag not in (_RECEIVING_AE, _DELETION_LOCK)
            }
            keys = filter_of(replace(identifier, keys=wanted))
        lock = first(attributes, _DELETION_LOCK).upper() == "TRUE"
        return await self._desk.subscribe(uid, title, keys, asker, lock=lock)

    async def _get(self, request: Request, uid: str) -> None:
        workitem = await self._orders.workitem(DEFAULT_PARTITION, uid)
        if workitem is None:
            raise OperationRefused(WORKITEM_UNKNOWN, "there is no such workitem")
        wanted = request.command.elements.get(Element.ATTRIBUTE_IDENTIFIER_LIST, ())
        tags = wanted if isinstance(wanted, tuple) else ()
        known = all(vr_of(tag) != b"UN" for tag in tags)
        self._shown(request, uid)
        data = encoded(workitem.document, tags, request.context.transfer_syntax)
        extra: dict[int, Value] = {Element.AFFECTED_SOP_INSTANCE_UID: uid}
        await request.respond(SUCCESS if known else OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, data, extra)

    async def _answer(
        self, request: Request, uid: str, verdict: Verdict[Workitem] | Verdict[WorkitemSubscription]
    ) -> None:
        extra: dict[int, Value] = {Element.AFFECTED_SOP_INSTANCE_UID: uid}
        if request.command.field == _ACTION:
            extra[Element.ACTION_TYPE_ID] = request.command.number(Element.ACTION_TYPE_ID)
        if verdict.reason:
            extra[Element.ERROR_COMMENT] = verdict.reason[:64]
        await request.respond(verdict.status, extra=extra)


def _data(request: Request) -> dict[int, list[object]]:
    """Raises `NotUnderstood`."""
    return decoded(request.data, request.context.transfer_syntax) if request.data else {}


def _asker(request: Request) -> Asker:
    association = request.association
    return Asker(f"ae {association.calling_ae_title.strip()}", association.trace)
