"""Corrections of studies and patients, with the values that are not in their events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import (
    Event,
    InstancesMoved,
    InstancesMovedBack,
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

_Made = StudyCorrected | PatientCorrected | PatientMerged | InstancesMoved
_Withdrawn = StudyCorrectionWithdrawn | PatientCorrectionWithdrawn | InstancesMovedBack
_Erased = StudyCorrectionsErased | PatientCorrectionsErased
CorrectionEvent = _Made | _Withdrawn | _Erased
_AT_ONCE = 32
"""Values that are read at once."""
logger = get_logger("indexer")


async def changes_of(objects: BlobStore, events: Iterable[Event]) -> list[CorrectionChange]:
    """The corrections of studies and patients that events add. Raises `DependencyUnavailable`."""
    corrections = [event for event in events if isinstance(event, CorrectionEvent)]
    changes: list[CorrectionChange] = []
    for start in range(0, len(corrections), _AT_ONCE):
        batch = corrections[start : start + _AT_ONCE]
        histories = await asyncio.gather(*[_corrections(objects, event) for event in batch])
        changes += [
            _change(event, history) for event, history in zip(batch, histories, strict=True) if history is not None
        ]
    return changes


async def _corrections(objects: BlobStore, event: CorrectionEvent) -> Corrections | None:
    """The correction that an event adds; None if its values cannot be read."""
    if isinstance(event, _Made):
        made = await _made(objects, event)
        return None if made is None else Corrections({made.id: made})
    if isinstance(event, _Withdrawn):
        return Corrections(withdrawn={_name(event): Withdrawal(event.at, event.by, event.reason)})
    return Corrections({name: Correction(name, 0, "", "", None) for name in event.corrections})


def _change(event: CorrectionEvent, corrections: Corrections) -> CorrectionChange:
    if isinstance(event, InstancesMoved | InstancesMovedBack):
        return CorrectionChange(event.partition, event.into_study, "", corrections)
    study, patient = getattr(event, "study_instance_uid", ""), getattr(event, "patient", "")
    return CorrectionChange(event.partition, study, patient, corrections)


async def _made(objects: BlobStore, event: _Made) -> Correction | None:
    """The correction of an event: None if its values were erased meanwhile; not applied if they cannot be read."""
    key = Receipt(_name(event)).values_key(event.partition)
    values: Values | None = None
    try:
        _, values = await read_values(objects, key)
    except NotFound:
        pass
    except NotUnderstood as error:
        logger.error("the values of a correction cannot be read: it does not apply", key=key, error=error)
        return None
    series = event.series_instance_uid if isinstance(event, StudyCorrected) else ""
    if isinstance(event, InstancesMoved):
        series = event.into_series
    into = event.into if isinstance(event, PatientMerged) else ""
    return Correction(_name(event), event.at, event.by, event.reason, values, series, into)


def _name(event: _Made | _Withdrawn) -> str:
    """The id of the correction: for the study that instances were moved to, the move is one."""
    return event.move if isinstance(event, InstancesMoved | InstancesMovedBack) else event.correction
