"""The content of messages about a patient: who was corrected or merged, and the patient's current identity."""

from __future__ import annotations

from typing import Any

from gantry.common.dicom.standard.tags import CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import RouteRequested
from gantry.common.hl7.patient_messages import PatientEvent, PatientNews
from gantry.common.lifecycle import Values
from gantry.common.lifecycle.corrections import IDENTITY_NAMES
from gantry.common.lifecycle.patients import values_of
from gantry.common.lifecycle.routes import PATIENT_CORRECTION, PATIENT_MERGE
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.corrections import identity_in, read_whose
from gantry.services.corrections import CorrectionDesk


class PatientNewsReader:
    """Reads from the object store who it was, and from the index what is known now."""

    def __init__(self, objects: BlobStore, desk: CorrectionDesk) -> None:
        self._objects = objects
        self._desk = desk

    async def news_of(self, route: RouteRequested) -> PatientNews | None:
        """The content for a route now; None if nothing is known of the patient any more, or an earlier release did not
        record who it is. Raises `DependencyUnavailable`."""
        try:
            record = await read_whose(self._objects, route.values_key)
            if record is None:
                return None
            patient, values = record
            into = patient if route.kind == PATIENT_CORRECTION else identity_in(values)
        except (NotFound, NotUnderstood):
            return None
        if route.kind == PATIENT_CORRECTION and not IDENTITY_NAMES.isdisjoint(values):
            return None  # the merge was undone: there is no message for that
        known = await self._desk.known_as(into)
        if known is None and route.kind == PATIENT_CORRECTION:
            return None
        attributes = _attributes({**(values if known is None else known), **into.values})
        if await self._desk.is_confidential(patient, into):
            # However it is expressed: for another ID of the patient, or for a study.
            attributes.setdefault(CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION, ("confidential",))
        about = route.route, route.at
        if route.kind == PATIENT_CORRECTION:
            return PatientNews(PatientEvent.UPDATED, attributes, *about)
        event = PatientEvent.MERGED if route.kind == PATIENT_MERGE else PatientEvent.RENAMED
        return PatientNews(event, attributes, *about, prior=_attributes(patient.values))


def _attributes(values: Values) -> dict[int, Any]:
    return {int(name, 16): texts for name, element in values.items() if (texts := values_of(element))}
