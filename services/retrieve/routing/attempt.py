"""One attempt to send the objects, or the message, of a route."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from gantry.common.access import EVERYTHING, Sight, restricted
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.dimse import Element
from gantry.common.dimse.command import Value
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.events import RouteRequested
from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle.route_timing import RouteTimes
from gantry.common.lifecycle.routes import (
    AVAILABILITY,
    CHANGE,
    COMMITMENT,
    MOVE,
    OBJECTS,
    PREFETCH,
    STEP_KINDS,
    WORKITEM_EVENT,
    receipts_of,
)
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.statuses import is_warning
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.corrections import as_stored
from gantry.services.retrieve.deidentifying.objects import Deidentification, Deidentifying
from gantry.services.retrieve.dimse.moving import MoveJob, Mover, count_the_rest
from gantry.services.retrieve.dimse.service import Delivered, count_suboperations
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.routing.attempted import Attempted, withheld_words
from gantry.services.retrieve.routing.availability import AvailabilityNotifier
from gantry.services.retrieve.routing.committing import CommitmentRequestor, not_committed
from gantry.services.retrieve.routing.prefetching import Prefetcher
from gantry.services.retrieve.routing.result_delivery import Hl7Receiver
from gantry.services.retrieve.routing.standing import StudyStanding
from gantry.services.retrieve.routing.step_delivery import StepDelivery
from gantry.services.retrieve.routing.workitem_delivery import WorkitemDelivery
from gantry.services.retrieve.stow.server import WebDestination
from gantry.services.retrieve.unindexed import Locating

_OPERATION, _MOVED = "route", "finished C-MOVE"


class RouteSender:
    """Sends over the same lanes as C-MOVE, and to web servers; notifies HL7 receivers."""

    def __init__(
        self,
        mover: Mover,
        index: Locating,
        peer_of: Callable[[str], Peer | None],
        gets_originals: Callable[[str], bool],
        metrics: Metrics,
        delivered: Delivered,
        notifier: AvailabilityNotifier,
        standing: StudyStanding,
        contact_of: Callable[[str], Peer | None],
        sight_of: Callable[[str], Sight],
        steps: StepDelivery,
        workitems: WorkitemDelivery,
        times: RouteTimes,
        commitment: CommitmentRequestor,
        prefetcher: Prefetcher | None = None,
        profiles: Profiles | None = None,
        deidentification: Deidentification | None = None,
        servers: Mapping[str, WebDestination] | None = None,
        receivers: Mapping[str, Hl7Receiver] | None = None,
    ) -> None:
        """`peer_of` maps an AE title to where objects may be sent, `contact_of` to the address for anything else; None
        if the policy does not allow it, or does not say. `sight_of` is what it may retrieve now. `times` define how
        urgent routes are, `profiles` which destinations get de-identified objects. `servers`, by name, get objects by
        STOW-RS; `receivers` get HL7 messages about studies."""
        self._receivers = receivers or {}
        self._servers = servers or {}
        self._profiles = profiles or Profiles()
        self._deidentification = deidentification
        self._times = times
        self._commitment = commitment
        self._prefetcher = prefetcher
        self._notifier = notifier
        self._standing = standing
        self._contact_of = contact_of
        self._sight_of = sight_of
        self._steps = steps
        self._workitems = workitems
        self._mover = mover
        self._index = index
        self._peer_of = peer_of
        self._gets_originals = gets_originals
        self._metrics = metrics
        self._delivered = delivered

    async def attempt(
        self, route: RouteRequested, taken: Collection[str], is_wanted: Callable[[], bool], tried: int = 0
    ) -> Attempted:
        """Send what arrived between the receipts of a route, without the SOP Instance UIDs that were `taken` before;
        for a C-MOVE, what its requestor may retrieve now. `tried` counts earlier attempts. Failures are in the result,
        and are not raised."""
        receiver = self._receivers.get(route.destination)
        if receiver is not None:
            return await receiver.attempt(route)
        server = self._servers.get(route.destination)
        if server is not None:
            return await self._to_server(route, server, taken, is_wanted)
        notifies = route.kind in (AVAILABILITY, CHANGE)
        is_told = notifies or route.kind in STEP_KINDS or route.kind == PREFETCH
        peer = (self._contact_of if is_told else self._peer_of)(route.destination)
        if peer is None:
            return Attempted((), None, f"{route.destination} is not a destination: the AE policy names those that are")
        if route.kind == PREFETCH:
            if self._prefetcher is None:
                return Attempted((), (), "there are no rules of prefetch any more")
            return await self._prefetcher.attempt(route, peer, taken, is_wanted)
        if route.kind == WORKITEM_EVENT:
            return await self._workitems.attempt(route, peer)
        if route.kind in STEP_KINDS:
            return await self._steps.attempt(route, peer)
        try:
            through = self._through(route)
            locations = await self._locations(route, taken)
        except GantryError as error:
            return Attempted((), None, str(error))
        if not locations and route.kind != CHANGE:
            return Attempted((), (), "nothing of it is left to send")
        if notifies:
            return await self._notify(route, peer, locations)
        if route.kind == COMMITMENT:
            return await self._commit(route, peer, locations, is_wanted, tried, through)
        return await self._send(route, peer, locations, is_wanted, through)

    async def _to_server(
        self, route: RouteRequested, server: WebDestination, taken: Collection[str], is_wanted: Callable[[], bool]
    ) -> Attempted:
        if route.kind != OBJECTS:
            return Attempted((), (), f"{route.destination} is a web server: only objects are sent there")
        try:
            through = self._through(route)
            locations = await self._locations(route, taken)
        except GantryError as error:
            return Attempted((), None, str(error))
        if not locations:
            return Attempted((), (), "nothing of it is left to send")
        return await self._send(route, server, locations, is_wanted, through)

    def _through(self, route: RouteRequested) -> Deidentifying | None:
        """The profile by which objects are de-identified. Raises `DependencyUnavailable`."""
        profile = self._profiles.of(route.destination, route.deidentify)
        if profile is None:
            return None
        if self._deidentification is None:
            raise DependencyUnavailable("de-identification", "no profile is used here any more")
        return Deidentifying(*profile, self._deidentification)

    async def _commit(
        self,
        route: RouteRequested,
        peer: Peer,
        locations: Sequence[Location],
        is_wanted: Callable[[], bool],
        tried: int,
        through: Deidentifying | None,
    ) -> Attempted:
        """Objects that the destination reported missing are sent again first; those that must not be sent are not asked
        for."""
        withheld: Mapping[str, str] = {}
        try:
            before = await self._commitment.before(route, tried)
            missing = not_committed(before)
            again = [location for location in locations if location.sop_instance_uid in missing]
            if again:
                sent = await self._send(route, peer, again, is_wanted, through)
                if not sent.is_done:
                    return replace(sent, taken=())
                withheld = sent.withheld
                locations = [location for location in locations if location.sop_instance_uid not in withheld]
            if not locations:
                return Attempted((), (), withheld_words(withheld), withheld=withheld)
            uid_of = None if through is None else through.uid
            attempt = await self._commitment.attempt(route, peer, locations, tried, before, uid_of)
            return replace(attempt, withheld=withheld)
        except DependencyUnavailable as error:
            return Attempted((), None, str(error))

    async def _notify(self, route: RouteRequested, peer: Peer, locations: Sequence[Location]) -> Attempted:
        try:
            notifications = await self._standing.notifications(route, locations)
        except GantryError as error:
            return Attempted((), None, str(error))
        uids = {instance.sop_instance_uid for notification in notifications for instance in notification.instances}
        try:
            status = await self._notifier.notify(peer, notifications)
        except GantryError as error:
            return Attempted((), uids, f"{route.destination}: {error}")
        if status and not is_warning(status):
            return Attempted((), uids, f"{route.destination} answered {status:04X}H", refused=True)
        return Attempted(uids, (), "")

    async def _send(
        self,
        route: RouteRequested,
        peer: Peer | WebDestination,
        locations: Sequence[Location],
        is_wanted: Callable[[], bool],
        through: Deidentifying | None,
    ) -> Attempted:
        if self._gets_originals(route.destination):
            locations = as_stored(locations)
        counters = Counters(len(locations), deidentified_by="" if through is None else through.profile)
        why, words, operation = "", "", _MOVED if route.kind == MOVE else _OPERATION
        job = MoveJob(counters, is_wanted, _nobody_waits, originator=self._command_elements(route), through=through)
        try:
            if isinstance(peer, WebDestination):
                words = await peer.send(locations, job)
            else:
                await self._mover.move(peer, locations, job)
        except GantryError as error:
            why = str(error)
        count_the_rest(locations, counters)
        count_suboperations(self._metrics, operation, counters)
        withheld, of_peer = counters.withheld, counters.why
        counters.why = of_peer or withheld_words(withheld)
        at = (route.destination, peer.host)
        self._delivered(operation, route.requestor, at, locations, counters, route.trace)
        failed = frozenset(counters.failed_uids)
        taken = frozenset(location.sop_instance_uid for location in counters.taken) - failed
        failed -= withheld.keys()
        # The destination is not involved, and is not counted as refusing.
        why = why or of_peer or (counters.unable if failed else "")
        if failed and not why:
            why = f"{route.destination} did not take {len(failed)} instances{f': {words}' if words else ''}"
            return Attempted(taken, failed, why, refused=True, withheld=withheld)
        return Attempted(taken, failed, why, withheld=withheld)

    def _command_elements(self, route: RouteRequested) -> Mapping[int, Value]:
        """Command elements for each object. PS3.7 9.1.1.1.6: the sub-operations belong to a C-MOVE, even when they are
        made later."""
        priority = self._times.priority(route).code
        if route.kind != MOVE:
            return {Element.PRIORITY: priority}
        return {
            Element.PRIORITY: priority,
            Element.MOVE_ORIGINATOR_AE_TITLE: route.requestor,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: route.message_id,
        }

    async def _locations(self, route: RouteRequested, taken: Collection[str]) -> list[Location]:
        """The current objects of what arrived between two receipts: an object that was received again with the same
        bytes keeps its first receipt, and was there before."""
        query = Query(route.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((route.study_instance_uid,))})
        locations: list[Location] = []
        with restricted(self._sight_of(route.requestor) if route.kind == MOVE else EVERYTHING):
            async for page in self._index.locate(query):
                locations += [location for location in page if _is_of(location, route)]
        return [location for location in locations if location.sop_instance_uid not in taken]


def _is_of(location: Location, route: RouteRequested) -> bool:
    series, instances = route.series_instance_uids, route.sop_instance_uids
    if series and location.series_instance_uid not in series:
        return False
    if instances and location.sop_instance_uid not in instances:
        return False
    receipt = receipt_in_key(location.object_key)
    first, last = receipts_of(route)
    return receipt is not None and first <= receipt.id <= last


async def _nobody_waits() -> None:
    return None
