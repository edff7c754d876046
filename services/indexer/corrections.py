"""Corrections of studies and patients, with the values that their events do not carry."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import (
    Event,
    PatientCorrected,
    PatientCorrectionsErased,
    PatientCorrectionWithdrawn,
    PatientMerged,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
)
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Correction, Corrections, Values, Withdrawal
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import CorrectionChange
from gantry.common.runtime.corrections import read_values
from gantry.common.telemetry.logs import get_logger

_Made = StudyCorrected | PatientCorrected | PatientMerged
_Withdrawn = StudyCorrectionWithdrawn | PatientCorrectionWithdrawn
_Erased = StudyCorrectionsErased | PatientCorrectionsErased
CorrectionEvent = _Made | _Withdrawn | _Erased
logger = get_logger("indexer")


async def changes_of(objects: BlobStore, events: Iterable[Event]) -> list[CorrectionChange]:
    """What events add to the corrections of studies and patients. Raises `DependencyUnavailable`."""
    changes = []
    for event in events:
        if isinstance(event, _Made):
            if (made := await _made(objects, event)) is not None:
                changes.append(_change(event, Corrections({made.id: made})))
        elif isinstance(event, _Withdrawn):
            withdrawn = Withdrawal(event.at, event.by, event.reason)
            changes.append(_change(event, Corrections(withdrawn={event.correction: withdrawn})))
        elif isinstance(event, _Erased):
            erased = {one: Correction(one, 0, "", "", None) for one in event.corrections}
            changes.append(_change(event, Corrections(erased)))
    return changes


def _change(event: CorrectionEvent, corrections: Corrections) -> CorrectionChange:
    study, patient = getattr(event, "study_instance_uid", ""), getattr(event, "patient", "")
    return CorrectionChange(event.partition, study, patient, corrections)


async def _made(objects: BlobStore, event: _Made) -> Correction | None:
    """The correction of an event. One whose values were erased meanwhile has none; one whose values cannot be read does
    not apply."""
    key = Receipt(event.correction).values_key(event.partition)
    values: Values | None = None
    try:
        _, values = await read_values(objects, key)
    except NotFound:
        pass
    except NotUnderstood as error:
        logger.error("the values of a correction cannot be read: it does not apply", key=key, error=error)
        return None
    series = event.series_instance_uid if isinstance(event, StudyCorrected) else ""
    into = event.into if isinstance(event, PatientMerged) else ""
    return Correction(event.correction, event.at, event.by, event.reason, values, series, into)
