"""Whether a caller may use a resource at all: decided here for every request, before any handler. Pure."""

from __future__ import annotations

from gantry.common.access import Means
from gantry.common.web.access import Caller
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Resource
from gantry.common.web.verbs import BY_NAME, BY_SHARE, OF_A_STUDY, OF_DOWNLOADS, OF_ORDINARY, VERBS, WITHOUT_STUDY

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gantry", error="insufficient_scope"'}  # RFC 6750 3.1


def require(caller: Caller, resource: Resource) -> None:
    """Raises `HttpProblem` 403; 404 for a visitor of a link."""
    if caller.identity.means is Means.SHARE:
        _require_of_visitor(caller, resource)
    verb = VERBS[resource]
    if verb not in caller.verbs and verb not in BY_NAME:
        raise HttpProblem(403, f"this caller may not {verb.value}: none of its roles may (docs/access.md)", _CHALLENGE)
    seen = caller.sight.whole or (caller.sight.all_ordinary and resource in OF_ORDINARY)
    if not seen and resource not in WITHOUT_STUDY | OF_A_STUDY:
        raise HttpProblem(403, "this is for callers that see every study (docs/access.md)", _CHALLENGE)


def _require_of_visitor(caller: Caller, resource: Resource) -> None:
    if resource in OF_DOWNLOADS:
        if not caller.downloads:
            raise HttpProblem(403, "this link does not allow downloads")
    elif resource not in BY_SHARE:
        # Like an invisible resource: the page does without a missing one, and does not ask again.
        raise HttpProblem(404, "a link gives access to images only")
