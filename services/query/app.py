"""Wiring of the query role."""

from __future__ import annotations

from pathlib import Path

from gantry.common.dicom.query.queries import FIND_INFORMATION
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from gantry.common.net import Service
from gantry.common.ports.index import ReadIndex
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.query.c_find import FindService
from gantry.services.query.change_stream import ChangeService
from gantry.services.query.changes import Changes
from gantry.services.query.qido import SearchService
from gantry.services.query.viewer.web import Page

TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
)


def build_page(ohif: Path | None, ae_title: str, port: int) -> dict[Resource, Handler]:
    """The page at /, and OHIF if it is installed. `ae_title` and `port` are the address to send images to."""
    return {Resource.PAGE: Page(ohif, ae_title, port)}


def build_web(index: ReadIndex, public_url: str | None, changes: Changes | None = None) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `public_url` is the URL by which clients reach this server, if known; without
    `changes` there is no stream of changes."""
    streams = ChangeService(changes).handlers() if changes is not None else {}
    return {**SearchService(index, public_url).handlers(), **streams}


def build(index: ReadIndex, ae_title: str, metrics: Metrics, *, strict: bool = False) -> list[Service]:
    """The services of this role. `ae_title` is the Retrieve AE Title; `strict` as in `FindService`."""
    asked = Ability(frozenset(TRANSFER_SYNTAXES), preferred=TRANSFER_SYNTAXES, extended=FIND_INFORMATION)
    abilities = dict.fromkeys((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND), asked)
    return [FindService(abilities, index, ae_title, metrics, strict=strict)]
