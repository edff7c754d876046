"""From an accession number, a UID or a Patient ID to accounts of the studies that it means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import UndecodableEvent
from gantry.common.events import INDEXERS, TOPICS, CommitmentRequested, InstanceStored, StudyDelivered, decode
from gantry.common.ids import DEFAULT_PARTITION, Receipt, is_uid
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import FatedReceipt, InstanceKey, KnownReceipt, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import unfollowed
from gantry.common.telemetry.traces import trace_id
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.letters import Letter
from gantry.services.whereabouts.account import (
    Account,
    Arrival,
    Commitments,
    DeadInstance,
    arrivals_of,
    happened_of,
)
from gantry.services.whereabouts.associations import by_trace, deliveries
from gantry.services.whereabouts.history import history

MOST_STUDIES = 20
_BY_UID = (
    (STUDY_INSTANCE_UID, Level.STUDY),
    (SERIES_INSTANCE_UID, Level.SERIES),
    (SOP_INSTANCE_UID, Level.IMAGE),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The studies that a term means, `MOST_STUDIES` at most, and whether there are `more`. `behind` is how many records
    the indexers have not read, `dead` how many events they could not apply: either may be what was asked for."""

    accounts: tuple[Account, ...]
    more: bool
    behind: int
    dead: int


@dataclass(slots=True)
class _Indexed:
    """What the index knows of a study."""

    locations: list[Location] = field(default_factory=list)
    receipts: dict[InstanceKey, list[KnownReceipt]] = field(default_factory=dict)
    fated: list[FatedReceipt] = field(default_factory=list)

    @property
    def known(self) -> list[KnownReceipt]:
        return [one for receipts in self.receipts.values() for one in receipts]

    @property
    def names(self) -> set[str]:
        return {one.receipt for one in self.known} | {one.receipt for one in self.fated}

    @property
    def instances(self) -> set[str]:
        return {key.sop_instance_uid for key in self.receipts} | {one.instance.sop_instance_uid for one in self.fated}


class Whereabouts:
    """Reads everything, changes nothing. Every method raises `DependencyUnavailable`."""

    def __init__(self, objects: BlobStore, log: EventLog, index: ReadIndex, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._letters = DeadLetters(log, clock)

    async def search(self, term: str) -> Found:
        """What is known of the studies with this accession number, Patient ID, or UID of study, series or instance."""
        letters = [letter for letter in (await self._letters.ledger()).open() if letter.event == "InstanceStored"]
        studies: dict[str, None] = {}
        async for study in self._studies(term, letters):
            studies[study] = None
            if len(studies) > MOST_STUDIES:
                break
        accounts = [await self._account(study, letters) for study in list(studies)[:MOST_STUDIES]]
        known = tuple(account for account in accounts if account != Account(account.study_instance_uid))
        behind = (await self._log.lag(INDEXERS)).get(TOPICS[InstanceStored].name, 0)
        return Found(known, len(studies) > MOST_STUDIES, behind, len(letters))

    async def _studies(self, term: str, letters: Sequence[Letter]) -> AsyncIterator[str]:
        if is_uid(term):
            for tag, level in _BY_UID:
                async for places in self._index.locate(Query(DEFAULT_PARTITION, level, {tag: Single((term,))})):
                    for place in places:
                        yield place.study_instance_uid
            for letter in letters:
                if term in (letter.study_instance_uid, letter.sop_instance_uid):
                    yield letter.study_instance_uid
            async for fated in self._index.fated(DEFAULT_PARTITION):
                for one in fated:
                    key = one.instance
                    if term in (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid):
                        yield key.study_instance_uid
            yield term  # it may be on its way to the index
        for tag in (ACCESSION_NUMBER, PATIENT_ID):
            async for page in self._index.find(Query(DEFAULT_PARTITION, Level.STUDY, {tag: Single((term,))})):
                for document in page:
                    yield str(document.attributes[STUDY_INSTANCE_UID][0])

    async def _account(self, study: str, letters: Sequence[Letter]) -> Account:
        indexed = await self._indexed(study)
        unread = await unfollowed(self._log, DEFAULT_PARTITION, study)
        dead = [letter for letter in letters if letter.study_instance_uid == study]
        names = indexed.names | set(unread.receipts) | {letter.receipt for letter in dead}
        decided = {one.at for fated in indexed.fated for one in fated.fate.deletions}
        events = await history(self._objects, self._log, study, names, decided)
        stored = [event for event in events if isinstance(event, InstanceStored)]
        instances = indexed.instances | {event.sop_instance_uid for event in stored}
        receipts, hidden = indexed.known, [one.fate for one in indexed.fated if one.fate.hidden]
        return Account(
            study,
            searchable=len(indexed.locations),
            unread=sum(1 for one in unread.receipts.values() if one.there),
            aside=sum(place.aside for place in indexed.locations),
            lost=sum(1 for one in receipts if one.lost),
            deleted=sum(1 for fate in hidden if not fate.collected),
            restorable=sum(1 for fate in hidden if fate.restorable),
            collected=sum(1 for fate in hidden if fate.collected),
            holds=tuple(await self._index.holds(DEFAULT_PARTITION, study)),
            arrivals=await self._arrivals(stored, receipts),
            commitments=tuple((await self._commitments(instances, names)).found.values()),
            happened=happened_of(events),
            deliveries=await self._deliveries(study, names),
            dead=tuple(DeadInstance(letter.id, letter.sop_instance_uid, letter.reason) for letter in dead),
        )

    async def _indexed(self, study: str) -> _Indexed:
        indexed = _Indexed()
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        async for page in self._index.locate(query):
            indexed.locations += page
            keys = [
                InstanceKey(place.study_instance_uid, place.series_instance_uid, place.sop_instance_uid)
                for place in page
            ]
            indexed.receipts |= await self._index.receipts_of(DEFAULT_PARTITION, keys)
        async for fated in self._index.fated(DEFAULT_PARTITION, study):
            indexed.fated += fated
        return indexed

    async def _arrivals(
        self, stored: Sequence[InstanceStored], receipts: Sequence[KnownReceipt]
    ) -> tuple[Arrival, ...]:
        """By the events; of receipts whose events are not found any more, by what the index knows."""
        traces = {name for event in stored if (name := trace_id(event.trace))}
        first = min((event.stored_at for event in stored), default=0)
        ended = await by_trace(self._log, first, traces) if traces else {}
        outcomes = {trace: association.outcome for trace, association in ended.items()}
        heard = {event.receipt for event in stored}
        rest: dict[str, list[int]] = {}
        for one in receipts:
            if one.receipt not in heard:
                rest.setdefault(one.sender, []).append(Receipt(one.receipt).milliseconds * 1000)
        known = [Arrival(who, "", "", min(at), max(at), len(at), "") for who, at in rest.items()]
        return tuple(sorted([*arrivals_of(stored, outcomes), *known], key=lambda arrival: arrival.first_at))

    async def _deliveries(self, study: str, names: set[str]) -> tuple[StudyDelivered, ...]:
        first = min((Receipt(name).milliseconds for name in names), default=0)
        return tuple(await deliveries(self._log, first * 1000, study)) if first else ()

    async def _commitments(self, instances: set[str], names: set[str]) -> Commitments:
        commitments = Commitments(instances)
        first = min((Receipt(name).milliseconds for name in names), default=0)
        if instances and first:
            async for record in self._log.replay(TOPICS[CommitmentRequested].name, first * 1000):
                try:
                    commitments.take(decode(record.payload))
                except UndecodableEvent:
                    continue  # of a newer release
        return commitments
