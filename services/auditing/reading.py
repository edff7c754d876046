"""Audit records from the log, and from sealed segments where the log has forgotten them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID, STUDY_INSTANCE_UID
from gantry.common.errors import UndecodableEvent
from gantry.common.events import AUDIT, TOPICS, AuditRecorded, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.sealed_events import segments
from gantry.services.auditing.matching import AuditQuestion, Latest, ResolvedTerm, answers

TOPIC = TOPICS[AuditRecorded].name
_MOST_STUDIES = 2000


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """The records that were found, the oldest first, and whether earlier ones were left out."""

    records: tuple[AuditRecorded, ...]
    more: bool


class AuditReader:
    """Raises `DependencyUnavailable`, `Corrupt` for a damaged segment."""

    def __init__(self, objects: BlobStore, log: EventLog, index: ReadIndex, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock

    async def find(self, question: AuditQuestion) -> AuditAnswer:
        """What answers a question."""
        meant = await self._resolve(question.about) if question.about else None
        latest = Latest(question.most)
        needles = [] if meant is None else meant.needles
        async for payload in self._payloads(question.since_us):
            if needles and not any(needle in payload for needle in needles):
                continue
            record = _decoded(payload)
            if record is not None and answers(question, meant, record):
                latest.take(record)
        return AuditAnswer(tuple(latest.listed()), latest.more)

    async def _resolve(self, about: str) -> ResolvedTerm:
        """A record that was written before the index knew a study has no patient: it is found by the study."""
        studies, issuers = set[str](), set[str]()
        async for page in self._index.find(Query(DEFAULT_PARTITION, Level.STUDY, {PATIENT_ID: Single((about,))})):
            for document in page:
                studies.update(text_of(value) for value in document.attributes.get(STUDY_INSTANCE_UID, []))
                issuers.update(text_of(value) for value in document.attributes.get(ISSUER_OF_PATIENT_ID, []) if value)
            if len(studies) > _MOST_STUDIES:
                break
        return ResolvedTerm.of(about, frozenset(studies), frozenset(issuers))

    async def _payloads(self, since_us: int) -> AsyncIterator[bytes]:
        async for record in self._log.replay(TOPIC, since_us):
            yield record.payload
        # What the log has forgotten, or lost, is sealed. What is in both is found twice, and listed once.
        now_ms = self._clock.now_us() // 1000
        async for segment in segments(self._objects, DEFAULT_PARTITION, since_us // 1000, now_ms, AUDIT):
            for sealed in segment.records:
                yield sealed.payload


def _decoded(payload: bytes) -> AuditRecorded | None:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return None  # of a newer release
    return event if isinstance(event, AuditRecorded) else None
