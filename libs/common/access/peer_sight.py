"""Which studies a peer sees, by the AE policy, and which an association does. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from gantry.common.access.sight import EVERYTHING, Alternative, Sight, conjoined
from gantry.common.config.seen_studies import SeenStudies
from gantry.common.dicom.query.matching import Condition, Item, Single
from gantry.common.dicom.standard.tags import (
    CODE_VALUE,
    INSTITUTION_NAME,
    INSTITUTIONAL_DEPARTMENT_NAME,
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    PERSON_IDENTIFICATION_CODE_SEQUENCE,
    REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE,
    REFERRING_PHYSICIAN_NAME,
)

_SINGLE = {
    "institution": INSTITUTION_NAME,
    "department": INSTITUTIONAL_DEPARTMENT_NAME,
    "modality": MODALITIES_IN_STUDY,
    "referrer": REFERRING_PHYSICIAN_NAME,
    "patient": PATIENT_ID,
    "patient_issuer": ISSUER_OF_PATIENT_ID,
}


def sight_of_peer(entries: Iterable[SeenStudies] | None) -> Sight:
    """What a peer sees: everything if the policy does not restrict it (None), nothing if its restriction is empty."""
    return EVERYTHING if entries is None else Sight(tuple(_alternative(entry) for entry in entries))


def intersection(sight: Sight, other: Sight) -> Sight:
    """What both see: a user sees no more than the peer in use, and the peer no more than its user."""
    if sight.alternatives is None:
        return other
    if other.alternatives is None:
        return sight
    return Sight(tuple(conjoined(a, b) for a, b in product(sight.alternatives, other.alternatives)))


def _alternative(entry: SeenStudies) -> Alternative:
    conditions: dict[int, Condition] = {
        tag: Single(values) for name, tag in _SINGLE.items() if (values := getattr(entry, name))
    }
    if entry.referrer_id:
        # PS3.3 table 10-1: a person's identification as codes.
        code = Item({CODE_VALUE: Single(entry.referrer_id)})
        conditions[REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE] = Item({PERSON_IDENTIFICATION_CODE_SEQUENCE: code})
    return conditions
