"""What a message asks for, as values: nothing is done here."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.lifecycle import Values
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import OrderCancellation, OrderChange, OrderReport, PlacedOrder


@dataclass(frozen=True, slots=True)
class CorrectPatient:
    """The demographics of a patient are to be these (ADT^A08, A31)."""

    patient: PatientIdentity
    values: Values


@dataclass(frozen=True, slots=True)
class MergePatients:
    """All that is of `prior` is of `into`, whose demographics are `values` (ADT^A40)."""

    prior: PatientIdentity
    into: PatientIdentity
    values: Values


@dataclass(frozen=True, slots=True)
class ChangePatientId:
    """`prior` is called `into` from now on (ADT^A47)."""

    prior: PatientIdentity
    into: PatientIdentity
    values: Values


@dataclass(frozen=True, slots=True)
class ReportOrder:
    """A report on what was made for an order of `patient` came; so many `documents` in it are not kept."""

    report: OrderReport
    patient: PatientIdentity
    documents: int = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    """The message is acknowledged, and changes nothing here: `why`."""

    why: str


Action = (
    PlacedOrder
    | OrderChange
    | OrderCancellation
    | ReportOrder
    | CorrectPatient
    | MergePatients
    | ChangePatientId
    | Nothing
)


def in_words(action: Action) -> str:
    """What would be done, for a person at a console: with the names of things, and without a patient's name."""
    if isinstance(action, PlacedOrder):
        return f"place order {action.order}"
    if isinstance(action, OrderChange):
        steps = f", steps {', '.join(action.steps)}" if action.steps else ""
        return f"change order {action.order}: {len(action.attributes)} attributes{steps}"
    if isinstance(action, OrderCancellation):
        return f"cancel order {action.order}" + (f", steps {', '.join(action.steps)}" if action.steps else "")
    if isinstance(action, ReportOrder):
        left = f"; {action.documents} documents are not kept" if action.documents else ""
        return f"report on order {action.report.order}: {action.report.status}{left}"
    if isinstance(action, CorrectPatient):
        return f"correct patient {_named(action.patient)}: {len(action.values)} attributes"
    if isinstance(action, MergePatients):
        return f"merge patient {_named(action.prior)} into {_named(action.into)}"
    if isinstance(action, ChangePatientId):
        return f"change the Patient ID {_named(action.prior)} into {_named(action.into)}"
    return f"acknowledge it, and change nothing: {action.why}"


def _named(patient: PatientIdentity) -> str:
    return f"{patient.patient_id} (issuer {patient.issuer})" if patient.issuer else patient.patient_id
