"""Workitems for the priors of an order, which another system fetches (PS3.4 CC, PS3.3 B.26; pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from blake3 import blake3

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    REQUESTED_PROCEDURE_CODE_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROCEDURE_STEP_START_TIME,
    STUDY_INSTANCE_UID,
)
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Period
from gantry.common.orders import Order, StepState, first
from gantry.common.orders.states import IDLE
from gantry.common.web.routes import BASE
from gantry.services.retrieve.routing.priors import FutureOrder, PriorRule, body_parts_of
from gantry.services.retrieve.routing.work import PATIENT, Values, Work, code_item, scheduled

_REQUEST = (
    STUDY_INSTANCE_UID,
    ACCESSION_NUMBER,
    TAGS["IssuerOfAccessionNumberSequence"],
    TAGS["RequestedProcedureID"],
    TAGS["RequestedProcedureDescription"],
    REQUESTED_PROCEDURE_CODE_SEQUENCE,
    TAGS["ReferringPhysicianName"],
)
_MODALITY, _BODY_PART = code_item("121139^DCM^Modality"), code_item("123014^DCM^Target Region")
_AGE, _MOST = code_item("PRIOR_AGE^99GANTRY^No older than"), code_item("PRIOR_COUNT^99GANTRY^At most so many studies")


def prior_workitem_uid(order: Order, rule: str, number: int) -> str:
    """The SOP Instance UID: it stays the same if an order is changed, and differs for another patient. An order that
    was cancelled and is placed again gets a new one, with the next `number`, from 0."""
    return f"2.25.{int.from_bytes(_digest(order, rule, str(number))[:16], 'big')}"


def change_of(order: Order, rule: str, kind: str, at_us: int) -> str:
    """The name of an event of the workitem: the same if the change of the order at that time is read twice."""
    return Receipt(f"{at_us // 1000:012x}{_digest(order, rule, kind).hex()[:20]}").id


def with_output(work: Work, ae_title: str, url: str) -> Work:
    """The work of a rule: unless it says otherwise, priors are sent to us, by C-STORE to `ae_title` and, if our `url`
    is known, by STOW-RS."""
    ours = (ae_title, f"{url}{BASE}/studies") if url else (ae_title,)
    return work if work.output else replace(work, output=ours)


def attributes_of(
    work: Work, rule: PriorRule, order: Order, states: Mapping[str, StepState], wanted: FutureOrder, now_us: int
) -> Values:
    """The attributes of the workitem. There is no input, since the worker has to find out which studies are priors; the
    criteria of the rule are in Scheduled Processing Parameters Sequence."""
    made = {
        **scheduled(work, now_us),
        TAGS["InputInformationSequence"]: [],
        TAGS["ScheduledProcessingParametersSequence"]: list(_parameters(rule, wanted)),
        TAGS["ReferencedRequestSequence"]: [{tag: list(order.attributes.get(tag) or ()) for tag in _REQUEST}],
        **{tag: list(order.attributes.get(tag) or ()) for tag in PATIENT},
    }
    begins = _begins(order, states)
    return made | ({TAGS["ExpectedCompletionDateTime"]: [begins]} if begins else {})


def _begins(order: Order, states: Mapping[str, StepState]) -> str:
    """When the first future step begins, as DT; "" if none says."""
    to_come = [step.attributes for step in order.steps.values() if states.get(step.id) in IDLE]
    days = [(first(step, SCHEDULED_PROCEDURE_STEP_START_DATE), step) for step in to_come]
    begins = [f"{day}{first(step, SCHEDULED_PROCEDURE_STEP_START_TIME)}" for day, step in days if day]
    return min(begins, default="")


def _parameters(rule: PriorRule, wanted: FutureOrder) -> Iterable[Values]:
    for modality in sorted(rule.prior_modalities):
        yield _text(_MODALITY, modality)
    for part in sorted(body_parts_of(rule, wanted)):
        yield _text(_BODY_PART, part)
    if rule.within is not None:
        yield _text(_AGE, _duration(rule.within))
    yield _text(_MOST, str(rule.most))


def _duration(period: Period) -> str:
    """A period in the notation of ISO 8601."""
    parts = (period.years, "Y"), (period.months, "M"), (period.days, "D")
    return "P" + "".join(f"{number}{unit}" for number, unit in parts if number)


def _text(name: Values, value: str) -> Values:
    """A content item (PS3.3 table 10-2)."""
    return {TAGS["ValueType"]: ["TEXT"], TAGS["ConceptNameCodeSequence"]: [name], TAGS["TextValue"]: [value]}


def _digest(order: Order, rule: str, kind: str) -> bytes:
    patient = (first(order.attributes, tag).strip() for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID))
    return blake3("\0".join((order.partition, order.key, *patient, rule, kind)).encode()).digest()
