"""Which studies at another archive are priors for an order, and whose they are (pure).

A patient is known by Patient ID and issuer; the birth date is compared as well, since archives answer for more than
they were asked, and IDs were given twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gantry.common.dicom.query import dates
from gantry.common.dicom.standard.tags import (
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
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.ids import is_uid
from gantry.common.lifecycle import Period
from gantry.common.orders import Order, StepState, first, items
from gantry.common.orders.states import IDLE

Answer = Mapping[int, Sequence[str]]
"""A match of C-FIND: texts by tag."""
_WILDCARDS = frozenset("*?\\")


@dataclass(frozen=True, slots=True)
class PriorRule:
    """One rule; where a collection is empty, everything fits. `most` are fetched from one archive, the newest."""

    name: str
    ask: tuple[str, ...]
    modalities: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    prior_modalities: frozenset[str] = frozenset()
    within: Period | None = None
    most: int = 3
    dry_run: bool = False

    def applies(self, wanted: Wanted) -> bool:
        """Whether priors are fetched for an order."""
        if self.modalities and not self.modalities & wanted.modalities:
            return False
        return not self.codes or bool(self.codes & wanted.codes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of an order with steps that are to come: its patient, the studies that are its own, modalities of
    these steps, codes as `VALUE` and `VALUE^SCHEME`, and the last day on which one begins ("" where none says)."""

    patient_id: str
    issuer: str
    birth_date: str
    studies: frozenset[str]
    modalities: frozenset[str]
    codes: frozenset[str]
    begins: str


@dataclass(frozen=True, slots=True)
class Prior:
    """A study to be fetched. `instances` is how many the other archive says it has, None where it does not say."""

    study_instance_uid: str
    day: str
    instances: int | None


def wanted_of(order: Order, states: Mapping[str, StepState]) -> Wanted | None:
    """What an order wants priors for; None where nothing of it is to come, or it does not say whose it is. An ID with
    a wildcard would be answered with other patients."""
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
    return Wanted(
        patient_id,
        first(order.attributes, ISSUER_OF_PATIENT_ID).strip(),
        first(order.attributes, PATIENT_BIRTH_DATE).strip(),
        frozenset((first(order.attributes, STUDY_INSTANCE_UID), *order.linked)),
        frozenset(first(step.attributes, MODALITY) for step in steps) - {""},
        frozenset(codes),
        max((first(step.attributes, SCHEDULED_PROCEDURE_STEP_START_DATE) for step in steps), default=""),
    )


def identifier(wanted: Wanted) -> dict[int, list[str]]:
    """The keys of the C-FIND at the STUDY level of the Study Root (PS3.4 C.6.2.1.2). The issuer is asked for, and not
    matched: many archives have none, and would answer with nothing."""
    asked_for = (
        *(PATIENT_BIRTH_DATE, ISSUER_OF_PATIENT_ID, STUDY_INSTANCE_UID, STUDY_DATE, STUDY_TIME),
        *(MODALITIES_IN_STUDY, NUMBER_OF_STUDY_RELATED_INSTANCES),
    )
    return {QUERY_RETRIEVE_LEVEL: ["STUDY"], PATIENT_ID: [wanted.patient_id], **{tag: [] for tag in asked_for}}


def is_same_patient(wanted: Wanted, answer: Answer) -> bool:
    """Whether a match is of the patient of the order: the ID is the same, nothing that both say differs, and one of
    issuer and birth date is said by both."""
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


def priors_in(rule: PriorRule, wanted: Wanted, answers: Iterable[Answer], today: date) -> list[Prior]:
    """The priors among the matches of one archive, the newest first. One without a date is none where the rule has an
    age; what the order itself is to make is none."""
    found: dict[str, tuple[str, Prior]] = {}
    for answer in answers:
        uid = _text(answer, STUDY_INSTANCE_UID)
        day = dates.date(_text(answer, STUDY_DATE)) or ""
        if not is_uid(uid) or uid in wanted.studies or not is_same_patient(wanted, answer):
            continue
        if not _is_kind(rule.prior_modalities, answer) or not _is_young(rule.within, day, today):
            continue
        count = _text(answer, NUMBER_OF_STUDY_RELATED_INSTANCES)
        prior = Prior(uid, day, int(count) if count.isdecimal() else None)
        found[uid] = (day + _text(answer, STUDY_TIME), prior)
    newest = sorted(found.values(), key=lambda one: (one[0], one[1].study_instance_uid), reverse=True)
    return [prior for _, prior in newest[: rule.most]]


def _is_kind(modalities: Collection[str], answer: Answer) -> bool:
    return not modalities or any(one.strip() in modalities for one in answer.get(MODALITIES_IN_STUDY, ()))


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
