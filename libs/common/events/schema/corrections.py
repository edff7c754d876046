"""Corrections of studies and patients, and merges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyCorrected:
    """Attributes of a study, or of one series of it (`series_instance_uid`), were corrected. The values lie in an
    object of their own (`Receipt.values_key` of `correction`), since they name a patient, and this is kept for ever."""

    partition: str
    trace: str
    study_instance_uid: str
    correction: str
    series_instance_uid: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCorrectionWithdrawn:
    """A correction of a study stands no longer."""

    partition: str
    trace: str
    study_instance_uid: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCorrectionsErased:
    """The values of these corrections are no longer in the object store: nothing of the study is there any more."""

    partition: str
    trace: str
    study_instance_uid: str
    corrections: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrected:
    """The demographics of a patient were corrected. `patient` is a digest of Patient ID and issuer
    (`gantry.common.lifecycle.patient_key`); the values lie in an object of their own, as for `StudyCorrected`."""

    partition: str
    trace: str
    patient: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientMerged:
    """All that is of `patient`, and all that will come, belongs to the patient `into` from now on. `renamed`: that one
    was not known before, so that this is a change of Patient ID. The values are the identity and demographics of
    `into`, in an object of their own."""

    partition: str
    trace: str
    patient: str
    correction: str
    into: str
    renamed: bool
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrectionWithdrawn:
    """A correction of a patient, or a merge of it into another one, stands no longer."""

    partition: str
    trace: str
    patient: str
    correction: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientCorrectionsErased:
    """The values of these corrections and merges are no longer in the object store: nothing of the patient is there any
    more."""

    partition: str
    trace: str
    patient: str
    corrections: tuple[str, ...]
    at: int
