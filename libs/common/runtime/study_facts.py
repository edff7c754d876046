"""The facts about a study that retention needs, read from the index: what is present, and what is deleted and not
collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import (
    MODALITIES_IN_STUDY,
    MODALITY,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import DependencyUnavailable, NotUnderstood
from gantry.common.events import Event, InstanceStored
from gantry.common.ids import Receipt
from gantry.common.lifecycle import RetentionRule, Since, StudyFacts, StudyState
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.runtime.walks import corrected_attributes, patients_of


@dataclass(frozen=True, slots=True)
class UnindexedReceipt:
    """A receipt that queries of the index do not show: deleted and not collected, or not indexed yet."""

    receipt: str
    sender: str
    attributes: Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """A study as far as it is known. `attributes` are those of its document or, if nothing of it can be found, of its
    other receipts, `beside`."""

    partition: str
    uid: str
    attributes: Mapping[int, Any]
    beside: Sequence[UnindexedReceipt] = field(default=(), repr=False)

    async def patients(self, index: ReadIndex) -> list[str]:
        """The keys of possible holds on its patient: those of all patients that its receipts name, before and after
        corrections and merges. Raises `DependencyUnavailable`."""
        known = await index.corrected(self.partition, self.uid)
        owns = [entry.attributes for entry in self.beside]
        owns.append(known.own if known is not None else {} if owns else self.attributes)
        keys: list[str] = []
        for attributes in owns:
            keys += await patients_of(index, self.partition, self.uid, attributes)
        return list(dict.fromkeys(keys))


async def known_study(index: ReadIndex, partition: str, uid: str, *, deleted: bool = False) -> KnownStudy | None:
    """A study; with `deleted` including its deleted receipts that are not collected. None if the index has nothing of
    it."""
    query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((uid,))})
    document = [match async for page in index.find(query) for match in page]
    beside: list[UnindexedReceipt] = []
    if deleted or not document:
        async for batch in index.find_decided(partition, uid):
            entries = [
                receipt.entry for receipt in batch if receipt.entry is not None and receipt.deletion_state.hidden
            ]
            beside += [UnindexedReceipt(entry.receipt, entry.sender, entry.attributes) for entry in entries]
    if document:
        return KnownStudy(partition, uid, document[0].attributes, beside)
    known = _without_document(partition, uid, beside)
    if known is None:
        return None
    # Deleted instances count with the values that were shown before.
    return replace(known, attributes=await corrected_attributes(index, partition, uid, known.attributes))


async def as_received(index: ReadIndex, study: KnownStudy) -> KnownStudy:
    """A study without its corrections: with the attributes of its earliest instance instead. Raises
    `DependencyUnavailable`."""
    known = await index.corrected(study.partition, study.uid)
    if known is None:
        return study
    standing = [
        correction
        for corrections in (known.corrections, *known.patients.values())
        for correction in corrections.standing()
    ]
    tags = {int(name, 16) for correction in standing for name in correction.values or {}}
    attributes = {tag: values for tag, values in study.attributes.items() if tag not in tags}
    return replace(study, attributes=attributes | {tag: known.own[tag] for tag in tags if tag in known.own})


def unindexed_study(partition: str, uid: str, events: Iterable[Event]) -> KnownStudy | None:
    """A study that is not indexed yet, from the headers in its events. None if there are none. Raises
    `DependencyUnavailable` for a header that is too long for its event: the patient is known once it is indexed."""
    beside = []
    for event in events:
        if isinstance(event, InstanceStored):
            if event.header is None:
                raise DependencyUnavailable("index", "it is behind: whether this study must be kept cannot be told yet")
            with suppress(NotUnderstood):  # it will be among the dead letters
                values = header_values(event.header, event.transfer_syntax_uid, STANDARD.stored)
                beside.append(UnindexedReceipt(event.receipt, event.calling_ae_title, values))
    return _without_document(partition, uid, beside)


def _without_document(partition: str, uid: str, beside: Sequence[UnindexedReceipt]) -> KnownStudy | None:
    """The attributes are those of its earliest instance, and all modalities."""
    if not beside:
        return None
    first = min(beside, key=lambda entry: entry.receipt)
    modalities = sorted({str(value) for entry in beside for value in entry.attributes.get(MODALITY) or ()})
    return KnownStudy(partition, uid, {**first.attributes, MODALITIES_IN_STUDY: modalities}, beside)


async def facts_of(
    index: ReadIndex, study: KnownStudy, rules: Iterable[RetentionRule], recent: StudyState | None = None
) -> StudyFacts:
    """The facts about a study that `rules` need. Receipts and accesses are read only if a rule asks for them. `recent`
    is what is not indexed yet (`gantry.common.runtime.following.unfollowed`)."""
    recent = recent if recent is not None else StudyState()
    asking = [rule for rule in rules if rule.may_match(study.attributes)]
    receipts = [(entry.receipt, entry.sender) for entry in study.beside] + [
        (receipt, "") for receipt in recent.receipts
    ]
    if any(rule.needs_receipts(study.attributes) for rule in asking):
        receipts += await _receipts(index, study)
    accessed = 0
    if any(rule.since is Since.ACCESS for rule in asking):
        accessed = max(recent.accessed, await index.last_access(study.partition, study.uid))
    return StudyFacts(
        study.attributes,
        # If no rule asks for it, it decides nothing.
        max((day_of(Receipt(receipt).milliseconds * 1000) for receipt, _ in receipts), default=date.min),
        frozenset(sender for _, sender in receipts if sender),
        day_of(accessed) if accessed else None,
    )


def day_of(at_us: int) -> date:
    """The day, in UTC, of a time in microseconds since the epoch."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


async def _receipts(index: ReadIndex, study: KnownStudy) -> list[tuple[str, str]]:
    """The receipts of what is present, with their senders."""
    pairs: list[tuple[str, str]] = []
    query = Query(study.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study.uid,))})
    async for page in index.locate(query):
        keys = [InstanceKey(at.study_instance_uid, at.series_instance_uid, at.sop_instance_uid) for at in page]
        known = await index.receipts_of(study.partition, keys)
        pairs += [(receipt.id, receipt.sender) for receipts in known.values() for receipt in receipts]
    return pairs
