"""The walk of a study from its own identity along the merges that stand (`gantry.common.lifecycle.effect_of`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.lifecycle import Corrections, Effect, corrected, effect_of, holders
from gantry.common.ports.index import ReadIndex


async def effect_on(index: ReadIndex, partition: str, study: str, own: Mapping[int, Any]) -> Effect:
    """What applies to a study that says `own` of itself, there or deleted. Raises `DependencyUnavailable`."""
    of_study = await index.corrections(partition, study)
    known: dict[str, Corrections] = {}
    while True:
        found = effect_of(own, study, of_study, known)
        if isinstance(found, Effect):
            return found
        known[found.patient] = await index.corrections(partition, patient=found.patient)


async def patients_of(index: ReadIndex, partition: str, study: str, own: Mapping[int, Any]) -> list[str]:
    """The keys under which holds on the patient of a study may stand: of every patient on its walk, and of the Patient
    IDs that it had and has, whatever their issuer. Raises `DependencyUnavailable`."""
    effect = await effect_on(index, partition, study, own)
    said = [own, *(corrected({}, [one]) for one in effect.applied)]
    keys = [key for attributes in said for key in _holders(attributes)]
    return list(dict.fromkeys([*keys, *effect.walk]))


def _holders(attributes: Mapping[int, Any]) -> list[str]:
    return holders(_text(attributes, PATIENT_ID), _text(attributes, ISSUER_OF_PATIENT_ID))


def _text(attributes: Mapping[int, Any], tag: int) -> str:
    return str(next(iter(attributes.get(tag) or ()), "") or "")
