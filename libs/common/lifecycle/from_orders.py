"""Values that a coercion rule takes from an order that the archive knows: how it is looked for, and what is taken
(pure). Who follows the orders answers the questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.matching import Condition, Item, Range, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    MODALITY,
    PATIENT_ID,
    SCHEDULED_PROCEDURE_STEP_ID,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
)
from gantry.common.lifecycle.correctable import OF_PATIENT

REQUEST_ATTRIBUTES = TAGS["RequestAttributesSequence"]
Attributes = Mapping[int, Sequence[Any]]


class OrderKey(StrEnum):
    """What an order is found by. Of a step's ID, which is unique within its system only, the patient must agree; of a
    patient an order counts that has a step of the object's modality on the day of its study."""

    STUDY = "StudyInstanceUID"
    ACCESSION = "AccessionNumber"
    STEP = "ScheduledProcedureStepID"
    PATIENT = "PatientID"


class OrderOutcome(StrEnum):
    """What came of looking for an order: `several` is as good as none, `away` that the orders could not be asked."""

    FOUND = "found"
    NONE = "none"
    SEVERAL = "several"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class OrderQuestion:
    """What an object says that leads to its order, "" where it says nothing; `by` in the order in which it is tried."""

    by: tuple[OrderKey, ...]
    study: str = ""
    accession: str = ""
    steps: tuple[str, ...] = ()
    patient: str = ""
    issuer: str = ""
    modality: str = ""
    day: str = ""

    def conditions(self, key: OrderKey) -> dict[int, Condition] | None:
        """Those on a worklist item of the order; None where the object does not say enough."""
        patient = Single((self.patient,))
        if key is OrderKey.STUDY:
            return {STUDY_INSTANCE_UID: Single((self.study,))} if self.study else None
        if key is OrderKey.ACCESSION:
            return {ACCESSION_NUMBER: Single((self.accession,))} if self.accession else None
        if key is OrderKey.STEP:
            of_step: dict[int, Condition] = {SCHEDULED_PROCEDURE_STEP_ID: Single(self.steps)}
            is_complete = bool(self.patient and self.steps)
        else:
            day = Range(self.day, self.day)
            of_step = {MODALITY: Single((self.modality,)), SCHEDULED_PROCEDURE_STEP_START_DATE: day}
            is_complete = bool(self.patient and self.modality and self.day)
        return {PATIENT_ID: patient, SCHEDULED_PROCEDURE_STEP_SEQUENCE: Item(of_step)} if is_complete else None

    def agrees(self, order: Attributes) -> bool:
        """Whether an order of this Patient ID is of this patient: an ID without an issuer may be."""
        issuer = _first(order, ISSUER_OF_PATIENT_ID)
        return not issuer or not self.issuer or issuer == self.issuer


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """What came of a question, and the values of the order as images of it say them."""

    outcome: OrderOutcome
    values: Attributes = field(default_factory=dict)


Answers = Mapping[OrderQuestion, OrderAnswer]


@dataclass(frozen=True, slots=True)
class FromOrder:
    """`order`: the values that the order has of the attributes `copied`. Without an order it changes nothing; what the
    order does not say stays, but for what the object says of another patient than the order's."""

    by: tuple[OrderKey, ...]
    copied: frozenset[int]

    @property
    def reads(self) -> frozenset[int]:
        """The attributes that decide what it does."""
        own = (STUDY_INSTANCE_UID, ACCESSION_NUMBER, PATIENT_ID, ISSUER_OF_PATIENT_ID, MODALITY, STUDY_DATE)
        return self.copied | {*own, REQUEST_ATTRIBUTES}

    def question(self, attributes: Attributes) -> OrderQuestion:
        """The order of an object that says this."""
        requests = [item for item in attributes.get(REQUEST_ATTRIBUTES, ()) if isinstance(item, dict)]
        steps = (_first(item, SCHEDULED_PROCEDURE_STEP_ID) for item in requests)
        accession = _first(attributes, ACCESSION_NUMBER)
        return OrderQuestion(
            self.by,
            _first(attributes, STUDY_INSTANCE_UID),
            # PS3.3 C.7.2.1: it is in the items where the procedures of several orders were done as one.
            accession or next(filter(None, (_first(item, ACCESSION_NUMBER) for item in requests)), ""),
            tuple(dict.fromkeys(filter(None, steps))),
            _first(attributes, PATIENT_ID),
            _first(attributes, ISSUER_OF_PATIENT_ID),
            _first(attributes, MODALITY),
            dates.date(_first(attributes, STUDY_DATE)) or "",
        )

    def values(self, attributes: Attributes, order: Attributes) -> Iterator[tuple[int, Sequence[Any]]]:
        """What it puts into an object, by tag; no values where it empties one."""
        other = _is_another_patient(attributes, order) and PATIENT_ID in self.copied
        for tag in sorted(self.copied):
            if order.get(tag):
                yield tag, order[tag]
            elif other and (tag in OF_PATIENT or tag == ISSUER_OF_PATIENT_ID):
                yield tag, ()


def _is_another_patient(attributes: Attributes, order: Attributes) -> bool:
    ids = _first(attributes, PATIENT_ID), _first(order, PATIENT_ID)
    issuers = _first(attributes, ISSUER_OF_PATIENT_ID), _first(order, ISSUER_OF_PATIENT_ID)
    return all(ids) and (ids[0] != ids[1] or (all(issuers) and issuers[0] != issuers[1]))


def _first(attributes: Attributes, tag: int) -> str:
    values = attributes.get(tag)
    return text_of(values[0]).strip() if values else ""
