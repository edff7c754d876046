"""Order × event → verdict and order: what is refused is refused the same wherever the log is read (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gantry.common.dicom.standard.tags import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    SCHEDULED_PROCEDURE_STEP_ID,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
)
from gantry.common.errors import NotUnderstood
from gantry.common.events import (
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    StudyLinked,
    StudyUnlinked,
)
from gantry.common.orders.commands import Verdict
from gantry.common.orders.model import (
    Attributes,
    Changes,
    Order,
    ReportStatus,
    ResultReport,
    ScheduledStep,
    first,
    unpack,
)
from gantry.common.orders.values import ERASED, is_apart

OrderEvent = OrderPlaced | OrderChanged | OrderCancelled | OrderReported | OrderErased | StudyLinked | StudyUnlinked
_LONGEST_KEY = 512


class _Refusal(Exception):
    """Why an event is refused."""


def fold_order(order: Order | None, event: OrderEvent) -> Verdict[Order]:
    """The verdict on an event and, as its `state`, the order after it; `order` is what stood under its key before, None
    for nothing. A refused event changes nothing."""
    try:
        if isinstance(event, OrderErased):
            return Verdict(True, "", None)
        if is_apart(event):
            raise _Refusal(ERASED)
        if isinstance(event, OrderPlaced):
            return Verdict(True, "", _placed(event, order))
        if order is None:
            raise _Refusal("there is no such order")
        if isinstance(event, StudyUnlinked):
            return Verdict(True, "", _unlinked(order, event.study_instance_uid))
        if isinstance(event, OrderReported):
            return Verdict(True, "", _reported(order, event))
        if order.cancelled:
            raise _Refusal("the order is cancelled; it can be placed again")
        if isinstance(event, OrderChanged):
            return Verdict(True, "", _changed(order, unpack(event.attributes), unpack(event.step_attributes)))
        if isinstance(event, StudyLinked):
            return Verdict(True, "", _linked(order, event))
        return Verdict(True, "", _cancelled(order, event))
    except (_Refusal, NotUnderstood) as refusal:
        return Verdict(False, str(refusal), order)


def _placed(event: OrderPlaced, before: Order | None) -> Order:
    attributes = unpack(event.attributes)
    if not event.order or len(event.order) > _LONGEST_KEY:
        raise _Refusal("an accession number, a filler order number or a requested procedure id is needed")
    steps: dict[str, ScheduledStep] = {}
    for item in attributes.pop(SCHEDULED_PROCEDURE_STEP_SEQUENCE, None) or ():
        step = _step(item)
        if step.id in steps:
            raise _Refusal(f"two steps have the scheduled procedure step id {step.id}")
        steps[step.id] = step
    # What was made for an order stays so when a scheduling system sends it anew; a report, where it is of this patient.
    linked, report = ({}, None) if before is None else (before.linked, before.report)
    if before is not None and not _same_patient(before.attributes, attributes):
        report = None
    return Order(event.partition, event.order, attributes, steps, linked=linked, report=report)


def _same_patient(before: Attributes, now: Attributes) -> bool:
    """An issuer that only one of them names is none that differs."""
    issuers = {first(before, ISSUER_OF_PATIENT_ID), first(now, ISSUER_OF_PATIENT_ID)} - {""}
    return first(before, PATIENT_ID) == first(now, PATIENT_ID) and len(issuers) < 2


def _step(item: Any) -> ScheduledStep:
    id_ = first(item, SCHEDULED_PROCEDURE_STEP_ID) if isinstance(item, dict) else ""
    if not id_:
        raise _Refusal("a step without a scheduled procedure step id")
    return ScheduledStep(id_, item)


def _changed(order: Order, changes: Changes, by_step: Mapping[str, Changes | None]) -> Order:
    if SCHEDULED_PROCEDURE_STEP_SEQUENCE in changes:
        raise _Refusal("steps are changed by their scheduled procedure step id")
    steps = dict(order.steps)
    for id_, step_changes in by_step.items():
        if step_changes is None:
            if steps.pop(id_, None) is None:
                raise _Refusal(f"there is no step {id_}")
            continue
        step = steps.get(id_, ScheduledStep(id_, {SCHEDULED_PROCEDURE_STEP_ID: [id_]}))
        if step.cancelled:
            raise _Refusal(f"step {id_} is cancelled")
        if step_changes.get(SCHEDULED_PROCEDURE_STEP_ID, [id_]) != [id_]:
            raise _Refusal(f"step {id_} cannot have another scheduled procedure step id")
        steps[id_] = replace(step, attributes=with_changes(step.attributes, step_changes))
    return replace(order, attributes=with_changes(order.attributes, changes), steps=steps)


def with_changes(attributes: Attributes, changes: Changes) -> dict[int, list[Any]]:
    """Attributes with changes made; others stay as they are."""
    made = {tag: values for tag, values in attributes.items() if tag not in changes}
    return made | {tag: values for tag, values in changes.items() if values is not None}


def _cancelled(order: Order, event: OrderCancelled) -> Order:
    if not event.steps:
        return replace(order, cancelled=True, reason=event.reason)
    steps = dict(order.steps)
    for id_ in event.steps:
        if id_ not in steps:
            raise _Refusal(f"there is no step {id_}")
        if steps[id_].cancelled:
            raise _Refusal(f"step {id_} is cancelled already")
        steps[id_] = replace(steps[id_], cancelled=True)
    return replace(order, steps=steps)


def _reported(order: Order, event: OrderReported) -> Order:
    """Also of one that was cancelled: what was made before is reported on."""
    try:
        status = ReportStatus(event.status)
    except ValueError:
        raise _Refusal("no status of a report") from None
    report = ResultReport(status, unpack(event.attributes), event.at, event.source, event.message, tuple(event.studies))
    if not report.may_follow(order.report):
        raise _Refusal("the report is final already: a draft does not take its place")
    return replace(order, report=report)


def _linked(order: Order, event: StudyLinked) -> Order:
    if event.study_instance_uid in order.linked:
        raise _Refusal("the study is linked to this order already")
    return replace(order, linked={**order.linked, event.study_instance_uid: event.correction})


def _unlinked(order: Order, study: str) -> Order:
    if study not in order.linked:
        raise _Refusal("the study is not linked to this order")
    return replace(order, linked={uid: correction for uid, correction in order.linked.items() if uid != study})
