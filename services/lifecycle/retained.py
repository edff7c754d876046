"""Studies whose retention ends by a given day: in pages that each examine a bounded number of studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from gantry.common.dicom.query.matching import Cursor, Document
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES, STUDY_DATE, STUDY_INSTANCE_UID
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import Retention, RetentionRule, Since
from gantry.common.lifecycle.retention import date_in
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.study_facts import KnownStudy


@dataclass(frozen=True, slots=True)
class RetainedStudy:
    """A study that a rule matches, without patient identity; `holds` counts those on the study or its patient;
    `uncommitted` names the archive that still has to commit it."""

    uid: str
    instances: int
    retention: Retention
    holds: int
    uncommitted: str = ""


@dataclass(frozen=True, slots=True)
class RetainedPage:
    """Studies that may be deleted, each once over all pages; how many were examined; and where to continue, None at the
    end."""

    studies: Sequence[RetainedStudy]
    examined: int
    next: Cursor | None


class RetainedStudies:
    """Asks the index, rule by rule. Every method raises `DependencyUnavailable`."""

    def __init__(self, index: ReadIndex, protection: Protection) -> None:
        self._index = index
        self._protection = protection

    async def known(self, document: Document) -> RetainedStudy | None:
        """The rule that retains a study; None if no rule matches."""
        uid = str(document.attributes[STUDY_INSTANCE_UID][0])
        known = KnownStudy(DEFAULT_PARTITION, uid, document.attributes)
        retention = await self._protection.retention(known)
        if retention is None:
            return None
        instances = int(next(iter(document.attributes.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ()), 0))
        holds = await self._protection.holds(DEFAULT_PARTITION, uid, known)
        return RetainedStudy(uid, instances, retention, holds, await self._protection.uncommitted(known))

    async def page(self, by: date, start: Cursor, most: int, look_at: int) -> RetainedPage:
        """Studies that may be deleted by a day, including held ones: at most `most`, out of `look_at` studies examined.
        It begins at `start`, () for the beginning."""
        studies: list[RetainedStudy] = []
        examined = 0
        deleting = [rule for rule in self._protection.rules if rule.deletes]
        first = int(start[0]) if start else 0
        for number, rule in enumerate(deleting[first:], first):
            async for documents in self._index.find(rule.studies, start[1:] if number == first else ()):
                for document in documents:
                    examined += 1
                    study = await self._going(deleting[:number], rule, document, by)
                    studies += [study] if study is not None else []
                    if len(studies) == most or examined == look_at:
                        return RetainedPage(studies, examined, (number, *document.place))
        return RetainedPage(studies, examined, None)

    async def _going(
        self, before: Sequence[RetentionRule], rule: RetentionRule, document: Document, by: date
    ) -> RetainedStudy | None:
        if any(other.may_match(document.attributes) for other in before):
            return None  # it was examined under that rule: all rules of a study must allow its deletion
        study = await self.known(document) if may_be_over(rule, document, by) else None
        return study if study is not None and goes(study.retention, by) else None


def may_be_over(rule: RetentionRule, document: Document, by: date) -> bool:
    """False if the Study Date alone shows that the rule retains it: nothing else is read of the many studies that
    stay."""
    dated = date_in(document.attributes, STUDY_DATE) if rule.since is Since.STUDY else None
    return rule.period is not None and (dated is None or rule.period.after(dated) <= by)


def goes(retention: Retention, by: date) -> bool:
    """Whether a study may be deleted by a day."""
    return retention.deletes and retention.is_over(by)
