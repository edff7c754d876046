"""Deleting many studies by a rule: listed first, then deleted at a rate that does not slow the archive for others.

Deleted studies no longer match, so another run continues an interrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.standard.tags import (
    MODALITIES_IN_STUDY,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import DependencyUnavailable, Held, NotFound
from gantry.common.ports.index import ReadIndex
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget
from gantry.services.requester import Requester

_AT_ONCE = 500
"""Receipts that are deleted before the run waits for the indexers: each deletion reads again all events that they have
not read."""
_LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MatchingStudy:
    """A study that a rule matches, without what identifies its patient."""

    uid: str
    date: str
    modalities: Sequence[str]
    instances: int


@dataclass(slots=True)
class BulkResult:
    """What a run did: studies and receipts deleted, studies that were gone already, and those under a hold."""

    studies: int = 0
    receipts: int = 0
    gone: int = 0
    held: list[str] = field(default_factory=list)


async def matching_studies(index: ReadIndex, query: Query) -> list[MatchingStudy]:
    """All studies that match a query of the study level. Raises `ValueError` for another level."""
    if query.level is not Level.STUDY:
        raise ValueError("a rule is of studies")
    return [
        MatchingStudy(
            values[STUDY_INSTANCE_UID][0],
            next(iter(values.get(STUDY_DATE, ())), ""),
            tuple(values.get(MODALITIES_IN_STUDY, ())),
            int(next(iter(values.get(NUMBER_OF_STUDY_RELATED_INSTANCES, ())), 0)),
        )
        async for page in index.find(query)
        for values in (document.attributes for document in page)
    ]


class BulkDeletion:
    """Deletes studies one after another."""

    def __init__(self, deletions: Deletions, clock: Clock, rate: float) -> None:
        """At most `rate` receipts a second, on average."""
        self._deletions = deletions
        self._clock = clock
        self._rate = rate

    async def run(
        self, studies: Sequence[str], requester: Requester, advance: Callable[[], None] = lambda: None
    ) -> BulkResult:
        """Delete; `advance` is called after each study. Returns when the indexers have followed. Raises
        `DependencyUnavailable`: studies deleted by then stay deleted."""
        result, waiting, begin = BulkResult(), 0, self._clock.monotonic()
        for study in studies:
            try:
                receipts = await self._deletions.delete(DeletionTarget(study), requester, settle=False)
            except Held:
                result.held.append(study)
            except NotFound:
                result.gone += 1
            else:
                result.studies += 1
                result.receipts += receipts.receipts
                waiting += receipts.receipts
            if waiting >= _AT_ONCE:
                await self._settle()
                waiting = 0
            advance()
            ahead = result.receipts / self._rate - (self._clock.monotonic() - begin)
            if ahead > 0:
                await self._clock.sleep(ahead)
        await self._settle()
        return result

    async def _settle(self) -> None:
        """Wait for the indexers as long as they make progress."""
        behind = await self._deletions.behind()
        while behind:
            if await self._deletions.settle():
                return
            before, behind = behind, await self._deletions.behind()
            if behind >= before:
                raise DependencyUnavailable("indexers", "they do not follow the log; the deletions are on it")
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)
