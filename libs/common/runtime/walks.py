"""The walk of a study from its own identity along the merges in force (`gantry.common.lifecycle.effect_of`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.lifecycle import CorrectionEffect, Corrections, corrected, effect_of, holders
from gantry.common.ports.index import CorrectedStudy, ReadIndex


async def study_at(index: ReadIndex, partition: str, study: str, until: int | None = None) -> CorrectedStudy | None:
    """The corrections behind the shown values of a study, now or at `until` (microseconds since the epoch), when its
    walk may have included other patients. None if it does not exist. Raises `DependencyUnavailable`."""
    corrected_study = await index.corrected(partition, study)
    if corrected_study is None:
        return None
    _, known = await _walked(
        index, partition, study, corrected_study.own, corrected_study.corrections, dict(corrected_study.patients), until
    )
    return replace(corrected_study, patients=known)


async def corrected_attributes(index: ReadIndex, partition: str, study: str, own: Mapping[int, Any]) -> dict[int, Any]:
    """The shown values of a study, present or deleted, whose own values are `own`. Raises `DependencyUnavailable`."""
    of_study = await index.corrections(partition, study)
    effect, _ = await _walked(index, partition, study, own, of_study, {})
    return corrected(own, effect.applied)


async def patients_of(index: ReadIndex, partition: str, study: str, own: Mapping[int, Any]) -> list[str]:
    """The keys of possible holds on the patient of a study: of every patient on its walk, and of the Patient IDs that
    it had and has, with any issuer. Raises `DependencyUnavailable`."""
    of_study = await index.corrections(partition, study)
    effect, known = await _walked(index, partition, study, own, of_study, {})
    merges = [correction for patient in effect.walk for correction in known[patient].standing() if correction.into]
    attribute_sets = [own, *(corrected({}, [merge]) for merge in (*of_study.standing(), *merges))]
    keys = [key for attributes in attribute_sets for key in _holders(attributes)]
    return list(dict.fromkeys([*keys, *effect.walk]))


async def _walked(
    index: ReadIndex,
    partition: str,
    study: str,
    own: Mapping[int, Any],
    of_study: Corrections,
    known: dict[str, Corrections],
    until: int | None = None,
) -> tuple[CorrectionEffect, dict[str, Corrections]]:
    """The effect, and the corrections of the patients that were read on the way."""
    while True:
        effect = effect_of(own, study, of_study, known, until)
        if isinstance(effect, CorrectionEffect):
            return effect, known
        known[effect.patient] = await index.corrections(partition, patient=effect.patient)


def _holders(attributes: Mapping[int, Any]) -> list[str]:
    return holders(_text(attributes, PATIENT_ID), _text(attributes, ISSUER_OF_PATIENT_ID))


def _text(attributes: Mapping[int, Any], tag: int) -> str:
    return str(next(iter(attributes.get(tag) or ()), "") or "")
