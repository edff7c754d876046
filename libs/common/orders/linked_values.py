"""What a study says of its order, taken from an order that it is linked to (pure).

The same attributes that a modality copies from its worklist into images (PS3.17 annex on identification in scheduled
workflow; IHE RAD TF-2 appendix A): those of the patient, of the request, and the steps in Request Attributes Sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    MODALITY,
    PATIENT_ID,
    REQUESTED_PROCEDURE_ID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import NotUnderstood
from gantry.common.orders.model import Attributes, Order, first

REQUEST_ATTRIBUTES = TAGS["RequestAttributesSequence"]
_OF_REQUEST = (
    STUDY_INSTANCE_UID,
    ACCESSION_NUMBER,
    REQUESTED_PROCEDURE_ID,
    TAGS["IssuerOfAccessionNumberSequence"],
    TAGS["RequestedProcedureDescription"],
    TAGS["RequestedProcedureCodeSequence"],
    TAGS["ReasonForTheRequestedProcedure"],
)
_OF_STEP = (
    TAGS["ScheduledProcedureStepID"],
    TAGS["ScheduledProcedureStepDescription"],
    TAGS["ScheduledProtocolCodeSequence"],
)
_SAID_OTHERWISE = {TAGS["RequestedProcedureCodeSequence"]: TAGS["ProcedureCodeSequence"]}
"""PS3.3 C.7.2.1: the procedure that was performed, which is the one that was asked for."""


def patient_of(order: Order) -> tuple[str, str]:
    """Patient ID and its issuer, "" where there is none. Raises `NotUnderstood` for an order without a patient."""
    patient = first(order.attributes, PATIENT_ID)
    if not patient:
        raise NotUnderstood("the order names no patient")
    return patient, first(order.attributes, ISSUER_OF_PATIENT_ID)


def study_values(order: Order, steps: Collection[str] | None = None) -> dict[int, list[Any]]:
    """Attributes of patient and request, as the images of a study of this order say them; of requests, of all steps,
    or of these."""
    own = {tag: values for tag, values in order.attributes.items() if tag != STUDY_INSTANCE_UID}
    others = {tag: own[source] for source, tag in _SAID_OTHERWISE.items() if source in own}
    requests = [*_requests(order, order.steps if steps is None else steps)]
    return {**own, **others, **({REQUEST_ATTRIBUTES: requests} if requests else {})}


def steps_of_object(order: Order, steps: Collection[str], modality: str) -> list[str]:
    """The Scheduled Procedure Step IDs of an order that an object is about: those that it names, if it names any of
    them; else those of its modality; else all."""
    named = [id_ for id_ in order.steps if id_ in steps]
    alike = [id_ for id_, step in order.steps.items() if first(step.attributes, MODALITY) == modality]
    return named or alike or [*order.steps]


def _requests(order: Order, steps: Collection[str]) -> Iterator[Attributes]:
    """One item for each step that may have been performed (PS3.3 10.6)."""
    request = {tag: order.attributes[tag] for tag in _OF_REQUEST if order.attributes.get(tag)}
    for step in order.steps.values():
        if step.id in steps and not step.cancelled:
            yield request | {tag: step.attributes[tag] for tag in _OF_STEP if step.attributes.get(tag)}
