"""What is written and appended when a person corrects a study or a patient, merges patients, or takes that back.

The order: the values are durable in an object of their own, then the event is acknowledged by the log; when the
indexers have followed, everybody sees it. A crash in between leaves at most values that no event names, which the
collector removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Query, Single
from gantry.common.dicom.standard.tags import (
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import Conflicting, DependencyUnavailable, NotFound
from gantry.common.events import (
    Event,
    PatientCorrected,
    PatientCorrectionWithdrawn,
    PatientMerged,
    StudyCorrected,
    StudyCorrectionWithdrawn,
)
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.lifecycle import Corrections, Values, patient_key
from gantry.common.lifecycle.correctable import (
    OF_PATIENT,
    OF_SERIES,
    OF_STUDY,
    correctable_of,
    require_correctable,
    unpadded,
)
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.corrections import CorrectionSubject, write_values
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.following import has_followed
from gantry.common.telemetry.logs import get_logger
from gantry.services.requester import Requester

logger = get_logger("lifecycle")
_LONGEST_WALK = 1000


@dataclass(frozen=True, slots=True)
class CorrectionResult:
    """The id of a correction, and whether the indexers have followed: if not, they will."""

    correction: str
    settled: bool


class CorrectionDesk:
    """For one process; `patience` in seconds is how long indexers are waited for."""

    def __init__(
        self, objects: BlobStore, log: EventLog, index: ReadIndex, clock: Clock, patience: float = 10.0
    ) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._patience = patience

    # ---- studies

    async def correct_study(
        self, study: str, values: Values, requester: Requester, series: str = ""
    ) -> CorrectionResult:
        """Correct attributes of a study, or of one series of it. Raises `NotUnderstood` for what may not be corrected,
        `NotFound`, `DependencyUnavailable`."""
        values = unpadded(values)
        require_correctable(values, OF_SERIES if series else OF_STUDY)
        await self._settle()
        await self._require_study(study, series)
        name, now = self._name()
        await write_values(self._objects, DEFAULT_PARTITION, name, CorrectionSubject(study=study), values)
        at = DEFAULT_PARTITION, requester.trace, study
        return await self._append(StudyCorrected(*at, name, series, requester.reason, requester.by, now))

    async def assign_study(
        self, study: str, patient: PatientIdentity, requester: Requester, also: Values | None = None
    ) -> CorrectionResult:
        """Make a study one of another patient, with the demographics that this one has where it is known, and with
        what `also` says. Where that is what the study was corrected to last, that correction is the answer."""
        await self._must_settle()
        await self._require_not_led_on(patient)
        demographics = await self._demographics(patient)
        # What is said of the wrong patient must not stay.
        emptied = {f"{tag:08X}": {"vr": vr_of(tag).decode("ascii")} for tag in OF_PATIENT}
        values = {**emptied, **(demographics or {}), **(also or {}), **patient.values}
        known = await self._index.corrected(DEFAULT_PARTITION, study)
        standing = known.corrections.standing() if known is not None else []
        if standing and not standing[-1].series and standing[-1].values == values:
            return CorrectionResult(standing[-1].id, True)
        return await self.correct_study(study, values, requester)

    async def withdraw_from_study(self, study: str, correction: str, requester: Requester) -> CorrectionResult:
        """Take a correction of a study back. Raises `NotFound` where none of this id stands."""
        await self._settle()
        known = await self._index.corrected(DEFAULT_PARTITION, study)
        _require_standing(known.corrections if known is not None else None, correction)
        at = DEFAULT_PARTITION, requester.trace, study
        return await self._append(
            StudyCorrectionWithdrawn(*at, correction, requester.reason, requester.by, self._clock.now_us())
        )

    # ---- patients

    async def known_as(self, patient: PatientIdentity) -> Values | None:
        """The demographics of a patient after all that was corrected, those included that no search shows; None for one
        that is not known. Raises `DependencyUnavailable` while the indexers are behind."""
        await self._must_settle()
        demographics = await self._demographics(patient)
        return None if demographics is None else {**demographics, **await self.corrected_as(patient)}

    async def corrected_as(self, patient: PatientIdentity) -> dict[str, Any]:
        """What the corrections of a patient say that stand, the latest of each attribute."""
        standing = (await self._index.corrections(DEFAULT_PARTITION, patient=patient.key)).standing()
        corrected = {
            name: element
            for correction in standing
            if not correction.into
            for name, element in (correction.values or {}).items()
        }
        return {name: element if element.get("Value") else {} for name, element in corrected.items()}

    async def is_confidential(self, *patients: PatientIdentity) -> bool:
        """Whether one of these patients, or a study of theirs, has a Confidentiality Constraint on Patient Data
        Description. Raises `DependencyUnavailable`."""
        mark = CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION
        for patient in patients:
            if (await self.corrected_as(patient)).get(f"{mark:08X}"):
                return True
            theirs = {PATIENT_ID: Single((patient.patient_id,))}
            async for page in self._index.find(Query(DEFAULT_PARTITION, Level.STUDY, theirs)):
                if any(
                    document.attributes.get(mark) and patient_key(document.attributes, "") == patient.key
                    for document in page
                ):
                    return True
        return False

    async def is_led_on(self, patient: PatientIdentity) -> bool:
        """Whether a patient was merged into another one, or has another ID now."""
        standing = (await self._index.corrections(DEFAULT_PARTITION, patient=patient.key)).standing()
        return any(correction.into for correction in standing)

    async def leads_to(self, prior: PatientIdentity, into: PatientIdentity) -> bool:
        """Whether a patient is merged into, or renamed to, another one already."""
        standing = (await self._index.corrections(DEFAULT_PARTITION, patient=prior.key)).standing()
        return [correction.into for correction in standing if correction.into][-1:] == [into.key]

    async def correct_patient(
        self, patient: PatientIdentity, values: Values, requester: Requester, *, awaited: bool = False
    ) -> CorrectionResult:
        """Correct the demographics of a patient in all studies that are there, and in those that come. Raises as
        `correct_study`; `NotFound` also for one that was merged into another: that one is to be corrected. `awaited`:
        also of a patient of whom there is no study."""
        values = unpadded(values)
        require_correctable(values, OF_PATIENT)
        await self._settle()
        unknown = await self._demographics(patient) is None
        if unknown and not awaited:
            raise NotFound("no such patient (with another issuer?)")
        if unknown:
            await self._require_not_led_on(patient)
        name, now = self._name()
        subject = CorrectionSubject(patient=patient.key, awaited=unknown)
        await write_values(self._objects, DEFAULT_PARTITION, name, subject, values, patient.values)
        at = DEFAULT_PARTITION, requester.trace, patient.key
        return await self._append(PatientCorrected(*at, name, requester.reason, requester.by, now))

    async def await_under(
        self, prior: PatientIdentity, into: PatientIdentity, values: Values, requester: Requester, *, renamed: bool
    ) -> CorrectionResult:
        """As `merge` or `rename`, of a `prior` of whom there is no study: what comes under its ID is of `into`, with
        its demographics where it is known, and with these `values` where it is not. Raises `Conflicting`."""
        return await self._lead(prior, into, requester, renamed=renamed, awaited=values)

    async def merge(self, prior: PatientIdentity, into: PatientIdentity, requester: Requester) -> CorrectionResult:
        """All that is of `prior`, and all that will come, is of `into` from now on, and shows its demographics. Raises
        `Conflicting` where that would be a circle, or `prior` is merged already, `NotFound` where one of them is not
        known."""
        return await self._lead(prior, into, requester, renamed=False)

    async def rename(self, prior: PatientIdentity, new: PatientIdentity, requester: Requester) -> CorrectionResult:
        """Another Patient ID for the same patient. Raises as `merge`, and `Conflicting` where the new one is that of
        another patient: that would be a merge."""
        return await self._lead(prior, new, requester, renamed=True)

    async def withdraw_from_patient(
        self, patient: PatientIdentity, correction: str, requester: Requester
    ) -> CorrectionResult:
        """Take a correction of a patient back, or a merge of it into another one: the one that is named, or the last
        merge where `correction` is "". Raises `NotFound` where there is none."""
        await self._settle()
        known = await self._index.corrections(DEFAULT_PARTITION, patient=patient.key)
        merges = [correction.id for correction in known.standing() if correction.into]
        if not correction and not merges:
            raise NotFound("this patient is not merged into another one")
        correction = correction or merges[-1]
        _require_standing(known, correction)
        at = DEFAULT_PARTITION, requester.trace, patient.key
        return await self._append(
            PatientCorrectionWithdrawn(*at, correction, requester.reason, requester.by, self._clock.now_us())
        )

    async def _lead(
        self,
        prior: PatientIdentity,
        into: PatientIdentity,
        requester: Requester,
        *,
        renamed: bool,
        awaited: Values | None = None,
    ) -> CorrectionResult:
        await self._must_settle()
        await self._require_no_circle(prior, into)
        await self._require_not_led_on(into)
        if awaited is None and await self._demographics(prior) is None:
            raise NotFound("the prior patient is not known")
        demographics = await self._demographics(into)
        if renamed and demographics is not None:
            raise Conflicting("the new Patient ID is that of another patient: merge them, if they are one")
        if not renamed and demographics is None and awaited is None:
            raise NotFound("the surviving patient is not known: for a new Patient ID, change it instead")
        name, now = self._name()
        values = {**(demographics or awaited or {}), **into.values}
        # Of a survivor who is known the values go with his studies, as those of all others do.
        subject = CorrectionSubject(patient=prior.key, awaited=awaited is not None and demographics is None)
        await write_values(self._objects, DEFAULT_PARTITION, name, subject, values, prior.values)
        at = DEFAULT_PARTITION, requester.trace, prior.key
        return await self._append(PatientMerged(*at, name, into.key, renamed, requester.reason, requester.by, now))

    async def _require_no_circle(self, prior: PatientIdentity, into: PatientIdentity) -> None:
        known = await self._index.corrections(DEFAULT_PARTITION, patient=prior.key)
        if any(correction.into for correction in known.standing()):
            raise Conflicting("the prior patient is merged into another one already: take that back first")
        key, walk = into.key, {prior.key}
        while key not in walk and len(walk) < _LONGEST_WALK:
            walk.add(key)
            standing = (await self._index.corrections(DEFAULT_PARTITION, patient=key)).standing()
            onward = [correction.into for correction in standing if correction.into]
            if not onward:
                return
            key = onward[-1]
        raise Conflicting("the surviving patient is, or leads to, the prior one")

    async def _require_not_led_on(self, patient: PatientIdentity) -> None:
        """Whoever names an ID that was given up may not know whose it is now."""
        if await self.is_led_on(patient):
            words = "this Patient ID was merged or changed into another one"
            raise Conflicting(f"{words}: name that one, or take it back first (gantry unmerge)")

    async def _demographics(self, patient: PatientIdentity) -> Values | None:
        """What is known of a patient, without its identity; None for one that is not known."""
        condition = {PATIENT_ID: Single((patient.patient_id,))}
        async for page in self._index.find(Query(DEFAULT_PARTITION, Level.PATIENT, condition)):
            for document in page:
                if patient_key(document.attributes, "") == patient.key:
                    attributes = {
                        tag: values for tag, values in document.attributes.items() if tag in OF_PATIENT and values
                    }
                    return correctable_of(keys_as_attributes(attributes), OF_PATIENT)
        return None

    async def _require_study(self, study: str, series: str) -> None:
        level = Level.SERIES if series else Level.STUDY
        conditions: dict[int, Condition] = {STUDY_INSTANCE_UID: Single((study,))}
        if series:
            conditions[SERIES_INSTANCE_UID] = Single((series,))
        async for page in self._index.find(Query(DEFAULT_PARTITION, level, conditions, limit=1)):
            if page:
                return
        raise NotFound("no such study or series")

    def _name(self) -> tuple[str, int]:
        now = self._clock.now_us()
        return Receipt.at(now).id, now

    async def _append(self, event: Event) -> CorrectionResult:
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(event)
        await reach(FailPoint.AFTER_PUBLISH)
        correction = str(getattr(event, "correction", ""))
        logger.info(
            _WORDS[type(event)],
            correction=correction,
            study_instance_uid=getattr(event, "study_instance_uid", ""),
            by=getattr(event, "by", ""),
        )
        return CorrectionResult(correction, await self._settle())

    async def _must_settle(self) -> None:
        """What is decided here follows from all that was decided before."""
        if not await self._settle():
            raise DependencyUnavailable("index", "it is behind: try again when the indexers have followed")

    async def _settle(self) -> bool:
        return await has_followed(self._log, self._clock, self._patience)


_WORDS: dict[type[Event], str] = {
    StudyCorrected: "study corrected",
    StudyCorrectionWithdrawn: "correction of a study withdrawn",
    PatientCorrected: "patient corrected",
    PatientMerged: "patients merged",
    PatientCorrectionWithdrawn: "correction or merge of a patient withdrawn",
}


def _require_standing(known: Corrections | None, correction: str) -> None:
    if known is None or correction not in {other.id for other in known.standing()}:
        raise NotFound("no correction of this id stands")
