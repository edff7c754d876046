"""Deleting and restoring over HTTP, an extension to DICOMweb: the path is the same as for retrieval.

DELETE /dicom-web/studies/1.2.3?reason=sent+twice
POST   /dicom-web/studies/1.2.3/restore?reason=a+mistake
POST   /dicom-web/studies/1.2.3/restore?note=1.2.3.99
GET    /dicom-web/permissions
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.dicom.model.json_writing import to_json
from gantry.common.ids import is_uid
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.web.bodies import answer
from gantry.common.web.callers import caller_of, may, reason_of, rejecting_codes
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, TRACE, Handler
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget, Done
from gantry.services.requester import Requester

_FRESH = {"Cache-Control": "no-store"}
_LATER = "the index is behind, and follows as soon as it has caught up\n"


class DeletionService:
    """DELETE, restore, and the caller's permissions."""

    def __init__(
        self,
        deletions: Deletions,
        may_delete: Collection[str],
        others: Mapping[str, Collection[str]] | None = None,
        may_reject: Mapping[str, Collection[str]] | None = None,
        *,
        hiding: Collection[str] = (),
        overrides: bool = False,
        confidential: bool = False,
        profiles: Collection[str] = (),
        may_share: Collection[str] = (),
    ) -> None:
        """`may_delete` and the callers in `others` are names of tokens, and `LOOPBACK`; `may_reject` has the codes of
        each, `hiding` those that hide something here. `overrides` is whether callers can open studies that they do not
        see, `confidential` whether there are studies that not every caller sees; `profiles` are those by which callers
        in `may_share` download de-identified copies."""
        self._profiles = sorted(profiles)
        self._may_share = frozenset(may_share)
        self._deletions = deletions
        self._may_reject = may_reject or {}
        self._hiding = frozenset(hiding)
        self._overrides = overrides
        self._confidential = confidential
        self._may_delete = frozenset(may_delete)
        self._may = {"delete": self._may_delete} | {
            name: frozenset(callers) for name, callers in (others or {}).items()
        }

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.DELETE: self.delete,
            Resource.RESTORE: self.restore,
            Resource.PERMISSIONS: self.permissions,
        }

    async def permissions(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """What this caller may do, by name, and the codes with which it may reject. Reading orders depends on no name:
        it requires a role, and sight of every study."""
        body: dict[str, Any] = {name: may(request, Verb(name), callers) for name, callers in self._may.items()}
        caller = request[CALLER]
        body[Verb.WORKLIST.value] = Verb.WORKLIST in caller.verbs and caller.sight.whole
        # A caller that marks a study must be able to see it afterwards.
        body["confidential"] = self._confidential and body.get("correct", False) and caller.sight.whole
        opens = self._overrides and not caller.sight.whole
        body[Verb.OVERRIDE.value] = opens and Verb.OVERRIDE in caller.verbs
        body[Verb.REJECT.value] = sorted(self._hiding & frozenset(rejecting_codes(request, self._may_reject)))
        shares = caller.sight.whole and may(request, Verb.SHARE, self._may_share)
        body["deidentify"] = self._profiles if shares else []
        return await answer(request, to_json(body), JSON, _FRESH)

    async def delete(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """204 when it is hidden everywhere, 202 when it is certain to be. 403, 404, 409 under a hold."""
        return await self._change(request, match, "DELETE over HTTP", self._deletions.delete)

    async def restore(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """204 when it is found again, 202 when it is certain to be; with `note`, what that rejection note of the study
        hides. 403; 404 if nothing of it can be restored."""
        note = request.query.get("note", "")
        if not note:
            return await self._change(request, match, "restore over HTTP", self._deletions.restore)
        if not is_uid(note) or match.series:
            raise HttpProblem(400, "note: the SOP Instance UID of a rejection note, with the path of its study")

        async def revoke(target: DeletionTarget, requester: Requester) -> Done:
            return await self._deletions.restore_rejected(target.study, note, requester)

        return await self._change(request, match, "rejection undone over HTTP", revoke)

    async def _change(
        self,
        request: web.BaseRequest,
        match: Match,
        reason: str,
        change: Callable[[DeletionTarget, Requester], Awaitable[Done]],
    ) -> web.StreamResponse:
        if not may(request, Verb.DELETE, self._may_delete):
            raise HttpProblem(403, "this caller may not delete or restore; http.may_delete names those that may")
        requester = Requester(caller_of(request), reason_of(request) or reason, request[TRACE])
        done = await change(DeletionTarget(match.study, match.series, match.instance), requester)
        await reach(FailPoint.BEFORE_ANSWER)
        return web.Response(status=204) if done.settled else web.Response(status=202, text=_LATER)
