"""Rejection notes (IHE RAD TF-2, RAD-66): Key Object Selection documents that list rejected instances, and the reason
(PS3.16 CID 7011). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gantry.common.dicom.standard.tags import (
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    CONCEPT_NAME_CODE_SEQUENCE,
    CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
    REFERENCED_SERIES_SEQUENCE,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)

MEANINGS: Mapping[str, str] = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}
"""By code value of the scheme DCM."""
REVOKE = "revoke"
"""Stands for the code of a note that revokes: the standard has none, so each site has its own."""
_DCM = "DCM"
Attributes = Mapping[str, Any]


class RejectedInstance(NamedTuple):
    """One reference of a note."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class RejectionNote:
    """`code` is one of `MEANINGS`, or `REVOKE`. Each instance occurs once, in the order given."""

    code: str
    instances: tuple[RejectedInstance, ...]

    @property
    def meaning(self) -> str:
        """The code's meaning in words."""
        return MEANINGS.get(self.code, "Rejection Revoked")


def rejection_of(attributes: Attributes, revoking: Collection[str] = ()) -> RejectionNote | None:
    """The note in a Key Object Selection document, in the DICOM JSON model; None for a document of another title
    (PS3.3 C.17.6.2.1: Concept Name Code Sequence has the title, the evidence sequence all that is referenced).
    `revoking` are titles, VALUE^SCHEME, of notes that revoke."""
    code = _title(attributes, revoking)
    return None if code is None else RejectionNote(code, tuple(dict.fromkeys(_references(attributes))))


def _title(attributes: Attributes, revoking: Collection[str]) -> str | None:
    for item in _items(attributes, CONCEPT_NAME_CODE_SEQUENCE):
        code, scheme = _text(item, CODE_VALUE), _text(item, CODING_SCHEME_DESIGNATOR)
        if scheme == _DCM and code in MEANINGS:
            return code
        if f"{code}^{scheme}" in revoking:
            return REVOKE
    return None


def _references(attributes: Attributes) -> Iterator[RejectedInstance]:
    for study in _items(attributes, CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE):
        for series in _items(study, REFERENCED_SERIES_SEQUENCE):
            for instance in _items(series, REFERENCED_SOP_SEQUENCE):
                yield RejectedInstance(
                    _text(study, STUDY_INSTANCE_UID),
                    _text(series, SERIES_INSTANCE_UID),
                    _text(instance, REFERENCED_SOP_CLASS_UID),
                    _text(instance, REFERENCED_SOP_INSTANCE_UID),
                )


def _items(attributes: Attributes, tag: int) -> list[Attributes]:
    values = attributes.get(f"{tag:08X}", {}).get("Value", [])
    return [item for item in values if isinstance(item, Mapping)]


def _text(attributes: Attributes, tag: int) -> str:
    values = attributes.get(f"{tag:08X}", {}).get("Value", [])
    return str(values[0]).strip() if values else ""
