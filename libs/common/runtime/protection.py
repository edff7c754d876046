"""What stands in the way of deleting a study, whoever asks: holds on it and on its patient, and its retention."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gantry.common.clock import Clock
from gantry.common.errors import Held
from gantry.common.lifecycle import Retention, RetentionRule, StudyState, holder_of, retention_of
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import unfollowed, unfollowed_events, unfollowed_holds
from gantry.common.runtime.study_facts import KnownStudy, day_of, facts_of, known_study, unindexed_study


class Protection:
    """Asks the index, and the log for what the indexers have not read yet."""

    def __init__(
        self,
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        rules: Sequence[RetentionRule] = (),
    ) -> None:
        """`rules` are those of `lifecycle.retention`."""
        self._log = log
        self._index = index
        self._clock = clock
        self.rules = rules

    async def check(
        self, partition: str, study: str, recent: StudyState | None = None, *, bytes_stay: bool = False
    ) -> None:
        """Return if something of the study may be deleted. Raises `Held` in words, and `DependencyUnavailable` while it
        cannot be told. `recent` is what `unfollowed` said of it. Where the same `bytes_stay` in another receipt, only
        holds stand in the way."""
        recent = recent if recent is not None else await unfollowed(self._log, partition, study)
        known = await self._known(partition, study, recent)
        holds = await self.holds(partition, study, known, recent)
        if holds:
            raise Held(f"{holds} holds stand on this study or its patient; release them first")
        retention = None if known is None or bytes_stay else await self.retention(known, recent)
        if retention is not None and not retention.is_over(self._today()):
            end = "for ever" if retention.until is None else f"until {retention.until.isoformat()}"
            raise Held(f"its retention is not over: rule {retention.rule!r} keeps this study {end}")

    async def holds(
        self, partition: str, study: str, known: KnownStudy | None, recent: StudyState | None = None
    ) -> int:
        """How many holds stand on a study and its patient. Raises `DependencyUnavailable`."""
        recent = recent if recent is not None else await unfollowed(self._log, partition, study)
        held = await self._standing(partition, study, recent)
        for patient in [] if known is None else await known.patients(self._index):
            of_patient = await unfollowed_holds(self._log, partition, patient)
            held |= await self._standing(partition, holder_of(patient), of_patient)
        return len(held)

    async def retention(self, known: KnownStudy, recent: StudyState | None = None) -> Retention | None:
        """How long a study is kept; None where no rule is about it. Raises `DependencyUnavailable`."""
        if not self.rules:
            return None
        facts = await facts_of(self._index, known, self.rules, recent)
        return retention_of(facts, self.rules)

    async def retained(self, partition: str, study: str) -> bool:
        """Whether the retention of a study is not over. Raises `DependencyUnavailable`."""
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
