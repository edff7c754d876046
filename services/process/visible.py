"""Resources of a study for callers who see only some studies: those of other studies are not found.

Searching and retrieving use the index, which is restricted already. Reads from the log, and changes, are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, Handler
from gantry.common.web.verbs import OF_A_STUDY


def of_seen_studies(handlers: Mapping[Resource, Handler], index: ReadIndex) -> dict[Resource, Handler]:
    """The handlers; those of one study raise `NotFound` for a study that the caller does not see. `index` is
    restricted."""
    return {
        resource: _wrap(handler, index) if resource in OF_A_STUDY else handler for resource, handler in handlers.items()
    }


def _wrap(handler: Handler, index: ReadIndex) -> Handler:
    async def seeing(request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if not request[CALLER].sight.whole and not await _is_seen(index, match.study):
            raise NotFound("no such study")
        return await handler(request, match)

    return seeing


async def _is_seen(index: ReadIndex, study: str) -> bool:
    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))}, limit=1)
    async for page in index.find(query):
        if page:
            return True
    return False
