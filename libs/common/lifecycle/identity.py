"""Who a patient is, as people and other systems name one: Patient ID and its issuer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.patients import patient_key


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Patient ID and its issuer, "" where there is none."""

    patient_id: str
    issuer: str = ""

    def __post_init__(self) -> None:
        """Raises `NotUnderstood` for what is no Patient ID or issuer (PS3.5 6.2, LO)."""
        for text in (self.patient_id, self.issuer):
            if len(text) > 64 or not text.isprintable() or "\\" in text or text != text.strip():
                raise NotUnderstood("not a Patient ID or issuer (PS3.5 6.2, LO)")
        if not self.patient_id:
            raise NotUnderstood("a Patient ID is needed")

    @property
    def key(self) -> str:
        """What stands for it on the log."""
        return patient_key({PATIENT_ID: [self.patient_id], ISSUER_OF_PATIENT_ID: [self.issuer]}, "")

    @property
    def values(self) -> dict[str, Mapping[str, object]]:
        """As attributes; one without issuer says so."""
        keys = {PATIENT_ID: [self.patient_id], ISSUER_OF_PATIENT_ID: [self.issuer] if self.issuer else []}
        return {**keys_as_attributes(keys)}
