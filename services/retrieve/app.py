"""Wiring of the retrieve role."""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.clock import Clock
from libs.common.dicom.queries import RETRIEVE_INFORMATION
from libs.common.net import Service
from libs.common.net.scu import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from libs.common.ports.blobs import BlobStore
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Ability
from libs.common.web.routes import Resource
from libs.common.web.server import Handler
from services.retrieve.damage import DamageReports
from services.retrieve.dicomweb.bulk import BulkService
from services.retrieve.fragments import FrameFinder
from services.retrieve.handlers import Destinations, RetrieveService, RetrieveSettings
from services.retrieve.lanes import Lanes
from services.retrieve.metadata import Metadata
from services.retrieve.opening import Openings
from services.retrieve.pixels.converter import Converter
from services.retrieve.plan import UNCOMPRESSED
from services.retrieve.reading import Objects
from services.retrieve.suboperations import SubOperations
from services.retrieve.unindexed import Locating
from services.retrieve.web import Finder, ObjectService, WebSettings
from services.retrieve.web_frames import FrameService
from services.retrieve.web_uri import UriService

_RETRIEVE = (
    PATIENT_ROOT_MOVE,
    PATIENT_ROOT_GET,
    STUDY_ROOT_MOVE,
    STUDY_ROOT_GET,
    PATIENT_STUDY_ONLY_MOVE,
    PATIENT_STUDY_ONLY_GET,
)


def build_web(
    store: BlobStore,
    index: Locating,
    converter: Converter,
    settings: WebSettings,
    reports: DamageReports | None = None,
) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `index` says where objects are, as in `build`."""
    finder, objects = Finder(index), Objects(store, reports)
    found = FrameFinder(objects)
    openings = Openings(objects, converter, found)
    whole = ObjectService(finder, openings, Metadata(objects, settings.metadata_memory), settings)
    frames = FrameService(finder, objects, found, converter, settings)
    bulk = BulkService(finder, objects, found, frames, settings)
    uri = UriService(finder, whole, frames)
    return {**whole.handlers(), **frames.handlers(), **bulk.handlers(), **uri.handlers()}


def build(
    store: BlobStore,
    index: Locating,
    destinations: Destinations,
    clock: Clock,
    converter: Converter,
    storage_sop_classes: Sequence[str],
    metrics: Metrics,
    settings: RetrieveSettings | None = None,
    reports: DamageReports | None = None,
    *,
    response_timeout: float = 120.0,
    read_ahead: tuple[int, int] = (32 << 20, 128 << 20),
    parallel: tuple[int, int] = (32, 4),
) -> list[Service]:
    """The services of this role. `read_ahead` is in bytes, per association and per process; `parallel` is how many
    associations to destinations may be open, in all and to one. In storage contexts we are
    SCU: that is how C-GET sends (PS3.4 C.5.3)."""
    asked = Ability(frozenset(UNCOMPRESSED), preferred=UNCOMPRESSED, extended=RETRIEVE_INFORMATION)
    sent = Ability(scp=False, scu=True)
    abilities = dict.fromkeys(storage_sop_classes, sent) | dict.fromkeys(_RETRIEVE, asked)
    per_association, per_process = read_ahead
    objects = Objects(store, reports)
    sub_operations = SubOperations(
        Openings(objects, converter, FrameFinder(objects)),
        response_timeout=response_timeout,
        per_association=per_association,
        per_process=per_process,
    )
    lanes = Lanes(*parallel)
    return [RetrieveService(abilities, index, sub_operations, destinations, clock, metrics, settings, lanes)]
