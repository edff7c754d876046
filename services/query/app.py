"""Wiring of the query role."""

from __future__ import annotations

from libs.common.net import Service
from libs.common.net.scu import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from libs.common.ports.index import SearchIndex
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Ability
from services.query.handlers import FindService

# PS3.4 C.6.3: retired, and still what old workstations ask for.
PATIENT_STUDY_ONLY_FIND = "1.2.840.10008.5.1.4.1.2.3.1"

_PREFERRED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_ALL = frozenset((*_PREFERRED, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"))


def build(index: SearchIndex, ae_title: str, metrics: Metrics) -> list[Service]:
    """The services of this role."""
    ability = Ability(_ALL, preferred=_PREFERRED)
    abilities = dict.fromkeys((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND), ability)
    return [FindService(abilities, index, ae_title, metrics)]
