"""One attempt to send what a route is about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import GantryError
from gantry.common.events import RouteRequested
from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle.routes import AVAILABILITY
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.statuses import is_warning
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.corrections import as_stored
from gantry.services.retrieve.dimse.moving import Job, Mover, count_the_rest
from gantry.services.retrieve.dimse.service import Delivered, count_suboperations
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.routing.availability import AvailabilityNotifier
from gantry.services.retrieve.unindexed import Locating

_OPERATION = "route"


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of it. `failed` are the SOP Instance UIDs that were not taken; None where nothing was tried. `refused`:
    the destination answered and did not want them, so that trying again soon is of little use."""

    completed: int
    failed: Collection[str] | None
    why: str
    refused: bool = False
    nothing_left: bool = False


class RouteSender:
    """Sends over the same lanes as C-MOVE."""

    def __init__(
        self,
        mover: Mover,
        index: Locating,
        peer_of: Callable[[str], Peer | None],
        gets_originals: Callable[[str], bool],
        metrics: Metrics,
        delivered: Delivered,
        notifier: AvailabilityNotifier,
        contact_of: Callable[[str], Peer | None],
    ) -> None:
        """`peer_of` maps an AE title to where objects may be sent, `contact_of` to where it is called for anything
        else; None where the policy does not allow it, or does not say."""
        self._notifier = notifier
        self._contact_of = contact_of
        self._mover = mover
        self._index = index
        self._peer_of = peer_of
        self._gets_originals = gets_originals
        self._metrics = metrics
        self._delivered = delivered

    async def attempt(
        self, route: RouteRequested, only: Collection[str] | None, is_wanted: Callable[[], bool]
    ) -> Attempted:
        """Send what came between the receipts of a route; of that, `only` these SOP Instance UIDs, where they are
        given. What is at fault is in the answer, and nothing is raised for it."""
        notifies = route.kind == AVAILABILITY
        peer = (self._contact_of if notifies else self._peer_of)(route.destination)
        if peer is None:
            return Attempted(0, None, f"{route.destination} is no destination: the AE policy names those that are")
        try:
            locations = await self._locations(route, only)
        except GantryError as error:
            return Attempted(0, None, str(error))
        if not locations:
            return Attempted(0, (), "nothing of it is left to send", nothing_left=True)
        if notifies:
            return await self._notify(route, peer, locations)
        if self._gets_originals(route.destination):
            locations = as_stored(locations)
        return await self._send(route, peer, locations, is_wanted)

    async def _notify(self, route: RouteRequested, peer: Peer, locations: Sequence[Location]) -> Attempted:
        uids = tuple(one.sop_instance_uid for one in locations)
        try:
            status = await self._notifier.notify(peer, route.study_instance_uid, locations)
        except GantryError as error:
            return Attempted(0, uids, f"{route.destination}: {error}")
        if status and not is_warning(status):
            return Attempted(0, uids, f"{route.destination} answered {status:04X}H", refused=True)
        return Attempted(len(uids), (), "")

    async def _send(
        self, route: RouteRequested, peer: Peer, locations: Sequence[Location], is_wanted: Callable[[], bool]
    ) -> Attempted:
        counters = Counters(len(locations))
        why = ""
        try:
            await self._mover.move(peer, locations, Job(counters, is_wanted, _nobody_waits))
        except GantryError as error:
            why = str(error)
        count_the_rest(locations, counters)
        count_suboperations(self._metrics, _OPERATION, counters)
        self._delivered(_OPERATION, "", (route.destination, peer.host), locations, counters, route.trace)
        why = why or counters.why
        if counters.failed and not why:
            return Attempted(
                counters.completed + counters.warning,
                tuple(counters.failed_uids),
                f"{route.destination} did not take {counters.failed} instances",
                refused=True,
            )
        return Attempted(counters.completed + counters.warning, tuple(counters.failed_uids), why)

    async def _locations(self, route: RouteRequested, only: Collection[str] | None) -> list[Location]:
        """The current objects of what came between two receipts: what was sent again with the same bytes has its first
        receipt, and is there already."""
        query = Query(route.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((route.study_instance_uid,))})
        found: list[Location] = []
        async for page in self._index.locate(query):
            found += [location for location in page if _came_between(location, route)]
        return [one for one in found if only is None or one.sop_instance_uid in only]


def _came_between(location: Location, route: RouteRequested) -> bool:
    receipt = receipt_in_key(location.object_key)
    return receipt is not None and route.first_receipt <= receipt.id <= route.last_receipt


async def _nobody_waits() -> None:
    return None
