"""Wiring of the retrieve role."""

from __future__ import annotations

from functools import partial

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.queries import RETRIEVE_INFORMATION
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    StorageClasses,
)
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import Since
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location
from gantry.common.runtime.deidentification_profiles import read_profiles
from gantry.common.runtime.integrity import Damage
from gantry.common.runtime.losses import Losses
from gantry.common.runtime.wanted import RestoreRequests, RestoringStore
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.audited import audit_asking
from gantry.services.context import Context, RoleParts
from gantry.services.retrieve.accesses import ProcessAccesses
from gantry.services.retrieve.audited_deliveries import DeliveryAudit
from gantry.services.retrieve.damage import MISSING, DamageReports
from gantry.services.retrieve.deidentifying.destinations import IdentifiedDestinations
from gantry.services.retrieve.deidentifying.objects import Deidentification
from gantry.services.retrieve.deliveries import Deliveries
from gantry.services.retrieve.dicomweb.bulk import BulkService
from gantry.services.retrieve.dicomweb.deidentified import DeidentifiedService
from gantry.services.retrieve.dicomweb.documents import Documents
from gantry.services.retrieve.dicomweb.frames import FrameService
from gantry.services.retrieve.dicomweb.metadata import Metadata
from gantry.services.retrieve.dicomweb.objects import InstanceFinder, ObjectService, WebSettings
from gantry.services.retrieve.dicomweb.picture_cache import PictureCache
from gantry.services.retrieve.dicomweb.rendered import RenderedService
from gantry.services.retrieve.dicomweb.sending import SendService
from gantry.services.retrieve.dicomweb.thumbnails import ThumbnailService
from gantry.services.retrieve.dicomweb.wado_uri import UriService
from gantry.services.retrieve.dimse.contexts import UNCOMPRESSED
from gantry.services.retrieve.dimse.destination_limits import DestinationLimits
from gantry.services.retrieve.dimse.moving import Mover, RetrieveSettings
from gantry.services.retrieve.dimse.service import RetrieveService, unrecorded
from gantry.services.retrieve.dimse.suboperations import SubOperations
from gantry.services.retrieve.fetching.record import FetchRecords
from gantry.services.retrieve.fetching.sending import Archives
from gantry.services.retrieve.fetching.through import FetchThrough
from gantry.services.retrieve.fetching.web import WebFetching
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from gantry.services.retrieve.routing.app import build_moves, build_routing
from gantry.services.retrieve.transfers import Transfers
from gantry.services.retrieve.unindexed import Describing, Locator

_RETRIEVE = (
    PATIENT_ROOT_MOVE,
    PATIENT_ROOT_GET,
    STUDY_ROOT_MOVE,
    STUDY_ROOT_GET,
    PATIENT_STUDY_ONLY_MOVE,
    PATIENT_STUDY_ONLY_GET,
)
_ASKED = Ability(frozenset(UNCOMPRESSED), preferred=UNCOMPRESSED, extended=RETRIEVE_INFORMATION)


async def build(context: Context) -> RoleParts:
    """C-GET, C-MOVE, WADO, and transfers requested on the page. In storage contexts we are the SCU: that is how C-GET
    sends (PS3.4 C.5.3)."""
    settings, retrieve = context.settings, context.settings.retrieve
    # Only retrieval asks for objects in an archive tier to be restored: here a requester wants them.
    objects = context.objects
    if context.tiers is not None:
        objects = RestoringStore(
            context.tiers, RestoreRequests(context.tiers, context.clock, context.metrics, _restore_us(settings))
        )
    losses = Losses(context.log, context.clock, context.metrics, "retrieve")
    reports = DamageReports(context.metrics, partial(_report_loss, losses))
    locator = Locator(context.answers, context.log, objects, context.clock)
    converter, pictures = Converter(), _picture_cache(settings)
    web = WebSettings(settings.http.url, retrieve.metadata_memory, settings.http.stall)
    mover = build_mover(
        objects,
        converter,
        context.clock,
        RetrieveSettings(retrieve.suboperation_retries + 1, retrieve.window, retrieve.retry_delay),
        reports,
        response_timeout=retrieve.response_timeout,
        read_ahead=(retrieve.read_ahead, retrieve.read_ahead_total),
        parallel=(retrieve.parallel_destinations, retrieve.parallel_per_destination),
    )
    peers, ours = context.peers, settings.dimse.ae_title
    deliveries = Deliveries(context.clock, context.metrics)
    sent = DeliveryAudit(context.audit, deliveries)
    transfers = Transfers(mover, context.clock, context.metrics, sent.sent)
    identified = IdentifiedDestinations(peers, frozenset(settings.routing.deidentifies))
    sending = SendService(
        transfers,
        locator,
        identified.destinations,
        lambda title: identified.destination(title, ours),
        peers.gets_originals,
    )
    classes = tuple(StorageClasses(settings.dimse.private_sop_classes))
    abilities = dict.fromkeys(classes, Ability(scp=False, scu=True)) | dict.fromkeys(_RETRIEVE, _ASKED)
    accesses = ProcessAccesses(context.log, context.answers, context.clock) if _counts_accesses(settings) else None
    moves = build_moves(context)
    through = build_through(context, locator)
    service = RetrieveService(
        abilities,
        locator,
        mover,
        identified.destination,
        context.clock,
        context.metrics,
        peers.gets_originals,
        lambda study: None if accesses is None else accesses.note(study),
        sent.sent,
        sent.begins,
        unrecorded if moves is None else moves.begins,
        through,
    )
    deidentification = Deidentification()
    profiles = read_profiles(settings.deidentification.profiles, {})
    stored = Objects(objects, reports)
    deidentified = DeidentifiedService(
        *(InstanceFinder(locator), Openings(stored, converter, FrameFinder(stored)), profiles, deidentification),
        *(context.metrics, settings.http.may_share, settings.http.stall),
    )
    web_handlers = build_web(objects, locator, converter, web, reports, pictures)
    read = deliveries.noted({**web_handlers, **deidentified.handlers()})
    if through is not None:
        read = WebFetching(through, settings.federation.fetch_wait).wrap(read)
    handlers = {**read, **sending.handlers()}
    routing = build_routing(context, mover, locator, sent.sent, moves)
    publishing = [("deliveries", deliveries.run(context.log)), *routing.background]
    return RoleParts(
        [service],
        handlers if accesses is None else accesses.noted(handlers),
        publishing if accesses is None else [*publishing, ("accesses", accesses.run())],
        drain=[*routing.drain, transfers.drain],
        close=[
            *([] if through is None else [through.close]),
            *routing.close,
            transfers.close,
            partial(deliveries.flush, context.log),
            pictures.close,
            deidentification.close,
            converter.close,
            losses.close,
        ],
    )


def build_through(context: Context, locator: Locator) -> FetchThrough | None:
    """The fetcher of studies from other archives; None if that is off."""
    settings, ours = context.settings.federation, context.settings.dimse.ae_title
    if not settings.fetch or not settings.archives:
        return None
    archives = Archives(
        {archive.ae_title: archive.deadline for archive in settings.archives},
        *(context.peers.contact, ours, context.breakers, context.metrics),
        partial(audit_asking, context.audit),
    )
    return FetchThrough(
        *(archives, FetchRecords(context.objects), locator, context.answers, context.peers.is_federated),
        *(context.clock, context.metrics),
        deadline=settings.fetch_deadline,
        at_once=settings.fetch_at_once,
    )


def _restore_us(settings: Settings) -> int:
    return settings.tiers.restore_days * 24 * 3600 * 1_000_000


def _counts_accesses(settings: Settings) -> bool:
    """Whether a rule counts from the last access."""
    counted = [rule.since for rule in settings.lifecycle.retention] + [rule.since for rule in settings.tiers.rules]
    return Since.ACCESS.value in counted


def _report_loss(losses: Losses, location: Location, reason: str) -> None:
    losses.report_soon(DEFAULT_PARTITION, location, Damage.MISSING if reason == MISSING else Damage.DAMAGED)


def _picture_cache(settings: Settings) -> PictureCache:
    """Beside the embedded object store; otherwise in a temporary folder."""
    beside = settings.data / "thumbnails" if settings.objects_url.startswith("file:") else None
    return PictureCache(settings.retrieve.thumbnails or beside, settings.retrieve.thumbnail_space)


def build_web(
    store: BlobStore,
    index: Describing,
    converter: Converter,
    settings: WebSettings,
    reports: DamageReports | None = None,
    pictures: PictureCache | None = None,
) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `index` says where objects are, as `Locator` does; `pictures` caches
    thumbnails."""
    finder, objects = InstanceFinder(index), Objects(store, reports)
    frame_finder = FrameFinder(objects)
    openings = Openings(objects, converter, frame_finder)
    metadata = Metadata(objects, settings.metadata_memory)
    whole = ObjectService(finder, openings, metadata, settings)
    frames = FrameService(finder, objects, frame_finder, converter, settings)
    bulk = BulkService(finder, objects, frame_finder, frames, settings)
    documents = Documents(objects, metadata, settings.stall)
    rendered = RenderedService(finder, frames, documents)
    uri = UriService(finder, whole, frames, documents)
    thumbnails = ThumbnailService(finder, frames, index, store, pictures or PictureCache(None, 0))
    services = (whole, frames, rendered, bulk, uri, thumbnails)
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
    associations to destinations may be open, in all and to one destination."""
    objects = Objects(store, reports)
    per_association, per_process = read_ahead
    sub_operations = SubOperations(
        Openings(objects, converter, FrameFinder(objects)),
        response_timeout=response_timeout,
        per_association=per_association,
        per_process=per_process,
    )
    return Mover(sub_operations, clock, settings, DestinationLimits(*parallel))
