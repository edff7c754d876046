"""Wiring of the query role."""

from __future__ import annotations

from pathlib import Path

from libs.common.dicom.queries import FIND_INFORMATION
from libs.common.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from libs.common.net import Service
from libs.common.net.scu import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from libs.common.ports.index import ReadIndex
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Ability
from libs.common.web.routes import Resource
from libs.common.web.server import Handler
from services.query.handlers import FindService
from services.query.viewer.web import Page
from services.query.web import SearchService

TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
)


def build_page(ohif: Path | None, ae_title: str, port: int) -> dict[Resource, Handler]:
    """The study list's page, and OHIF where it is installed. `ae_title` and `port` are whom to send images to."""
    return {Resource.PAGE: Page(ohif, ae_title, port)}


def build_web(index: ReadIndex, public_url: str | None) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `public_url` is what clients call us by, where it is known."""
    return SearchService(index, public_url).handlers()


def build(index: ReadIndex, ae_title: str, metrics: Metrics, *, strict: bool = False) -> list[Service]:
    """The services of this role. `ae_title` is whom to retrieve from; `strict` as `FindService` has it."""
    asked = Ability(frozenset(TRANSFER_SYNTAXES), preferred=TRANSFER_SYNTAXES, extended=FIND_INFORMATION)
    abilities = dict.fromkeys((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND), asked)
    return [FindService(abilities, index, ae_title, metrics, strict=strict)]
