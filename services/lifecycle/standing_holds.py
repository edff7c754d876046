"""Which holds are in force, on what, and who placed them, when and why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import PATIENT_ID, STUDY_INSTANCE_UID
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.lifecycle import holder_of, holders, patient_of
from gantry.common.ports.index import ReadIndex, StandingHolds
from gantry.common.runtime.study_facts import KnownStudy, known_study
from gantry.services.lifecycle.hold_facts import HoldFacts, placed_at

_MOST_STUDIES = 20
"""Most studies of a Patient ID that are read: they show the issuers of possible holds."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold in force: `holder` is a Study Instance UID, or a digest of the patient `on` whom it is; `at` in
    microseconds since the epoch; who placed it and why, None if the event was not found in time."""

    holder: str
    on: str
    study_instance_uid: str
    hold: str
    at: int
    by: str | None
    reason: str | None


class ReadHolds:
    """Asks the index for holds, and `HoldFacts` for their reasons. Every method raises `DependencyUnavailable`."""

    def __init__(self, index: ReadIndex, facts: HoldFacts) -> None:
        self._index = index
        self._facts = facts

    async def of(self, term: str) -> list[Hold]:
        """The holds on a study, known or not, and on its patient; or on a Patient ID of any issuer, and the patient's
        studies."""
        return await self._described(await self.standing(term))

    async def standing(self, term: str) -> list[StandingHolds]:
        """The same, with only their names."""
        keys = await self._keys(term) if is_uid(term) else await self._keys_of_patient(term)
        return [holder async for holder in self._standing_of(keys)]

    async def page(self, after: str, limit: int) -> tuple[list[Hold], str | None]:
        """The holds of the next holders after a given one, "" for the first; and the last holder, if there are more."""
        holders: list[StandingHolds] = []
        async with aclosing(self._index.held(DEFAULT_PARTITION, after)) as pages:  # type: ignore[type-var]
            async for page in pages:
                holders += page
                if len(holders) > limit:
                    return await self._described(holders[:limit]), holders[limit - 1].holder
        return await self._described(holders), None

    async def _keys(self, study: str) -> list[str]:
        known = await known_study(self._index, DEFAULT_PARTITION, study, deleted=True)
        patients = [] if known is None else await known.patients(self._index)
        return [study, *map(holder_of, patients)]

    async def _keys_of_patient(self, patient_id: str) -> list[str]:
        keys = dict.fromkeys(map(holder_of, holders(patient_id)))
        query = Query(DEFAULT_PARTITION, Level.STUDY, {PATIENT_ID: Single((patient_id,))}, limit=_MOST_STUDIES)
        async for page in self._index.find(query):
            for document in page:
                uid = str(document.attributes[STUDY_INSTANCE_UID][0])
                patients = await KnownStudy(DEFAULT_PARTITION, uid, document.attributes).patients(self._index)
                keys |= dict.fromkeys([*map(holder_of, patients), uid])
        return list(keys)

    async def _standing_of(self, keys: Sequence[str]) -> AsyncIterator[StandingHolds]:
        for key in keys:
            if holds := await self._index.holds(DEFAULT_PARTITION, key):
                yield StandingHolds(key, tuple(holds))

    async def _described(self, holders: Sequence[StandingHolds]) -> list[Hold]:
        facts = await self._facts.of([hold for holder in holders for hold in holder.holds])
        described = []
        for holder in holders:
            of_patient = patient_of(holder.holder)
            for name in holder.holds:
                fact = facts.get(name)
                at, by, reason = (placed_at(name), None, None) if fact is None else (fact.at, fact.by, fact.reason)
                on, study = ("patient", "") if of_patient else ("study", holder.holder)
                described.append(Hold(holder.holder, on, study, name, at, by, reason))
        return described
