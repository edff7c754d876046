"""A study of which nothing is left, as its objects describe it: rules are matched against that (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document
from gantry.common.dicom.standard.tags import MODALITIES_IN_STUDY, MODALITY
from gantry.common.ports.index import InstanceEntry


def study_of(entries: Sequence[InstanceEntry]) -> Document | None:
    """The study of some objects, as the earliest describes it, with the modalities of all. None without objects."""
    if not entries:
        return None
    earliest = min(entries, key=lambda entry: entry.receipt)
    modalities = sorted({str(value) for entry in entries for value in entry.attributes.get(MODALITY) or ()})
    return Document(Level.STUDY, {**earliest.attributes, MODALITIES_IN_STUDY: modalities})
