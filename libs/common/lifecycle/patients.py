"""Who the patient of a study is, after all corrections and merges, and what they make of its attributes.

A study has an identity of its own: Patient ID and issuer, as its objects say and as corrections of the study changed
them. A merge leads from one identity to another one. The walk from a study's own identity along the merges that stand
ends at its patient; corrections of every patient on the way apply. An unmerge takes one step away again, and what was
before is there: nothing of a study is rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgpack
from blake3 import blake3

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.lifecycle.corrections import IDENTITY_NAMES, Correction, Corrections, Values

_LONGEST_WALK = 1000

Attributes = dict[int, list[Any]]
"""Values by tag, as an index holds them; the items of a sequence are the same."""


def identity_of(attributes: Mapping[int, Any], study_uid: str) -> str:
    """Patients are distinguished by Patient ID and its issuer; without an ID, by their study: it is not known whether
    two of those are one person."""
    patient, issuer = (
        [text_of(value) for value in attributes.get(tag, []) if value] for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID)
    )
    return json.dumps([patient, issuer] if patient else study_uid)


def patient_key(attributes: Mapping[int, Any], study_uid: str) -> str:
    """A digest of the identity: an ID may have any length, and must not lie about for ever."""
    return digest_of(identity_of(attributes, study_uid))


def digest_of(identity: str) -> str:
    """The key of a patient of this identity."""
    return blake3(identity.encode()).hexdigest(length=20)


@dataclass(frozen=True, slots=True)
class CorrectionEffect:
    """What stands of corrections for one study: `applied` in the order in which they apply, and the keys of the
    patients on the walk, from the study's own to the one that it belongs to."""

    applied: tuple[Correction, ...]
    walk: tuple[str, ...]

    def pack(self) -> bytes:
        """`applied` as bytes; b"" where nothing applies."""
        packed: bytes = msgpack.packb([correction.packed() for correction in self.applied]) if self.applied else b""
        return packed


@dataclass(frozen=True, slots=True)
class Unknown:
    """The walk went to a patient whose corrections are not given: ask for those of `patient`, and begin again."""

    patient: str


def effect_of(
    own: Mapping[int, Any],
    study_uid: str,
    of_study: Corrections,
    of_patients: Mapping[str, Corrections],
    until: int | None = None,
) -> CorrectionEffect | Unknown:
    """What applies to a study that says `own` of itself; with `until` what applied then (microseconds since the epoch).

    Of two corrections of one attribute the later one wins; what a move made of an object comes before all of them. The
    identity is that of the patient at the end of the walk.
    """
    facts = of_study.standing(until)
    key = patient_key(corrected(own, facts), study_uid)
    walk, merges = [key], list[Correction]()
    while True:
        if key not in of_patients:
            return Unknown(key)
        standing = of_patients[key].standing(until)
        facts += [correction for correction in standing if not correction.into]
        # A circle is refused when it is asked for. Two that were made at once end where the walk would come back.
        merge = max(
            (correction for correction in standing if correction.into and correction.into not in walk),
            key=lambda m: m.id,
            default=None,
        )
        if merge is None or len(walk) > _LONGEST_WALK:
            break
        merges.append(merge)
        key = merge.into
        walk.append(key)
    applied = sorted(facts + merges, key=lambda correction: (not correction.moves, correction.id))
    if merges:
        applied = [correction if correction is merges[-1] else _without_identity(correction) for correction in applied]
    return CorrectionEffect(tuple(correction for correction in applied if correction.values), tuple(walk))


def _without_identity(correction: Correction) -> Correction:
    values = correction.values or {}
    return replace(correction, values={name: value for name, value in values.items() if name not in IDENTITY_NAMES})


def unpack_applied(packed: bytes) -> list[Correction]:
    """What `CorrectionEffect.pack` packed."""
    return [Correction(*values) for values in msgpack.unpackb(packed, strict_map_key=False)] if packed else []


def corrections_below(packed: bytes, series: str) -> tuple[Correction, ...]:
    """Those of `CorrectionEffect.pack` that apply to the instances of a series."""
    return (
        tuple(correction for correction in _unpack_applied(packed) if correction.series in ("", series))
        if packed
        else ()
    )


@lru_cache(maxsize=64)
def _unpack_applied(packed: bytes) -> tuple[Correction, ...]:
    """Of the instances of a study, all have the same."""
    return tuple(unpack_applied(packed))


def corrected(attributes: Mapping[int, Any], applied: Iterable[Correction], series: str = "") -> Attributes:
    """Attributes after corrections of all of the study, and after those of one series where it is named."""
    copy = dict(attributes)
    for correction in applied:
        if correction.series and correction.series != series:
            continue
        for name, element in (correction.values or {}).items():
            values = values_of(element)
            if values:
                copy[int(name, 16)] = values
            else:
                copy.pop(int(name, 16), None)
    return copy


def values_of(element: Mapping[str, Any]) -> list[Any]:
    """The values of one attribute of the DICOM JSON model as an index holds them; none where all are empty."""
    values: Sequence[Any] = element.get("Value", ())
    if element.get("vr") == "SQ":
        return [_item(item) for item in values]
    return list(values) if any(value not in (None, "") for value in values) else []


def _item(item: Values | None) -> Attributes:
    attributes = {int(name, 16): values_of(element) for name, element in (item or {}).items()}
    return {tag: values for tag, values in sorted(attributes.items()) if values}
