"""Deletion after retention: studies whose longest rule has ended and says `then: delete`.

Deleted studies are no longer found, so the next run continues an interrupted one. Each deletion checks again what may
prevent it, and can be undone until the grace time is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from itertools import groupby

from gantry.common.clock import Clock
from gantry.common.errors import GantryError
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.study_facts import day_of
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.traces import new_trace
from gantry.services.lifecycle.bulk import BulkDeletion, BulkResult
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.retained import RetainedStudies, RetainedStudy, goes, may_be_over
from gantry.services.requester import Requester

_START_SECONDS = 30.0
logger = get_logger("lifecycle")


class Expiry:
    """Finds studies that may be deleted, and deletes them."""

    def __init__(
        self, index: ReadIndex, deletions: Deletions, protection: Protection, clock: Clock, rate: float
    ) -> None:
        """At most `rate` objects a second are deleted."""
        self._index = index
        self._deletions = deletions
        self._protection = protection
        self._retained = RetainedStudies(index, protection)
        self._clock = clock
        self._rate = rate

    async def run(self, every: float) -> None:
        """Run for ever: a check each `every` seconds. If one fails because of a dependency, the next one does the
        work."""
        await self._clock.sleep(min(every, _START_SECONDS))
        while True:
            try:
                result = await self.expire()
                if result.studies or result.held:
                    logger.info("retention is over", deleted=result.studies, held=len(result.held))
            except GantryError as error:
                logger.warning("deleting by retention was interrupted", error=error)
            await self._clock.sleep(every)

    async def expire(self) -> BulkResult:
        """Delete what may be deleted today. Raises `DependencyUnavailable`; studies deleted by then stay deleted."""
        result = BulkResult()
        async for page in self._going(day_of(self._clock.now_us())):
            for rule, studies in groupby(page, lambda study: study.retention.rule):
                requester = Requester(f"retention rule {rule}", "its retention is over", new_trace())
                bulk = BulkDeletion(self._deletions, self._clock, self._rate)
                done = await bulk.run([study.uid for study in studies], requester)
                result.studies += done.studies
                result.receipts += done.receipts
                result.gone += done.gone
                result.held += done.held
        return result

    async def going(self, by: date) -> AsyncIterator[RetainedStudy]:
        """Studies that may be deleted by a day, held ones included, each once."""
        seen: set[str] = set()
        async for page in self._going(by):
            for study in page:
                if study.uid not in seen:
                    seen.add(study.uid)
                    yield study

    async def _going(self, by: date) -> AsyncIterator[list[RetainedStudy]]:
        """The same in pages, ordered by rule; a study that several rules would delete may be repeated."""
        for rule in self._protection.rules:
            if rule.deletes:
                async for page in self._index.find(rule.studies):
                    studies = [
                        await self._retained.known(document) for document in page if may_be_over(rule, document, by)
                    ]
                    over = [study for study in studies if study is not None and goes(study.retention, by)]
                    if over:
                        yield sorted(over, key=lambda study: study.retention.rule)
