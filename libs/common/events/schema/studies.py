"""Holds, access and completion of studies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """Nothing of the study may be deleted or collected while the hold stands, whoever asks."""

    partition: str
    trace: str
    study_instance_uid: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class HoldReleased:
    """The hold stands no longer."""

    partition: str
    trace: str
    study_instance_uid: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientHoldPlaced:
    """The same for all studies of a patient, those included that arrive later. `patient` is a digest of Patient ID and
    issuer (`gantry.common.lifecycle.patient_key`): what lies on the log and in segments names nobody."""

    partition: str
    trace: str
    patient: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class PatientHoldReleased:
    """The hold on a patient stands no longer."""

    partition: str
    trace: str
    patient: str
    hold: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyAccessed:
    """Something of the study was retrieved. Published where a retention rule counts from the last access, at most once
    a day for each study; by whom is not said."""

    partition: str
    trace: str
    study_instance_uid: str
    at: int


@dataclass(frozen=True, slots=True)
class StudyCompleted:
    """Nothing more is expected of a study for now. `reason`: "quiet" (nothing came for a while), "long" (something came
    all the time), "procedure step" (all that a step made is here). `added` instances came since the last one; it has
    `instances`, all of which can be found. What comes later makes it complete once more. The receipts that came sort
    between `first_receipt` and `last_receipt`."""

    partition: str
    trace: str
    study_instance_uid: str
    reason: str
    added: int
    instances: int
    first_receipt: str
    last_receipt: str
    at: int
    senders: tuple[str, ...] = ()
