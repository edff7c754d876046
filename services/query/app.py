"""Wiring of the query role."""

from __future__ import annotations

from libs.common.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from libs.common.net import Service
from libs.common.ports.index import SearchIndex
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Ability
from services.query.handlers import FindService

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY_FIND = "1.2.840.10008.5.1.4.1.2.3.1"
TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
)


def build(index: SearchIndex, ae_title: str, metrics: Metrics) -> list[Service]:
    """The services of this role. `ae_title` is whom to retrieve from."""
    asked = Ability(frozenset(TRANSFER_SYNTAXES), preferred=TRANSFER_SYNTAXES)
    abilities = dict.fromkeys((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND), asked)
    return [FindService(abilities, index, ae_title, metrics)]
