"""Which studies at another archive are priors for an order, of the same patient (pure).

A patient is identified by Patient ID and issuer; the birth date is compared as well, since archives answer with more
than was asked, and some IDs were assigned twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gantry.common.amounts import counted
from gantry.common.dicom.encoding.values import whole_number
from gantry.common.dicom.query import dates
from gantry.common.dicom.standard.tags import (
    BODY_PART_EXAMINED,
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    MODALITY,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    REQUESTED_PROCEDURE_CODE_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROTOCOL_CODE_SEQUENCE,
    SOP_CLASSES_IN_STUDY,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Command, Element
from gantry.common.ids import is_uid
from gantry.common.lifecycle import Period
from gantry.common.orders import Order, StepState, first, items
from gantry.common.orders.states import IDLE
from gantry.common.statuses import SUB_OPERATIONS_FAILED, SUCCESS, status_words

Answer = Mapping[int, Sequence[str]]
"""A match of C-FIND: texts by tag."""
_WILDCARDS = frozenset("*?\\")
SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
"""The transfer syntaxes proposed to other archives."""
MOVE, GET = "move", "get"
OF_ORDER = "from order"
"""In place of a body part: that of the order."""


@dataclass(frozen=True, slots=True)
class PriorRule:
    """One rule; an empty collection matches everything. At most the newest `most` are fetched from one archive. `by` is
    the operation, `MOVE` or `GET`; one of `body_parts` may be `OF_ORDER`."""

    name: str
    ask: tuple[str, ...]
    modalities: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    prior_modalities: frozenset[str] = frozenset()
    within: Period | None = None
    most: int = 3
    dry_run: bool = False
    by: str = MOVE
    body_parts: frozenset[str] = frozenset()

    def applies(self, wanted: FutureOrder) -> bool:
        """Whether priors are fetched for an order."""
        if self.modalities and not self.modalities & wanted.modalities:
            return False
        return not self.codes or bool(self.codes & wanted.codes)


@dataclass(frozen=True, slots=True)
class FutureOrder:
    """What is known of an order with future steps: its patient, its own studies, the modalities of these steps, codes
    as `VALUE` and `VALUE^SCHEME`, the last day on which one begins ("" if none says), and their body parts, in
    capitals."""

    patient_id: str
    issuer: str
    birth_date: str
    studies: frozenset[str]
    modalities: frozenset[str]
    codes: frozenset[str]
    begins: str
    body_parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prior:
    """A study to be fetched. `instances` is how many the other archive says it has, None if it does not say;
    `sop_classes` are those that it reports."""

    study_instance_uid: str
    day: str
    instances: int | None
    sop_classes: tuple[str, ...] = ()


def future_order_of(order: Order, states: Mapping[str, StepState]) -> FutureOrder | None:
    """What an order wants priors for; None if it has no future step or no usable Patient ID. An ID with a wildcard
    would match other patients."""
    steps = [step for step in order.steps.values() if states.get(step.id) in IDLE]
    patient_id = first(order.attributes, PATIENT_ID).strip()
    if not steps or not patient_id or _WILDCARDS & set(patient_id):
        return None
    sequences = [items(order.attributes, REQUESTED_PROCEDURE_CODE_SEQUENCE)]
    sequences += [items(step.attributes, SCHEDULED_PROTOCOL_CODE_SEQUENCE) for step in steps]
    codes: set[str] = set()
    for code in (item for sequence in sequences for item in sequence):
        value, scheme = first(code, CODE_VALUE), first(code, CODING_SCHEME_DESIGNATOR)
        codes |= {value, f"{value}^{scheme}"} if value else set()
    attribute_sets = [order.attributes, *(step.attributes for step in steps)]
    return FutureOrder(
        patient_id,
        first(order.attributes, ISSUER_OF_PATIENT_ID).strip(),
        first(order.attributes, PATIENT_BIRTH_DATE).strip(),
        frozenset((first(order.attributes, STUDY_INSTANCE_UID), *order.linked)),
        frozenset(first(step.attributes, MODALITY) for step in steps) - {""},
        frozenset(codes),
        max((first(step.attributes, SCHEDULED_PROCEDURE_STEP_START_DATE) for step in steps), default=""),
        frozenset(first(attributes, BODY_PART_EXAMINED).strip().upper() for attributes in attribute_sets) - {""},
    )


def identifier(wanted: FutureOrder, by: str = MOVE) -> dict[int, list[str]]:
    """The keys of the C-FIND at the STUDY level of the Study Root (PS3.4 C.6.2.1.2). The issuer is a return key, not a
    matching key: many archives have none, and would return nothing. SOP classes are needed only for a C-GET."""
    asked_for = (
        *(PATIENT_BIRTH_DATE, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID, STUDY_DATE, STUDY_TIME),
        *(MODALITIES_IN_STUDY, NUMBER_OF_STUDY_RELATED_INSTANCES),
        *((SOP_CLASSES_IN_STUDY,) if by == GET else ()),
    )
    return {QUERY_RETRIEVE_LEVEL: ["STUDY"], PATIENT_ID: [wanted.patient_id], **{tag: [] for tag in asked_for}}


def is_same_patient(wanted: FutureOrder, answer: Answer) -> bool:
    """Whether a match is of the patient of the order: the ID is the same, no attribute that both have differs, and both
    have the issuer or the birth date."""
    issuer, birth_date = _text(answer, ISSUER_OF_PATIENT_ID), _text(answer, PATIENT_BIRTH_DATE)
    if _text(answer, PATIENT_ID) != wanted.patient_id:
        return False
    agree = 0
    for ours, theirs in ((wanted.issuer, issuer), (wanted.birth_date, birth_date)):
        if ours and theirs:
            if ours != theirs:
                return False
            agree += 1
    return agree > 0


def priors_in(rule: PriorRule, wanted: FutureOrder, answers: Iterable[Answer], today: date) -> list[Prior]:
    """The priors among the matches of one archive, the newest first, before body parts and their number are considered.
    A study without a date is not a prior if the rule has an age limit; nor are the order's own studies."""
    priors: dict[str, tuple[str, Prior]] = {}
    for answer in answers:
        uid = _text(answer, STUDY_INSTANCE_UID)
        day = dates.date(_text(answer, STUDY_DATE)) or ""
        if not is_uid(uid) or uid in wanted.studies or not is_same_patient(wanted, answer):
            continue
        if not _is_kind(rule.prior_modalities, answer) or not _is_young(rule.within, day, today):
            continue
        count = _text(answer, NUMBER_OF_STUDY_RELATED_INSTANCES)
        classes = tuple(filter(is_uid, (value.strip() for value in answer.get(SOP_CLASSES_IN_STUDY, ()))))
        prior = Prior(uid, day, whole_number(count), classes)
        priors[uid] = (day + _text(answer, STUDY_TIME), prior)
    newest = sorted(priors.values(), key=lambda pair: (pair[0], pair[1].study_instance_uid), reverse=True)
    return [prior for _, prior in newest]


def body_parts_of(rule: PriorRule, wanted: FutureOrder) -> frozenset[str]:
    """The body parts that a rule wants for an order; empty if all match, also if the rule wants those of the order,
    which has none."""
    if OF_ORDER not in rule.body_parts:
        return rule.body_parts
    return rule.body_parts - {OF_ORDER} | wanted.body_parts


def shows(body_parts: frozenset[str], study_parts: frozenset[str]) -> bool:
    """Whether a study whose series have these body parts is wanted. A study without any is: readers ignore a study too
    many, but cannot know of a missing one."""
    return not body_parts or not study_parts or bool(body_parts & study_parts)


def why_not(final: Command | None, operation: str) -> str:
    """Why a C-MOVE or C-GET failed by its final response, "" if it succeeded. PS3.4 C.4.2.1.5: B000H without failures
    means that objects were stored with warnings."""
    if final is None:
        return f"gave no final response to {operation}"
    failed, warned = (
        final.number(element) for element in (Element.FAILED_SUB_OPERATIONS, Element.WARNING_SUB_OPERATIONS)
    )
    warns = final.status == SUB_OPERATIONS_FAILED and bool(warned) and not failed
    if final.status != SUCCESS and not warns:
        lacking = f": {counted(failed, 'object')} of a prior failed" if failed else ""
        return f"answered {status_words(final.status)} to {operation}{lacking}"
    return f"did not send {counted(failed, 'object')} of a prior" if failed else ""


def _is_kind(modalities: Collection[str], answer: Answer) -> bool:
    return not modalities or any(modality.strip() in modalities for modality in answer.get(MODALITIES_IN_STUDY, ()))


def _is_young(within: Period | None, day: str, today: date) -> bool:
    if within is None:
        return True
    try:
        made = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return within.after(made) > today


def _text(answer: Answer, tag: int) -> str:
    return next(iter(answer.get(tag, ())), "").strip()
