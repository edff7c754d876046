"""Which audit records answer a question."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.events import AuditRecorded
from gantry.common.lifecycle import patient_key


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """What is asked for: of one patient or study where `about` is given, by one requestor, of some kinds; between two
    times, in microseconds since the epoch; the latest `most`."""

    since_us: int = 0
    until_us: int = 1 << 62
    about: str = ""
    requestor: str = ""
    kinds: frozenset[str] = frozenset()
    most: int = 1000


@dataclass(frozen=True, slots=True)
class ResolvedTerm:
    """What a term about a patient or study means: the term, UIDs of studies, and keys of patients."""

    term: str = ""
    studies: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    _word: re.Pattern[bytes] = field(default=re.compile(b""), compare=False)

    @staticmethod
    def of(term: str, studies: frozenset[str], issuers: frozenset[str] = frozenset()) -> ResolvedTerm:
        """`issuers` are those that the patient's ID is known with."""
        keys = {patient_key({PATIENT_ID: [term], ISSUER_OF_PATIENT_ID: [issuer]}, "") for issuer in {"", *issuers}}
        # In an identifier a value stands between lengths and tags, in a query string between "=" and "&".
        word = re.compile(rb"(?<![0-9A-Za-z._-])" + re.escape(term.encode()) + rb"(?![0-9A-Za-z._-])")
        return ResolvedTerm(term, studies | {term}, frozenset(keys), word)

    @property
    def needles(self) -> list[bytes]:
        """One of them is in the bytes of every record that is meant."""
        return [text.encode() for text in {self.term, *self.studies, *self.keys}]

    def has(self, record: AuditRecorded) -> bool:
        """Whether a record is about it; a query is if it asked for it."""
        for row in record.objects:
            if row.study_instance_uid in self.studies or row.patient_id == self.term or row.patient_key in self.keys:
                return True
        return bool(record.query) and self._word.search(record.query) is not None


def answers(question: AuditQuestion, meant: ResolvedTerm | None, record: AuditRecorded) -> bool:
    """Whether a record answers a question; `meant` is what its `about` means."""
    if not question.since_us <= record.at < question.until_us:
        return False
    if question.requestor and record.requestor != question.requestor:
        return False
    if question.kinds and record.kind not in question.kinds:
        return False
    return meant is None or meant.has(record)


class Latest:
    """The latest `most` of the records that are taken, each once: of two of one name the one with more in it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._records: dict[str, AuditRecorded] = {}
        self.more = False

    def take(self, record: AuditRecorded) -> None:
        """Take a record in."""
        known = self._records.get(record.record)
        if known is None or record.times > known.times:
            self._records[record.record] = record
        if len(self._records) > 2 * self._most:
            self._cut()

    def listed(self) -> list[AuditRecorded]:
        """The records, the oldest first; `more` says whether some were left out."""
        self._cut()
        return sorted(self._records.values(), key=lambda record: record.at)

    def _cut(self) -> None:
        if len(self._records) > self._most:
            self.more = True
            latest = sorted(self._records.values(), key=lambda record: record.at)[-self._most :]
            self._records = {record.record: record for record in latest}
