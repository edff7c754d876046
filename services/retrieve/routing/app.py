"""Wiring of routes, in processes of the retrieve role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from gantry.common.access import NOTHING, Sight
from gantry.common.config.policy import KnownPeer, Permission
from gantry.common.config.routing_sections import RouteRuleSettings
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_GET, UNIFIED_PROCEDURE_STEP_PUSH, StorageClasses
from gantry.common.errors import ConfigError
from gantry.common.events import TOPICS, StudyCompleted
from gantry.common.orders import PerformedStep
from gantry.common.runtime.availability import Availability
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLoop
from gantry.common.runtime.deidentification_profiles import read_profiles
from gantry.common.runtime.elsewhere import Elsewhere
from gantry.common.telemetry.logs import get_logger
from gantry.services.audited import audit_asking, audit_result, audit_step
from gantry.services.context import Context, Peers, RoleParts
from gantry.services.corrections import CorrectionDesk
from gantry.services.retrieve.deidentifying.objects import Deidentification
from gantry.services.retrieve.dimse.moving import Mover
from gantry.services.retrieve.dimse.service import Delivered
from gantry.services.retrieve.routing import patient_requesting, prefetch_requesting
from gantry.services.retrieve.routing.attempt import RouteSender
from gantry.services.retrieve.routing.availability import AvailabilityNotifier
from gantry.services.retrieve.routing.committing import CommitmentRequestor
from gantry.services.retrieve.routing.imaging_results import ImagingResults
from gantry.services.retrieve.routing.move_records import MoveRecords
from gantry.services.retrieve.routing.patient_news import PatientNewsReader
from gantry.services.retrieve.routing.patient_requesting import PatientRequests
from gantry.services.retrieve.routing.prefetch_requesting import PrefetchRequests, prior_rules
from gantry.services.retrieve.routing.prefetching import Prefetcher
from gantry.services.retrieve.routing.prior_getting import PriorGetter
from gantry.services.retrieve.routing.prior_work_requesting import PriorWorkRequests
from gantry.services.retrieve.routing.requesting import GROUP, RouteRequests, route_rules, route_times
from gantry.services.retrieve.routing.result_delivery import Hl7Receiver
from gantry.services.retrieve.routing.router import Router, RouterLimits
from gantry.services.retrieve.routing.standing import StepsOf, StudyStanding
from gantry.services.retrieve.routing.step_delivery import StepDelivery
from gantry.services.retrieve.routing.step_requesting import StepRequests, StepRouting, step_rules
from gantry.services.retrieve.routing.work import works_of
from gantry.services.retrieve.routing.work_requesting import WorkRequests
from gantry.services.retrieve.routing.workitem_delivery import WorkitemDelivery
from gantry.services.retrieve.stow.server import WebDestination
from gantry.services.retrieve.unindexed import Locating

logger = get_logger("routing")


def build_moves(context: Context) -> MoveRecords | None:
    """The records of C-MOVEs that are finished later; None if there are none."""
    settings = context.settings.routing
    if not settings.finish_moves:
        return None
    return MoveRecords(
        *(context.log, context.clock, context.metrics, settings.finish_moves, settings.silent, settings.retry_first)
    )


def build_routing(
    context: Context, mover: Mover, index: Locating, delivered: Delivered, moves: MoveRecords | None
) -> RoleParts:
    """What the settings of `routing` ask for; nothing if there are no rules and no moves to finish. Raises
    `ConfigError`."""
    settings = context.settings.routing
    rules = settings.rules or settings.steps or settings.prefetch or settings.workitems or settings.tells_of_patients
    if not rules and moves is None:
        return RoleParts()
    for title in mute_destinations(settings.rules, context.peers.known()):
        logger.warning(
            "a destination of a rule with commit may not call back to report: give it `may: [commit]`",
            destination=title,
        )
    for title in curious_destinations(settings.deidentifies, context.peers.known()):
        logger.warning("a destination that gets de-identified objects may ask for others itself", destination=title)
    deidentification = (
        Deidentification() if settings.deidentifies or context.settings.deidentification.profiles else None
    )
    sender = _sender(context, mover, index, delivered, deidentification)
    limits = RouterLimits(Delays(settings.retry_first, settings.retry_longest), settings.give_up, settings.refused)
    under_way = (lambda _: False) if moves is None else moves.is_under_way
    times = route_times(settings)
    router = Router(sender, context.log, context.clock, context.metrics, times, limits, under_way)
    background, close = [("router", router.run())], []
    if deidentification is not None:
        close.append(deidentification.close)
    if moves is not None:
        background.append(("moves", moves.run()))
        close.append(moves.flush)
    requesting = _requesting(context) if settings.rules else None
    if requesting is not None:
        background.append(("routing", requesting.run()))
    if _tells(context) or settings.steps or settings.prefetch or settings.tells_of_patients:
        context.orders.begin()
        background.append(("procedure steps for notifications", context.orders.run()))
    steps = _step_routing(context) if settings.steps else None
    if steps is not None:
        background.append(("routing of procedure steps", steps.run()))

    prefetch = _prefetch_routing(context) if settings.prefetch else None
    if prefetch is not None:
        background.append(("prefetch of priors", prefetch.run()))

    patients = _patient_routing(context) if settings.tells_of_patients else None
    if patients is not None:
        background.append(("routing of what is decided about patients", patients.run()))

    async def stop(_: float) -> None:
        for reader in (requesting, steps, prefetch, patients):
            if reader is not None:
                reader.stop()
        router.stop()

    return RoleParts(background=background, drain=[stop], close=close)


def mute_destinations(rules: Iterable[RouteRuleSettings], peers: Iterable[KnownPeer]) -> list[str]:
    """The AE titles that are asked for storage commitment, but are not admitted to report on an association of their
    own."""
    may = {peer.ae_title for peer in peers if Permission.COMMIT in peer.may}
    return sorted({title for rule in rules if rule.commit for title in rule.to if title not in may})


def curious_destinations(titles: Iterable[str], peers: Iterable[KnownPeer]) -> list[str]:
    """The AE titles that may also search or retrieve: objects that they retrieve are not de-identified."""
    asks = {Permission.FIND, Permission.RETRIEVE}
    return sorted({peer.ae_title for peer in peers if asks.intersection(peer.may)}.intersection(titles))


def _requesting(context: Context) -> ConsumerLoop:
    rules = route_rules(context.settings.routing, context.attributes)
    handler = RouteRequests(rules, context.log, context.answers, context.clock, _work(context))
    topics = [TOPICS[StudyCompleted].name]
    return ConsumerLoop(context.log, GROUP, topics, handler, context.clock, context.metrics)


def _work(context: Context) -> WorkRequests | None:
    works = works_of(context.settings.routing.rules)
    if not works:
        return None
    return WorkRequests(works, context.objects, context.answers, context.clock, *_reached(context))


def _reached(context: Context) -> tuple[str, str]:
    """Our AE title, and the URL by which we are reached, "" if unknown."""
    return context.settings.dimse.ae_title, (context.settings.http.url or "").rstrip("/")


def _step_routing(context: Context) -> StepRouting:
    settings, (orders, follower) = context.settings.routing, context.orders.begin()
    rules = step_rules(settings.steps)
    handler = StepRequests(rules, context.log, context.objects, orders, follower, context.clock)
    return StepRouting(handler, context.log, context.clock, context.metrics, settings.give_up)


def _prefetch_routing(context: Context) -> StepRouting:
    settings, (orders, follower) = context.settings.routing, context.orders.begin()
    rules, works = prior_rules(settings.prefetch), works_of(settings.prefetch)
    work = PriorWorkRequests(rules, works, context.objects, orders, *_reached(context)) if works else None
    handler = PrefetchRequests(rules, context.log, orders, follower, context.clock, work)
    of_orders = prefetch_requesting.GROUP, (prefetch_requesting.TOPIC,)
    return StepRouting(handler, context.log, context.clock, context.metrics, settings.give_up, *of_orders)


def _patient_routing(context: Context) -> StepRouting:
    settings = context.settings.routing
    handler = PatientRequests(
        {
            receiver.name: f"hl7 {receiver.application}^{receiver.facility}"
            for receiver in settings.receivers
            if receiver.patients
        },
        context.log,
        context.clock,
    )
    of_patients = patient_requesting.GROUP, (patient_requesting.TOPIC,)
    return StepRouting(handler, context.log, context.clock, context.metrics, settings.give_up, *of_patients)


def _prefetcher(context: Context) -> Prefetcher | None:
    settings = context.settings
    if not settings.routing.prefetch:
        return None
    return Prefetcher(
        {rule.name: rule for rule in prior_rules(settings.routing.prefetch)},
        *context.orders.begin(),
        context.answers,
        context.clock,
        settings.dimse.ae_title,
        settings.retrieve.response_timeout,
        partial(audit_asking, context.audit),
        _getter(context),
    )


def _getter(context: Context) -> PriorGetter | None:
    if context.intake is None:
        return None
    return PriorGetter(
        context.intake,
        StorageClasses(context.settings.dimse.private_sop_classes),
        context.answers,
        context.settings.retrieve.response_timeout,
        partial(audit_asking, context.audit),
        partial(audit_asking, context.audit, sop_class=STUDY_ROOT_GET),
    )


def _sender(
    context: Context,
    mover: Mover,
    index: Locating,
    delivered: Delivered,
    deidentification: Deidentification | None,
) -> RouteSender:
    peers, ours = context.peers, context.settings.dimse.ae_title
    stores = {store.name: store.availability for store in context.settings.tiers.stores}
    timeout = context.settings.retrieve.response_timeout
    return RouteSender(
        mover,
        index,
        lambda title: peers.destination(title, ours),
        peers.gets_originals,
        context.metrics,
        delivered,
        AvailabilityNotifier(ours, context.settings.retrieve.response_timeout),
        StudyStanding(index, context.answers, Availability(context.answers, stores), _steps_of(context)),
        lambda title: peers.contact(title, ours),
        lambda title: _may_retrieve(peers, title),
        StepDelivery(context.objects, timeout, partial(audit_step, context.audit)),
        WorkitemDelivery(
            context.objects, timeout, partial(audit_step, context.audit, sop_class=UNIFIED_PROCEDURE_STEP_PUSH)
        ),
        route_times(context.settings.routing),
        _commitment(context),
        _prefetcher(context),
        read_profiles(context.settings.deidentification.profiles, context.settings.routing.deidentifies),
        deidentification,
        _servers(context, mover),
        _receivers(context),
    )


def _servers(context: Context, mover: Mover) -> dict[str, WebDestination]:
    """The web servers by name. Raises `ConfigError`."""
    settings = context.settings.routing.servers
    servers = {server.name: WebDestination(server, mover.sub_operations.openings) for server in settings}
    _check_names(context, "routing.servers", servers)
    for server in servers.values():
        server.check()
    return servers


def _receivers(context: Context) -> dict[str, Hl7Receiver]:
    """The HL7 receivers by name. Raises `ConfigError`."""
    settings = context.settings.routing.receivers
    if not settings or not (_tells(context) or context.settings.routing.tells_of_patients):
        return {}
    orders, follower = context.orders.begin()
    studies = ImagingResults(context.answers, orders, follower.caught_up, context.clock)
    ours, sent = context.settings.dimse.ae_title, partial(audit_result, context.audit)
    patients = PatientNewsReader(
        context.objects, CorrectionDesk(context.objects, context.log, context.answers, context.clock)
    )
    receivers = {
        receiver.name: Hl7Receiver(receiver, ours, studies, patients, context.metrics, sent) for receiver in settings
    }
    _check_names(context, "routing.receivers", receivers)
    for receiver in receivers.values():
        receiver.check()
    return receivers


def _check_names(context: Context, where: str, names: Iterable[str]) -> None:
    """The names of destinations other than peers must not be AE titles of peers. Raises `ConfigError`. The API refuses
    such peers; one that it added earlier takes precedence nowhere, and does not prevent a start."""
    for name in names:
        if name in context.peers.in_file():
            raise ConfigError(where, None, f"{name} is an AE title of `peers`, too: name one of them otherwise")


def _commitment(context: Context) -> CommitmentRequestor:
    settings = context.settings.routing
    return CommitmentRequestor(
        Elsewhere(context.objects, context.log, context.clock, context.metrics),
        context.clock,
        context.settings.retrieve.response_timeout,
        settings.commit_wait,
        settings.commit_within,
        Delays(settings.retry_first, settings.retry_longest),
        settings.refused,
    )


def _tells(context: Context) -> bool:
    return any(rule.notify for rule in context.settings.routing.rules)


def _steps_of(context: Context) -> StepsOf:
    """The performed procedure steps of a study; they are not read unless something is notified of studies."""

    async def steps_of(partition: str, study: str) -> Sequence[PerformedStep]:
        orders, follower = context.orders.begin()
        await follower.caught_up()
        return await orders.performed_in(partition, study)

    return steps_of


def _may_retrieve(peers: Peers, ae_title: str) -> Sight:
    """What an AE title could retrieve if it asked now; for one that is admitted without being a known peer, what all
    such callers see."""
    known = next((peer for peer in peers.known() if peer.ae_title == ae_title), None)
    if known is not None and Permission.RETRIEVE not in known.may:
        return NOTHING
    return peers.sight_of(ae_title)
