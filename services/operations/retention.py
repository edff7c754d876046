"""GET operations/retention?by=2030-12-31: studies that retention rules would delete, as in `gantry retention
--dry-run`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.config.lifecycle_sections import RetentionSettings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.study_facts import day_of
from gantry.common.web.errors import HttpProblem
from gantry.services.lifecycle.retained import RetainedStudies, RetainedStudy
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number
from gantry.services.query.qido_parameters import cursor_of, place_of

_LOOK_AT = 2000
"""Most studies that a request examines."""
_SIZE_SECONDS = 3.0


class RetentionPart:
    """Asks `RetainedStudies`; deletes nothing."""

    def __init__(
        self,
        index: ReadIndex,
        studies: RetainedStudies,
        settings: Sequence[RetentionSettings],
        clock: Clock,
        turns: RequestLimit,
    ) -> None:
        self._index = index
        self._studies = studies
        self._settings = settings
        self._clock = clock
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {("GET", "retention"): self.listed}

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """The rules, and a page of studies that may be deleted by a day, including held ones. A page may be short;
        `next` is where to continue."""
        by, limit = self._day(request.query.get("by", "")), number(request, "limit", 50, 200)
        start = place_of(request.query.get("cursor", ""))
        if start and not (isinstance(start[0], int) and 0 <= start[0] < max(len(self._settings), 1)):
            raise HttpProblem(400, "cursor is not valid")
        async with self._turns.turn():
            try:
                page = await self._studies.page(by, start, limit, _LOOK_AT)
            except NotUnderstood as error:
                raise HttpProblem(400, "cursor is not valid") from error
            sizes = await self._sizes(page.studies)
        body = {
            "by": by.isoformat(),
            "rules": [_rule(rule) for rule in self._settings],
            "studies": [_study(study, sizes.get(study.uid)) for study in page.studies],
            "examined": page.examined,
            "next": None if page.next is None else cursor_of(page.next),
        }
        return await answer_json(request, body)

    def _day(self, text: str) -> date:
        try:
            return date.fromisoformat(text) if text else day_of(self._clock.now_us())
        except ValueError:
            raise HttpProblem(400, "by: a day as 2030-12-31") from None

    async def _sizes(self, studies: Sequence[RetainedStudy]) -> dict[str, int]:
        """Bytes of the current objects, of as many studies as there is time for."""
        sizes: dict[str, int] = {}
        try:
            async with asyncio.timeout(_SIZE_SECONDS):
                for study in studies:
                    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study.uid,))})
                    sizes[study.uid] = sum(
                        [at.data_set_offset + at.data_set_length async for p in self._index.locate(query) for at in p]
                    )
        except TimeoutError:
            if sizes:
                sizes.popitem()  # it may be incomplete
        return sizes


def _study(study: RetainedStudy, size: int | None) -> dict[str, Any]:
    return {
        "study": study.uid,
        "rule": study.retention.rule,
        "until": (study.retention.until or date.max).isoformat(),
        "instances": study.instances,
        "holds": study.holds,
        "bytes": size,
    }


def _rule(rule: RetentionSettings) -> dict[str, Any]:
    return {
        "name": rule.name,
        "where": list(rule.where),
        "sources": list(rule.sources),
        "keep": rule.keep,
        "since": rule.since,
        "younger_than": rule.younger_than,
        "then": rule.then,
    }
