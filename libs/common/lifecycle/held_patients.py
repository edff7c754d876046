"""Under which keys holds on a patient stand. A hold that names no issuer is on every patient of its Patient ID."""

from __future__ import annotations

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.lifecycle.patients import patient_key


def held_patient(patient_id: str, issuer: str = "") -> str:
    """The key of a patient on the log (`patient_key`)."""
    return patient_key({PATIENT_ID: [patient_id.strip()], ISSUER_OF_PATIENT_ID: [issuer.strip()]}, "")


def holder_of(patient: str) -> str:
    """What holds on a patient are called by in an index, beside those on studies: no UID."""
    return f"patient:{patient}"


def patient_of(holder: str) -> str:
    """The key of the patient on the log by what his holds are called by in an index; "" for that of a study."""
    return holder.removeprefix("patient:") if holder.startswith("patient:") else ""


def holders(patient_id: str, issuer: str = "") -> list[str]:
    """The keys under which holds on a patient may stand: with the issuer, and with none. None for a patient without an
    ID."""
    if not patient_id.strip():
        return []
    return list(dict.fromkeys((held_patient(patient_id), held_patient(patient_id, issuer))))


def holds_stand(number: int) -> str:
    """So many holds, in words."""
    return "1 hold stands" if number == 1 else f"{number} holds stand"
