"""Carries out messages: through the desk of orders, and that of corrections for patient data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.standard.tags import (
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
)
from gantry.common.errors import Conflicting, NotFound, NotUnderstood
from gantry.common.hl7.actions import Action, ChangePatientId, CorrectPatient, MergePatients, ReportOrder
from gantry.common.hl7.orders import MessageOrigin, changes_of
from gantry.common.hl7.planning import is_first_attempt, is_same_but_for_attempt
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import (
    Order,
    OrderCancellation,
    OrderChange,
    OrderReport,
    PlacedOrder,
    Verdict,
    first,
    studies_of,
)
from gantry.common.orders.questions import StepQuery
from gantry.common.ports.orders import OrderIndex
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.desk import OrderDesk
from gantry.services.requester import Requester

NO_SUCH_PATIENT = "no study and no order of this patient is here"
_CONFIDENTIAL = f"{CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION:08X}"
_ORDER = Spot("ORC")
NO_SUCH_ORDER = "there is no such order: what a report is about is found by its order"
OF_ANOTHER = "the order is of another patient than the report"


class Applier:
    """Carries out messages. Every step may be repeated: completed steps are not done again."""

    def __init__(self, desk: OrderDesk, orders: OrderIndex, corrections: CorrectionDesk) -> None:
        self._desk = desk
        self._orders = orders
        self._corrections = corrections

    async def apply(self, action: Action, requester: Requester, origin: MessageOrigin) -> str:
        """Apply a message durably and visibly to all. Returns what was done, in words without patient data. Raises
        `MessageRefused` if it contradicts the current state, `DependencyUnavailable`."""
        if isinstance(action, PlacedOrder | OrderChange | OrderCancellation) and await self._is_done(action):
            return "done before"
        if isinstance(action, PlacedOrder):
            return _decided(await self._desk.place(action), "order placed")
        if isinstance(action, OrderChange):
            return _decided(await self._desk.change(action), "order changed")
        if isinstance(action, OrderCancellation):
            return _decided(await self._desk.cancel(action), "order cancelled")
        if isinstance(action, ReportOrder):
            return await self._report(action)
        if isinstance(action, CorrectPatient):
            return await self._correct(action, requester, origin)
        if isinstance(action, MergePatients | ChangePatientId):
            return await self._lead(action, requester, origin)
        return action.why

    async def _report(self, action: ReportOrder) -> str:
        report = action.report
        if await self._is_done(report):
            return "done before"
        record = await self._orders.order(report.partition, report.order)
        if record is None:
            raise MessageRefused(MessageProblem(ErrorCode.UNKNOWN_KEY, NO_SUCH_ORDER, Spot("OBR", field=18)))
        order = record[0]
        if not _may_be_of(order, action.patient):
            raise MessageRefused(MessageProblem(ErrorCode.UNKNOWN_KEY, OF_ANOTHER, Spot("PID", field=3)))
        performed = await self._orders.performed_of(report.partition, report.order)
        verdict = await self._desk.report(replace(report, studies=tuple(studies_of(order, performed))))
        left = f"; {action.documents} documents in it are not kept" if action.documents else ""
        return _decided(verdict, f"report taken: {report.status}{left}", Spot("OBR", field=25))

    async def _is_done(self, action: PlacedOrder | OrderChange | OrderCancellation | OrderReport) -> bool:
        """Whether an earlier try of the same message did this, before it was refused for something else: later changes
        stay."""
        if is_first_attempt(action.change):
            return False
        history = await self._orders.history(action.partition, action.order)
        return any(
            change.accepted and is_same_but_for_attempt(change.event.change, action.change) for change in history
        )

    async def _correct(self, action: CorrectPatient, requester: Requester, origin: MessageOrigin) -> str:
        orders = await self._change_orders(action.patient, action.values, origin)
        known = await self._corrections.known_as(action.patient)
        awaited, values = known is None, action.values
        if known is None:
            if await self._corrections.is_led_on(action.patient):
                return "this Patient ID was given up; its orders say so now" if orders else NO_SUCH_PATIENT
            known = await self._corrections.corrected_as(action.patient)
            # Only images of orders can be on their way: they come with the worklist's values from before the update. A
            # confidential patient is so from the first image on, whoever orders it.
            values = values if orders else {name: values[name] for name in (_CONFIDENTIAL,) if name in values}
        # An update carries all values of a patient each time: known ones need no correction.
        news = {name: value for name, value in values.items() if known.get(name, {}) != _known(value)}
        if awaited and not orders and not news and not known:
            return NO_SUCH_PATIENT
        if not news:
            return "the patient is known like this"
        await _or_refused(self._corrections.correct_patient(action.patient, news, requester, awaited=awaited), "PID")
        return "patient corrected, for what comes" if awaited else "patient corrected"

    async def _lead(self, action: MergePatients | ChangePatientId, requester: Requester, origin: MessageOrigin) -> str:
        values = {**action.values, **action.into.values}
        prior = await self._corrections.known_as(action.prior)
        into = await self._corrections.known_as(action.into)
        if await self._corrections.leads_to(action.prior, action.into):
            await self._change_orders(action.prior, values, origin)
            return "the patients are merged already"
        if prior is None:
            # A patient without a name is merged while the images of the emergency are still at the modality.
            renamed = isinstance(action, ChangePatientId) and into is None
            made = self._corrections.await_under(action.prior, action.into, action.values, requester, renamed=renamed)
            await _or_refused(made, "MRG")
        elif isinstance(action, ChangePatientId) or into is None:
            # A merge into a patient who is unknown here changes the patient's ID.
            await _or_refused(self._corrections.rename(action.prior, action.into, requester), "MRG")
        else:
            await _or_refused(self._corrections.merge(action.prior, action.into, requester), "MRG")
        await self._change_orders(action.prior, values, origin)
        return "patients merged" if isinstance(action, MergePatients) else "patient identifier changed"

    async def _change_orders(self, patient: PatientIdentity, values: Mapping[str, Any], origin: MessageOrigin) -> int:
        """Set the values of a patient in that patient's orders. Returns how many there are."""
        changes, number = changes_of(values), 0
        async for key, order in self._orders_of(patient):
            number += 1
            news = {tag: value for tag, value in changes.items() if order.attributes.get(tag) != value}
            # A cancelled order is history: its values stay.
            if not news or order.cancelled:
                continue
            change, source = f"{origin.change}-{key}", origin.source
            command = OrderChange(key, news, source, {}, origin.message, change, origin.trace)
            _decided(await self._desk.change(command), "")
        return number

    async def _orders_of(self, patient: PatientIdentity) -> AsyncIterator[tuple[str, Order]]:
        query = StepQuery(DEFAULT_PARTITION, {PATIENT_ID: Single((patient.patient_id,))}, orders=True)
        keys = dict.fromkeys([step.order async for page in self._orders.find(query) for step in page])
        for key in sorted(keys):
            record = await self._orders.order(DEFAULT_PARTITION, key)
            if record is not None and _is_of(record[0], patient):
                yield key, record[0]


def _is_of(order: Order, patient: PatientIdentity) -> bool:
    attributes = order.attributes
    identity = first(attributes, PATIENT_ID), first(attributes, ISSUER_OF_PATIENT_ID)
    return identity == (patient.patient_id, patient.issuer)


def _may_be_of(order: Order, patient: PatientIdentity) -> bool:
    """Whether no value of the patient that both have differs."""
    identity = first(order.attributes, PATIENT_ID), first(order.attributes, ISSUER_OF_PATIENT_ID)
    both = zip(identity, (patient.patient_id, patient.issuer), strict=True)
    return all(ours == theirs for ours, theirs in both if ours and theirs)


def _known(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """An element as it is known of a patient: without a value it is not known at all."""
    return element if element.get("Value") else {}


def _decided(verdict: Verdict[Order], words: str, spot: Spot = _ORDER) -> str:
    if not verdict.accepted:
        raise MessageRefused(MessageProblem(ErrorCode.UNKNOWN_KEY, verdict.reason, spot))
    return words


async def _or_refused(work: Any, segment: str) -> None:
    try:
        await work
    except (Conflicting, NotFound) as error:
        raise MessageRefused(MessageProblem(ErrorCode.UNKNOWN_KEY, str(error), Spot(segment))) from error
    except NotUnderstood as error:
        raise MessageRefused(MessageProblem(ErrorCode.DATA_TYPE, str(error), Spot(segment))) from error
