"""Orders as documents of the DICOM JSON model, and documents as orders (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from gantry.common.dicom.model.json_writing import Attributes as Document
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.tags import (
    RETRIEVE_URL,
    SCHEDULED_PROCEDURE_STEP_ID,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_STATUS,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import NotUnderstood
from gantry.common.events import (
    OrderCancelled,
    OrderChanged,
    OrderErased,
    OrderPlaced,
    OrderReported,
    ProcedureStepErased,
    StudyLinked,
    StudyUnlinked,
    WorkitemErased,
    WorkitemStateRequested,
    WorkitemSubscriptionSuspended,
    WorkitemUnsubscribed,
)
from gantry.common.lifecycle.correctable import require_elements, unpadded
from gantry.common.lifecycle.patients import values_of
from gantry.common.orders import (
    Attributes,
    Changes,
    Order,
    PerformedStep,
    ResultReport,
    StepState,
    first,
    items,
    unpack,
)
from gantry.common.ports.orders import FoldedChange
from gantry.common.web.routes import BASE

_LONGEST_STEP_ID = 16
_KINDS = {OrderPlaced: "placed", OrderChanged: "changed", OrderReported: "reported"}
_LINKS = {StudyLinked: "linked", StudyUnlinked: "unlinked"}


def order_url(key: str) -> str:
    """The path of an order."""
    return f"{BASE}/orders/{quote(key, safe='')}"


def document_of(order: Order, states: Mapping[str, StepState]) -> Document:
    """An order with the state of each step in Scheduled Procedure Step Status, and its path in Retrieve URL."""
    whole = order.whole
    for item in whole[SCHEDULED_PROCEDURE_STEP_SEQUENCE]:
        state = states.get(first(item, SCHEDULED_PROCEDURE_STEP_ID))
        if state is not None:
            item[SCHEDULED_PROCEDURE_STEP_STATUS] = [state.value]
    return keys_as_attributes({**whole, RETRIEVE_URL: [order_url(order.key)]})


def performed_document(step: PerformedStep) -> Document:
    """A performed procedure step, with its SOP Instance UID."""
    return keys_as_attributes({**step.attributes, SOP_INSTANCE_UID: [step.uid]})


def report_document(report: ResultReport) -> dict[str, Any]:
    """A report, with its content as attributes."""
    return {
        "status": report.status.value,
        "at": report.at,
        "by": report.source,
        "message": report.message,
        "studies": list(report.studies),
        "attributes": keys_as_attributes(report.attributes),
    }


def links_document(order: Order) -> list[dict[str, str]]:
    """The studies that are linked to an order, each with the correction that gives it the order's attributes."""
    return [{"study": study, "correction": correction} for study, correction in sorted(order.linked.items())]


def placed_attributes(document: Mapping[str, Any], new_uid: Callable[[], str]) -> dict[int, list[Any]]:
    """The attributes of an order to place. A study without a Study Instance UID gets one, since a worklist item has to
    name it (PS3.4 table K.6-1), and steps without a Scheduled Procedure Step ID their number. Raises `NotUnderstood`,
    in words, for a document that is not an order."""
    attributes = _attributes(document)
    if not first(attributes, STUDY_INSTANCE_UID):
        attributes[STUDY_INSTANCE_UID] = [new_uid()]
    steps = items(attributes, SCHEDULED_PROCEDURE_STEP_SEQUENCE)
    attributes[SCHEDULED_PROCEDURE_STEP_SEQUENCE] = [
        {SCHEDULED_PROCEDURE_STEP_ID: [str(number)], **step} for number, step in enumerate(steps, 1)
    ]
    for step in attributes[SCHEDULED_PROCEDURE_STEP_SEQUENCE]:
        if len(first(step, SCHEDULED_PROCEDURE_STEP_ID)) > _LONGEST_STEP_ID:
            raise NotUnderstood("ScheduledProcedureStepID: not a value of SH (PS3.5 6.2)")
    return attributes


def changed_attributes(document: Mapping[str, Any]) -> tuple[Changes, dict[str, Changes | None]]:
    """Attributes to set of an order, and of its steps by Scheduled Procedure Step ID, which each item needs. Attributes
    that are null, or have no value, are removed. Raises `NotUnderstood`."""
    changes = _changes(document)
    steps = changes.pop(SCHEDULED_PROCEDURE_STEP_SEQUENCE, None)
    by_step: dict[str, Changes | None] = {}
    for step in steps or ():
        id_ = first(step, SCHEDULED_PROCEDURE_STEP_ID)
        if not id_ or id_ in by_step:
            raise NotUnderstood("ScheduledProcedureStepSequence: each item needs a ScheduledProcedureStepID of its own")
        by_step[id_] = step
    return changes, by_step


def entry_of(change: FoldedChange) -> dict[str, Any]:
    """One event of an order's history."""
    event = change.event
    entry: dict[str, Any] = {"change": event.change, "at": event.at, "by": event.source, "message": event.message}
    entry |= {"accepted": change.accepted, "refused": change.reason}
    if isinstance(event, OrderCancelled):
        return {"type": "cancelled", **entry, "steps": list(event.steps), "reason": event.reason}
    if isinstance(event, OrderErased | ProcedureStepErased | WorkitemErased):
        return {"type": "erased", **entry, "reason": event.reason}
    if isinstance(event, StudyLinked | StudyUnlinked):
        return {"type": _LINKS[type(event)], **entry, "study": event.study_instance_uid, "reason": event.reason}
    if isinstance(event, WorkitemStateRequested):
        return {"type": "state requested", **entry, "state": event.state}
    if isinstance(event, WorkitemUnsubscribed | WorkitemSubscriptionSuspended):
        return {"type": "subscription", **entry}
    if isinstance(event, OrderReported):
        entry |= {"status": event.status, "studies": list(event.studies)}
    try:
        entry["attributes"] = _shown(unpack(event.attributes))
        if isinstance(event, OrderChanged):
            steps = unpack(event.step_attributes)
            entry["steps"] = {
                step: None if attributes is None else _shown(attributes) for step, attributes in steps.items()
            }
    except NotUnderstood:
        entry["attributes"] = None
    return {"type": _KINDS.get(type(event), "step"), **entry}


def _shown(changes: Changes) -> Document:
    """Removed attributes are shown empty."""
    return keys_as_attributes({tag: values or [] for tag, values in changes.items()})


def _attributes(document: Mapping[str, Any]) -> dict[int, list[Any]]:
    return {tag: values for tag, values in _changes(document).items() if values is not None}


def _changes(document: Mapping[str, Any]) -> dict[int, Any]:
    elements = unpadded({name: element for name, element in document.items() if element is not None})
    require_elements(elements)
    taken = {int(name, 16): None for name in document.keys() - elements.keys() if _is_tag(name)}
    changes: dict[int, Any] = {int(name, 16): values_of(element) or None for name, element in elements.items()}
    return {tag: values for tag, values in {**taken, **changes}.items() if tag not in _OURS}


def _is_tag(name: str) -> bool:
    return len(name) == 8 and all(digit in "0123456789ABCDEF" for digit in name)


_OURS = frozenset((SPECIFIC_CHARACTER_SET, RETRIEVE_URL))
"""A document is UTF-8 (PS3.18 F.2), and the caller cannot set the URL of an order."""
__all__ = [
    "Attributes",
    "changed_attributes",
    "document_of",
    "entry_of",
    "links_document",
    "order_url",
    "placed_attributes",
]
