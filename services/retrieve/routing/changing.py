"""Which destinations, by the rules, are notified that instances of a study were removed or came back, or that its
values were corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, Single, matches
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import InstancesDeleted, InstancesRestored, RouteRequested
from gantry.common.lifecycle.routes import (
    ChangedInstance,
    CorrectionChange,
    RouteRule,
    change_requests,
    correction_requests,
)
from gantry.common.ports.index import InstanceEntry, InstanceKey, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import has_followed
from gantry.services.retrieve.routing.matching import rule_finds
from gantry.services.retrieve.routing.removed import study_of

AvailabilityChange = InstancesDeleted | InstancesRestored
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What the index knows of a study: the named instances that are present, and the objects that are hidden."""

    locations: dict[InstanceKey, Location]
    hidden: Sequence[InstanceEntry]


class ChangeRequests:
    """Asks the index, which must have followed the log that far. Every method raises `DependencyUnavailable`."""

    def __init__(self, rules: Sequence[RouteRule], log: EventLog, index: ReadIndex, clock: Clock) -> None:
        self._rules = [rule for rule in rules if rule.notify]
        self._log = log
        self._index = index
        self._clock = clock

    async def follow(self) -> None:
        """Wait until the index has followed the log up to now."""
        if self._rules and not await has_followed(self._log, self._clock, _PATIENCE):
            raise DependencyUnavailable("index", "it has not followed the log yet")

    async def routes_of(self, change: AvailabilityChange) -> list[RouteRequested]:
        """The routes of a change; none if retrieval gives the same: another receipt of an instance replaces the one
        that was removed."""
        if not self._rules:
            return []
        study = change.study_instance_uid
        named = (
            InstanceKey(study, reference.series_instance_uid, reference.sop_instance_uid)
            for reference in change.receipts
        )
        keys = list(dict.fromkeys(named))
        known = await self._known(change, keys)
        changed = _changed(change, keys, known)
        if not changed:
            return []
        senders = await self._senders(change.partition, keys, known)
        document = study_of(known.hidden)
        rules = [rule for rule in self._rules if rule.sent_by(senders) and await self._is_about(rule, study, document)]
        return change_requests(change, changed, rules, self._clock.now_us())

    async def corrections_of(self, change: CorrectionChange) -> list[RouteRequested]:
        """The routes of a correction of a study that is here, by its corrected values. Rules with `sources` apply if
        one of these sent any part of it."""
        study = change.study_instance_uid
        rules = [rule for rule in self._rules if rule.corrected and await rule_finds(rule, self._index, study)]
        if any(rule.sources for rule in rules):
            senders = await self._senders_of(change.partition, study)
            rules = [rule for rule in rules if rule.sent_by(senders)]
        return correction_requests(change, rules, self._clock.now_us())

    async def _senders_of(self, partition: str, study: str) -> set[str]:
        query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        senders: set[str] = set()
        async for page in self._index.locate(query):
            keys = [InstanceKey(study, location.series_instance_uid, location.sop_instance_uid) for location in page]
            receipts = await self._index.receipts_of(partition, keys)
            senders.update(receipt.sender for group in receipts.values() for receipt in group)
        return senders - {""}

    async def _known(self, change: AvailabilityChange, keys: Sequence[InstanceKey]) -> _Known:
        locations = await self._index.current(change.partition, keys)
        hidden: list[InstanceEntry] = []
        async for page in self._index.find_decided(change.partition, change.study_instance_uid):
            hidden += [receipt.entry for receipt in page if receipt.entry is not None and receipt.deletion_state.hidden]
        return _Known(locations, hidden)

    async def _senders(self, partition: str, keys: Sequence[InstanceKey], known: _Known) -> set[str]:
        if not any(rule.sources for rule in self._rules):
            return set()
        named = set(keys)
        senders = {entry.sender for entry in known.hidden if _key(entry) in named}
        receipts = await self._index.receipts_of(partition, list(known.locations))
        senders.update(receipt.sender for group in receipts.values() for receipt in group)
        return senders - {""}

    async def _is_about(self, rule: RouteRule, study: str, document: Document | None) -> bool:
        if await rule_finds(rule, self._index, study):
            return True
        return not rule.query.conditions or (document is not None and matches(rule.query, document))


def _changed(change: AvailabilityChange, keys: Sequence[InstanceKey], known: _Known) -> list[ChangedInstance]:
    classes = {_key(entry): entry.sop_class_uid for entry in known.hidden}
    classes |= {key: location.sop_class_uid for key, location in known.locations.items()}
    came_back = isinstance(change, InstancesRestored)
    return [
        ChangedInstance(key.series_instance_uid, classes[key], key.sop_instance_uid)
        for key in keys
        if key in classes and (key in known.locations) is came_back
    ]


def _key(entry: InstanceEntry) -> InstanceKey:
    return InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)
