"""Protection of a study from deletion by any caller: holds on it and on its patient, its retention, and archives that
have not committed it yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import Held
from gantry.common.lifecycle import (
    Retention,
    RetentionRule,
    StudyState,
    committers,
    holder_of,
    holds_stand,
    longest,
    retention_of,
)
from gantry.common.ports.index import DecidedReceipt, InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import Committed, CommittedElsewhere
from gantry.common.runtime.following import unfollowed, unfollowed_events, unfollowed_holds
from gantry.common.runtime.study_facts import KnownStudy, as_received, day_of, facts_of, known_study, unindexed_study


async def is_held(index: ReadIndex, partition: str, study: str) -> bool:
    """Whether a study or its patient is under a hold, as far as the index knows. Raises `DependencyUnavailable`."""
    known = await known_study(index, partition, study, deleted=True)
    patients = [] if known is None else await known.patients(index)
    keys = [study, *map(holder_of, patients)]
    return any([await index.holds(partition, key) for key in keys])


class Protection:
    """Asks the index, and the log for what the indexers have not read yet."""

    def __init__(
        self,
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        rules: Sequence[RetentionRule] = (),
        elsewhere: CommittedElsewhere | None = None,
    ) -> None:
        """`rules` are those of `lifecycle.retention`. If one of them waits for other archives, `elsewhere` knows what
        these have committed; without it nothing counts as committed."""
        self._elsewhere = elsewhere
        self._log = log
        self._index = index
        self._clock = clock
        self.rules = rules

    async def check(
        self, partition: str, study: str, recent: StudyState | None = None, *, bytes_stay: bool = False
    ) -> None:
        """Return if parts of the study may be deleted. Raises `Held` in words, and `DependencyUnavailable` while that
        cannot be determined. `recent` is the result of `unfollowed`. If the same `bytes_stay` in another receipt, only
        holds prevent it."""
        recent = recent if recent is not None else await unfollowed(self._log, partition, study)
        known = await self._known(partition, study, recent)
        holds = await self.holds(partition, study, known, recent)
        if holds:
            raise Held(f"{holds_stand(holds)} on this study or its patient; release first what holds it")
        retention = None if known is None or bytes_stay else await self.retention(known, recent)
        if retention is not None and not retention.is_over(self._today()):
            end = "for ever" if retention.until is None else f"until {retention.until.isoformat()}"
            raise Held(f"its retention is not over: rule {retention.rule!r} keeps this study {end}")
        if known is not None and not bytes_stay and (why := await self.uncommitted(known, recent)):
            raise Held(f"{why}; see `gantry routes list`")

    async def uncommitted(self, known: KnownStudy, recent: StudyState | None = None) -> str:
        """Which of the archives that a study's rules wait for has not committed all of it (PS3.4 J), and how much is
        lacking, in words; "" if there is none. Raises `DependencyUnavailable`."""
        waits_for = await self._committers(known, recent)
        if not waits_for:
            return ""
        objects = await self._stored_objects(known, recent)
        committed = await self._committed(known)
        for title, rule in waits_for.items():
            missing = len(objects - committed.get(title, frozenset()))
            if missing:
                return f"{title} has not committed {missing} of {len(objects)} objects: rule {rule!r} waits for that"
        return ""

    async def may_be_collected(
        self, partition: str, study: str, receipts: Sequence[DecidedReceipt]
    ) -> list[DecidedReceipt]:
        """The deleted receipts of a study, of those given, that all archives have committed for which its rules wait;
        all of them if no rule waits. Raises `DependencyUnavailable`."""
        known = await known_study(self._index, partition, study, deleted=True)
        waits_for = {} if known is None else await self._committers(known)
        if known is None or not waits_for:
            return list(receipts)
        committed = await self._committed(known)
        return [
            receipt
            for receipt in receipts
            if all(
                (receipt.instance.sop_instance_uid, receipt.digest) in committed.get(title, ()) for title in waits_for
            )
        ]

    async def _committers(self, known: KnownStudy, recent: StudyState | None = None) -> dict[str, str]:
        """The archives that rules of a study wait for, with the rules: by its shown values, and by those received."""
        waiting = [rule for rule in self.rules if rule.committed_by]
        if not waiting:
            return {}
        received = await as_received(self._index, known)
        named: dict[str, str] = {}
        for study in (known, received):
            named |= committers(await facts_of(self._index, study, waiting, recent), waiting)
        return named

    async def _committed(self, known: KnownStudy) -> Committed:
        return {} if self._elsewhere is None else await self._elsewhere.of_study(known.partition, known.uid)

    async def _stored_objects(self, known: KnownStudy, recent: StudyState | None) -> set[tuple[str, str]]:
        """Each stored object, by SOP Instance UID and digest; objects that are not indexed yet have no digest, and are
        committed nowhere."""
        deleted = (
            set()
            if recent is None
            else {name for name, receipt in recent.receipts.items() if receipt.deletion_state.hidden}
        )
        objects: set[tuple[str, str]] = set()
        query = Query(known.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((known.uid,))})
        indexed: set[str] = set()
        async for page in self._index.locate(query):
            instances = [InstanceKey(at.study_instance_uid, at.series_instance_uid, at.sop_instance_uid) for at in page]
            for instance, receipts in (await self._index.receipts_of(known.partition, instances)).items():
                indexed |= {receipt.id for receipt in receipts}
                objects |= {
                    (instance.sop_instance_uid, receipt.digest)
                    for receipt in receipts
                    if receipt.id not in deleted and not receipt.lost
                }
        for name, receipt in ({} if recent is None else recent.receipts).items():
            if name not in indexed and receipt.is_present:
                objects.add((receipt.instance[1], ""))
        return objects

    async def holds(
        self, partition: str, study: str, known: KnownStudy | None, recent: StudyState | None = None
    ) -> int:
        """The number of holds on a study and its patient. Raises `DependencyUnavailable`."""
        recent = recent if recent is not None else await unfollowed(self._log, partition, study)
        held = await self._standing(partition, study, recent)
        for patient in [] if known is None else await known.patients(self._index):
            of_patient = await unfollowed_holds(self._log, partition, patient)
            held |= await self._standing(partition, holder_of(patient), of_patient)
        return len(held)

    async def holds_on(self, partition: str, studies: Iterable[str], patients: Iterable[str]) -> int:
        """The number of holds on any of some studies, or of some patients (`gantry.common.lifecycle.holders`). Raises
        `DependencyUnavailable`."""
        held: set[str] = set()
        for study in studies:
            held |= await self._standing(partition, study, await unfollowed(self._log, partition, study))
        for patient in patients:
            of_patient = await unfollowed_holds(self._log, partition, patient)
            held |= await self._standing(partition, holder_of(patient), of_patient)
        return len(held)

    async def retention(self, known: KnownStudy, recent: StudyState | None = None) -> Retention | None:
        """How long a study is retained, by its shown or its received values, whichever is longer: a correction cannot
        shorten it. None if no rule matches. Raises `DependencyUnavailable`."""
        if not self.rules:
            return None
        received = await as_received(self._index, known)
        both = [known] if received.attributes == known.attributes else [known, received]
        return longest(
            [retention_of(await facts_of(self._index, study, self.rules, recent), self.rules) for study in both]
        )

    async def check_move(self, partition: str, study: str, into: str, values: Mapping[int, Sequence[Any]]) -> None:
        """Return if parts of a study may be moved `into` another one, or into a new one with the attributes `values` in
        place of this one's. Raises `Held` if it is under a hold, or its retention would be shorter there, and
        `DependencyUnavailable`."""
        recent = await unfollowed(self._log, partition, study)
        known = await known_study(self._index, partition, study)
        if holds := await self.holds(partition, study, known, recent):
            raise Held(f"{holds_stand(holds)} on this study or its patient; release first what holds it")
        before = None if known is None else await self.retention(known, recent)
        if known is None or before is None or before.is_over(self._today()):
            return
        other = await known_study(self._index, partition, into) if into else None
        changed = replace(known, attributes={**known.attributes, **values}) if other is None else other
        after = retention_of(await facts_of(self._index, changed, self.rules), self.rules)
        if longest([before, after]) == before and (after is None or after.until != before.until):
            raise Held(f"its retention would be shorter there: rule {before.rule!r} keeps this study")

    async def retained(self, partition: str, study: str) -> bool:
        """Whether a study is still under retention. Raises `DependencyUnavailable`."""
        if not self.rules:
            return False
        known = await known_study(self._index, partition, study)
        retention = None if known is None else await self.retention(known)
        return retention is not None and not retention.is_over(self._today())

    async def _known(self, partition: str, study: str, recent: StudyState) -> KnownStudy | None:
        known = await known_study(self._index, partition, study, deleted=True)
        if known is not None or not recent.receipts:
            return known
        return unindexed_study(partition, study, await unfollowed_events(self._log, partition, study))

    async def _standing(self, partition: str, key: str, recent: StudyState) -> set[str]:
        return (set(await self._index.holds(partition, key)) | recent.placed) - recent.released

    def _today(self) -> date:
        return day_of(self._clock.now_us())
