"""Wiring of the retrieve role."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.query.queries import RETRIEVE_INFORMATION
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gantry.common.net import Service
from gantry.common.ports.blobs import BlobStore
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.retrieve.damage import DamageReports
from gantry.services.retrieve.dicomweb.bulk import BulkService
from gantry.services.retrieve.dicomweb.frames import FrameService
from gantry.services.retrieve.dicomweb.metadata import Metadata
from gantry.services.retrieve.dicomweb.objects import InstanceFinder, ObjectService, WebSettings
from gantry.services.retrieve.dicomweb.picture_cache import PictureCache
from gantry.services.retrieve.dicomweb.thumbnails import ThumbnailService
from gantry.services.retrieve.dicomweb.wado_uri import UriService
from gantry.services.retrieve.dimse.contexts import UNCOMPRESSED
from gantry.services.retrieve.dimse.destination_limits import DestinationLimits
from gantry.services.retrieve.dimse.moving import Mover, RetrieveSettings
from gantry.services.retrieve.dimse.service import Destinations, RetrieveService
from gantry.services.retrieve.dimse.suboperations import SubOperations
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.unindexed import Describing, Locating

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
    index: Describing,
    converter: Converter,
    settings: WebSettings,
    reports: DamageReports | None = None,
    pictures: PictureCache | None = None,
) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `index` locates objects, as in `build`; `pictures` caches thumbnails."""
    finder, objects = InstanceFinder(index), Objects(store, reports)
    found = FrameFinder(objects)
    openings = Openings(objects, converter, found)
    whole = ObjectService(finder, openings, Metadata(objects, settings.metadata_memory), settings)
    frames = FrameService(finder, objects, found, converter, settings)
    bulk = BulkService(finder, objects, found, frames, settings)
    uri = UriService(finder, whole, frames)
    thumbnails = ThumbnailService(finder, frames, index, store, pictures or PictureCache(None, 0))
    services = (whole, frames, bulk, uri, thumbnails)
    return {resource: handler for service in services for resource, handler in service.handlers().items()}


def build_mover(
    store: BlobStore,
    converter: Converter,
    clock: Clock,
    settings: RetrieveSettings,
    reports: DamageReports | None = None,
    *,
    response_timeout: float = 120.0,
    read_ahead: tuple[int, int] = (32 << 20, 128 << 20),
    parallel: tuple[int, int] = (32, 4),
) -> Mover:
    """The sender to destinations. `read_ahead` is in bytes, per association and per process; `parallel` is how many
    associations to destinations may be open, in all and to one."""
    objects = Objects(store, reports)
    per_association, per_process = read_ahead
    sub_operations = SubOperations(
        Openings(objects, converter, FrameFinder(objects)),
        response_timeout=response_timeout,
        per_association=per_association,
        per_process=per_process,
    )
    return Mover(sub_operations, clock, settings, DestinationLimits(*parallel))


def build(
    index: Locating,
    mover: Mover,
    destinations: Destinations,
    clock: Clock,
    storage_sop_classes: Sequence[str],
    metrics: Metrics,
) -> list[Service]:
    """The services of this role. In storage contexts we are SCU, since C-GET sends in them (PS3.4 C.5.3)."""
    asked = Ability(frozenset(UNCOMPRESSED), preferred=UNCOMPRESSED, extended=RETRIEVE_INFORMATION)
    sent = Ability(scp=False, scu=True)
    abilities = dict.fromkeys(storage_sop_classes, sent) | dict.fromkeys(_RETRIEVE, asked)
    return [RetrieveService(abilities, index, mover, destinations, clock, metrics)]
