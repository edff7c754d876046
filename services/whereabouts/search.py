"""From an accession number, a UID or a Patient ID to accounts of the studies that it means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gantry.common.clock import Clock
from gantry.common.dicom.encoding.values import text_of
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
from gantry.common.events import (
    INDEXERS,
    TOPICS,
    CommitmentRequested,
    Event,
    InstanceStored,
    OrderReported,
    RouteRequested,
    SubscribedStudyNoted,
    SubscriptionCreated,
    decode,
)
from gantry.common.ids import DEFAULT_PARTITION, Receipt, is_uid
from gantry.common.lifecycle.patients import patient_key, values_of
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import DecidedReceipt, InstanceKey, KnownReceipt, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import unfollowed
from gantry.common.telemetry.traces import trace_id
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.letters import Letter
from gantry.services.whereabouts.account import (
    Account,
    ArrivalAccount,
    Commitments,
    DeadInstance,
    Occurrence,
    arrivals_of,
    happened_of,
)
from gantry.services.whereabouts.associations import Recorded, recorded
from gantry.services.whereabouts.history import history
from gantry.services.whereabouts.onward import OnwardOf
from gantry.services.whereabouts.reported import ReportsOf

MOST_STUDIES = 20
_MOST_MERGES = 10
_DECISIONS_SECONDS = 10.0
_PATIENT_ID = f"{PATIENT_ID:08X}"
_BY_UID = (
    (STUDY_INSTANCE_UID, Level.STUDY),
    (SERIES_INSTANCE_UID, Level.SERIES),
    (SOP_INSTANCE_UID, Level.IMAGE),
)


@dataclass(frozen=True, slots=True)
class FoundStudies:
    """The studies that a term means, `MOST_STUDIES` at most, and whether there are `more`. `behind` is how many records
    the indexers have not read, `dead` how many events they could not apply: either may be what was asked for. `merged`
    are the Patient IDs that a Patient ID was merged into, one after the other: their studies are meant, too. `partly`:
    there are too many deleted and rejected instances to look through, and more may be among them."""

    accounts: tuple[Account, ...]
    more: bool
    behind: int
    dead: int
    merged: tuple[str, ...] = ()
    partly: bool = False


@dataclass(slots=True)
class _Indexed:
    """What the index knows of a study."""

    locations: list[Location] = field(default_factory=list)
    receipts: dict[InstanceKey, list[KnownReceipt]] = field(default_factory=dict)
    decided: list[DecidedReceipt] = field(default_factory=list)

    @property
    def known(self) -> list[KnownReceipt]:
        return [receipt for receipts in self.receipts.values() for receipt in receipts]

    @property
    def names(self) -> set[str]:
        return {receipt.id for receipt in self.known} | {receipt.id for receipt in self.decided}

    @property
    def instances(self) -> set[str]:
        return {key.sop_instance_uid for key in self.receipts} | {
            receipt.instance.sop_instance_uid for receipt in self.decided
        }


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What index, log and bucket say of one study."""

    study: str
    indexed: _Indexed
    unread: int
    dead: Sequence[Letter]
    names: set[str]
    events: Sequence[Event]
    holds: tuple[str, ...]

    @property
    def stored(self) -> list[InstanceStored]:
        return [event for event in self.events if isinstance(event, InstanceStored)]

    @property
    def instances(self) -> set[str]:
        return self.indexed.instances | {event.sop_instance_uid for event in self.stored}

    @property
    def traces(self) -> set[str]:
        """Of the associations and requests that brought it."""
        return {name for event in self.stored if (name := trace_id(event.trace))}

    @property
    def first(self) -> int:
        """When the first of it was received, in microseconds since the epoch; 0 where nothing was."""
        return min((Receipt(name).milliseconds for name in self.names), default=0) * 1000


class Whereabouts:
    """Reads everything, changes nothing. Every method raises `DependencyUnavailable`."""

    def __init__(self, objects: BlobStore, log: EventLog, index: ReadIndex, clock: Clock, *, grace: float) -> None:
        """`grace` (seconds) as in `lifecycle.grace`: what was deleted longer ago can't be restored."""
        self._clock = clock
        self._grace_us = int(grace * 1e6)
        self._objects = objects
        self._log = log
        self._index = index
        self._letters = DeadLetters(log, clock)

    async def search(self, term: str) -> FoundStudies:
        """What is known of the studies with this accession number, Patient ID, or UID of study, series or instance."""
        letters = [letter for letter in (await self._letters.ledger()).open() if letter.event == "InstanceStored"]
        merged = await self._merged(term)
        studies: dict[str, None] = {}
        async for study in self._studies(term, merged, letters):
            studies[study] = None
            if len(studies) > MOST_STUDIES:
                break
        all_read = len(studies) > MOST_STUDIES or await self._add_decided(term, studies)
        gathered = [await self._gather(study, letters) for study in list(studies)[:MOST_STUDIES]]
        passed, committed = await self._recorded(gathered), await self._commitments(gathered)
        onward, reports = await self._onward(gathered), await self._reports(gathered)
        accounts = [
            _with_reports(self._account(facts, passed, committed.get(facts.study), onward), reports.of(facts.study))
            for facts in gathered
        ]
        known = tuple(account for account in accounts if account != Account(account.study_instance_uid))
        behind = (await self._log.lag(INDEXERS)).get(TOPICS[InstanceStored].name, 0)
        return FoundStudies(known, len(studies) > MOST_STUDIES, behind, len(letters), merged, not all_read)

    async def _merged(self, patient_id: str) -> tuple[str, ...]:
        """The Patient IDs that one without an issuer was merged into, one after the other."""
        merges: list[str] = []
        patient: str | None = patient_id
        while patient and patient not in merges[:-1] and len(merges) < _MOST_MERGES:
            key = patient_key({PATIENT_ID: [patient]}, "")
            made = (await self._index.corrections(DEFAULT_PARTITION, patient=key)).standing()
            values = next((correction.values for correction in reversed(made) if correction.into), None) or {}
            patient = next((text_of(value) for value in values_of(values.get(_PATIENT_ID, {}))), None)
            if patient:
                merges.append(patient)
        return tuple(merges)

    async def _studies(self, term: str, merged: Sequence[str], letters: Sequence[Letter]) -> AsyncIterator[str]:
        if is_uid(term):
            for tag, level in _BY_UID:
                async for places in self._index.locate(Query(DEFAULT_PARTITION, level, {tag: Single((term,))})):
                    for place in places:
                        yield place.study_instance_uid
            for letter in letters:
                if term in (letter.study_instance_uid, letter.sop_instance_uid):
                    yield letter.study_instance_uid
            yield term  # it may be on its way to the index
        for tag, value in ((ACCESSION_NUMBER, term), *((PATIENT_ID, patient) for patient in (term, *merged))):
            async for page in self._index.find(Query(DEFAULT_PARTITION, Level.STUDY, {tag: Single((value,))})):
                for document in page:
                    yield str(document.attributes[STUDY_INSTANCE_UID][0])

    async def _add_decided(self, term: str, studies: dict[str, None]) -> bool:
        """Add the studies of which something is deleted or rejected, which no search finds. Whether all such decisions
        were read: of very many not all are, in the time that somebody waits."""
        until = self._clock.monotonic() + _DECISIONS_SECONDS
        async for decided in self._index.find_decided(DEFAULT_PARTITION):
            for receipt in decided:
                if _means(term, receipt):
                    studies[receipt.instance.study_instance_uid] = None
            if len(studies) > MOST_STUDIES:
                return True
            if self._clock.monotonic() > until:
                return False
        return True

    async def _gather(self, study: str, letters: Sequence[Letter]) -> _Gathered:
        indexed = await self._indexed(study)
        unread = await unfollowed(self._log, DEFAULT_PARTITION, study)
        dead = [letter for letter in letters if letter.study_instance_uid == study]
        names = indexed.names | set(unread.receipts) | {letter.receipt for letter in dead}
        times = {deletion.at for receipt in indexed.decided for deletion in receipt.deletion_state.deletions}
        events = await history(self._objects, self._log, study, names, times)
        holds = tuple(await self._index.holds(DEFAULT_PARTITION, study))
        return _Gathered(
            study, indexed, sum(1 for state in unread.receipts.values() if state.is_present), dead, names, events, holds
        )

    async def _recorded(self, gathered: Sequence[_Gathered]) -> Recorded:
        """One pass over what was recorded of associations, for all studies."""
        begins = [facts.first for facts in gathered if facts.first]
        if not begins:
            return Recorded()
        traces = {trace for facts in gathered for trace in facts.traces}
        return await recorded(self._log, min(begins), traces, {facts.study for facts in gathered})

    async def _commitments(self, gathered: Sequence[_Gathered]) -> dict[str, Commitments]:
        """One pass over the transactions, for all studies."""
        by_study = {facts.study: Commitments(facts.instances) for facts in gathered if facts.instances and facts.first}
        begins = [facts.first for facts in gathered if facts.study in by_study]
        if not begins:
            return {}
        async for event in self._events(CommitmentRequested, min(begins)):
            for commitments in by_study.values():
                commitments.take(event)
        return by_study

    async def _onward(self, gathered: Sequence[_Gathered]) -> OnwardOf:
        """What was sent on and told, for all studies: as far as the log remembers it."""
        onward = OnwardOf({facts.study for facts in gathered})
        begins = [facts.first for facts in gathered if facts.first]
        if not begins:
            return onward
        async for event in self._events(RouteRequested, min(begins)):
            onward.route(event)
        for kind in (SubscriptionCreated, SubscribedStudyNoted):
            async for event in self._events(kind, 0):
                onward.subscription(event)
        return onward

    async def _reports(self, gathered: Sequence[_Gathered]) -> ReportsOf:
        """One pass over what came of orders since there was anything of the studies."""
        reports = ReportsOf({facts.study for facts in gathered})
        begins = [facts.first for facts in gathered if facts.first]
        if begins:
            async for event in self._events(OrderReported, min(begins)):
                reports.take(event)
        return reports

    async def _events(self, kind: type[Event], since_us: int) -> AsyncIterator[Event]:
        """The events of the topic of a kind; those of a newer release are left out."""
        async for record in self._log.replay(TOPICS[kind].name, since_us):
            with suppress(UndecodableEvent):
                yield decode(record.payload)

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
        async for decided in self._index.find_decided(DEFAULT_PARTITION, study):
            indexed.decided += decided
        return indexed

    def _account(
        self, facts: _Gathered, recorded: Recorded, commitments: Commitments | None, onward: OnwardOf
    ) -> Account:
        now = self._clock.now_us()
        receipts, hidden = (
            facts.indexed.known,
            [receipt.deletion_state for receipt in facts.indexed.decided if receipt.deletion_state.hidden],
        )
        deletion_states = [deletion_state for deletion_state in hidden if not deletion_state.collected]
        deleted = [
            deletion_state
            for deletion_state in deletion_states
            if not all(deletion.rejects for deletion in deletion_state.standing)
        ]
        return Account(
            facts.study,
            searchable=len(facts.indexed.locations),
            unread=facts.unread,
            aside=sum(place.aside for place in facts.indexed.locations),
            lost=sum(1 for receipt in receipts if receipt.lost),
            deleted=len(deleted),
            restorable=sum(
                deletion_state.restorable and not deletion_state.is_due(now, self._grace_us)
                for deletion_state in deleted
            ),
            rejected=len(deletion_states) - len(deleted),
            collected=len(hidden) - len(deletion_states),
            holds=facts.holds,
            arrivals=_arrivals(facts, recorded),
            commitments=() if commitments is None else tuple(commitments.found.values()),
            elsewhere=() if commitments is None else tuple(commitments.elsewhere.values()),
            happened=happened_of(facts.events),
            deliveries=tuple(recorded.delivered.get(facts.study, ())),
            dead=tuple(DeadInstance(letter.id, letter.sop_instance_uid, letter.reason) for letter in facts.dead),
            onward=onward.of(facts.study),
        )


def _arrivals(facts: _Gathered, recorded: Recorded) -> tuple[ArrivalAccount, ...]:
    """By the events; of receipts whose events are not found any more, by what the index knows."""
    ended = {trace: recorded.ended[trace] for trace in facts.traces & recorded.ended.keys()}
    outcomes = {trace: association.outcome for trace, association in ended.items()}
    heard = {event.receipt for event in facts.stored}
    rest: dict[str, list[int]] = {}
    for receipt in facts.indexed.known:
        if receipt.id not in heard:
            rest.setdefault(receipt.sender, []).append(Receipt(receipt.id).milliseconds * 1000)
    known = [ArrivalAccount(sender, "", "", min(at), max(at), len(at), "") for sender, at in rest.items()]
    return tuple(sorted([*arrivals_of(facts.stored, outcomes), *known], key=lambda arrival: arrival.first_at))


def _with_reports(account: Account, reported: Sequence[Occurrence]) -> Account:
    """The account with reports among what happened."""
    if not reported:
        return account
    return replace(account, happened=tuple(sorted((*account.happened, *reported), key=lambda event: event.at)))


def _means(term: str, receipt: DecidedReceipt) -> bool:
    """Whether a UID, accession number or Patient ID is that of a receipt that something was decided about."""
    key = receipt.instance
    if term in (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid):
        return True
    attributes = receipt.entry.attributes if receipt.entry is not None else {}
    return any(term == text_of(value) for tag in (ACCESSION_NUMBER, PATIENT_ID) for value in attributes.get(tag, ()))
