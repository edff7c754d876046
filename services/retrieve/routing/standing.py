"""What is present of a study at the time of a notification, and what is no longer present."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gantry.common.access import EVERYTHING, restricted
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.events import RouteRequested
from gantry.common.lifecycle.routes import CHANGE
from gantry.common.orders import PerformedStep
from gantry.common.ports.index import Location, ReadIndex
from gantry.common.runtime.availability import Availability
from gantry.services.retrieve.routing.notifications import (
    UNAVAILABLE,
    AvailabilityNotification,
    InstanceAvailability,
    notifications,
)
from gantry.services.retrieve.unindexed import Locating

StepsOf = Callable[[str, str], Awaitable[Sequence[PerformedStep]]]


class StudyStanding:
    """Asks the index and the performed procedure steps."""

    def __init__(self, locating: Locating, index: ReadIndex, availability: Availability, steps_of: StepsOf) -> None:
        """`steps_of` are the performed procedure steps that name a study, by its partition and UID."""
        self._locating = locating
        self._index = index
        self._availability = availability
        self._steps_of = steps_of

    async def notifications(self, route: RouteRequested, came: Sequence[Location]) -> list[AvailabilityNotification]:
        """The notifications of a route now: what `came`, or, for a change, what is present and what is not. Raises
        `DependencyUnavailable`."""
        study, is_change = route.study_instance_uid, route.kind == CHANGE
        steps = await self._steps_of(route.partition, study)
        if not is_change and not steps:
            return notifications(study, await self._availabilities(study, came), _keys(came), (), whole=False)
        instances = await self._availabilities(study, await self._located(route))
        known = [*instances, *await self._gone(route, {instance.key for instance in instances})]
        changed = _named(route) if is_change else _keys(came)
        return notifications(study, known, changed, steps, whole=is_change)

    async def _located(self, route: RouteRequested) -> list[Location]:
        query = Query(route.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((route.study_instance_uid,))})
        with restricted(EVERYTHING):
            return [location async for page in self._locating.locate(query) for location in page]

    async def _availabilities(self, study: str, locations: Sequence[Location]) -> list[InstanceAvailability]:
        keys = [(study, location.series_instance_uid, location.sop_instance_uid) for location in locations]
        words = await self._availability.of_keys(Level.IMAGE, keys)
        return [
            InstanceAvailability(location.series_instance_uid, location.sop_class_uid, location.sop_instance_uid, word)
            for location, word in zip(locations, words, strict=True)
        ]

    async def _gone(self, route: RouteRequested, keys: set[tuple[str, str]]) -> list[InstanceAvailability]:
        """What was removed and is absent: what the index still has of the study, and what the route names, which may
        have been collected and dropped from the index."""
        gone: dict[tuple[str, str], InstanceAvailability] = {}
        async for page in self._index.find_decided(route.partition, route.study_instance_uid):
            for receipt in page:
                if receipt.entry is not None and receipt.deletion_state.hidden:
                    key = receipt.instance.series_instance_uid, receipt.instance.sop_instance_uid
                    gone[key] = InstanceAvailability(key[0], receipt.entry.sop_class_uid, key[1], UNAVAILABLE)
        if route.kind == CHANGE:
            named = zip(route.series_instance_uids, route.sop_class_uids, route.sop_instance_uids, strict=True)
            for series, sop_class, uid in named:
                gone.setdefault((series, uid), InstanceAvailability(series, sop_class, uid, UNAVAILABLE))
        return [instance for key, instance in gone.items() if key not in keys]


def _keys(locations: Sequence[Location]) -> set[tuple[str, str]]:
    return {(location.series_instance_uid, location.sop_instance_uid) for location in locations}


def _named(route: RouteRequested) -> set[tuple[str, str]]:
    return set(zip(route.series_instance_uids, route.sop_instance_uids, strict=True))
