"""Which objects a C-MOVE or C-GET identifier names (pure)."""

from __future__ import annotations

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.query.queries import Model, compile_retrieve, model_of
from gantry.common.dicom.standard.tags import QUERY_RETRIEVE_LEVEL
from gantry.common.errors import NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION


def select(sop_class_uid: str, identifier: bytes, transfer_syntax_uid: str) -> Query:
    """The query for a retrieval.

    PS3.4 C.4.2.2.1 requires the unique keys of all levels above. Workstations in the field leave them out, and UIDs are
    unique without them, so they are optional here: they narrow the answer if they are given.
    """
    model = model_of(sop_class_uid)
    if model is None:
        raise NotUnderstood("not a retrieve sop class")
    decoded = decode_identifier(identifier, transfer_syntax_uid)
    if model is Model.STUDY_ROOT and decoded.keys.get(QUERY_RETRIEVE_LEVEL) == [Level.PATIENT.value]:
        # This level is not in the model (PS3.4 C.6.2.1), but Orthanc moves patients this way, and the intent is clear.
        model = Model.PATIENT_ROOT
    return compile_retrieve(decoded, model, DEFAULT_PARTITION, relational=True)
