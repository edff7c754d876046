"""Requests below /dicom-web/operations: which part answers a path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.web.bodies import answer
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.operations.callers import Operators

FRESH = {"Cache-Control": "no-store"}
Part = Callable[[web.BaseRequest, tuple[str, ...]], Awaitable[web.StreamResponse]]
"""Answers a request; the parts of its path at `{}` are passed in order."""
Parts = Mapping[tuple[str, str], Part]
"""By method and path below `operations`."""


class OperationsService:
    """Checks the caller, then calls the responsible part."""

    def __init__(self, operators: Operators, parts: Iterable[Parts]) -> None:
        self._operators = operators
        self._parts = [(method, path.split("/"), part) for each in parts for (method, path), part in each.items()]

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        resources = Resource.OPERATIONS, Resource.OPERATE, Resource.SET_PEER, Resource.REMOVE_PEER
        return dict.fromkeys(resources, self.answer)

    async def answer(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Raises `HttpProblem`: 403, 404, 405."""
        self._operators.viewer(request)
        wanted = "GET" if request.method == "HEAD" else request.method
        methods = []
        for method, shape, part in self._parts:
            arguments = _fit(shape, match.rest)
            if arguments is not None and method == wanted:
                return await part(request, arguments)
            methods += [method] if arguments is not None else []
        if methods:
            raise HttpProblem(405, f"{request.method} is not a method of this resource", {"Allow": ", ".join(methods)})
        raise HttpProblem(404, "no such resource")


def _fit(shape: list[str], path: tuple[str, ...]) -> tuple[str, ...] | None:
    if len(shape) != len(path) or not all(part in ("{}", text) for part, text in zip(shape, path, strict=True)):
        return None
    return tuple(text for part, text in zip(shape, path, strict=True) if part == "{}")


async def answer_json(
    request: web.BaseRequest, body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """An answer in JSON that is not cached."""
    return await answer(request, to_json(body), JSON, {**FRESH, **(headers or {})}, status)


def number(request: web.BaseRequest, name: str, default: int, most: int, least: int = 1) -> int:
    """A parameter of the URL, from `least` to `most`. Raises `HttpProblem` 400."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise HttpProblem(400, f"{name}: a number from {least} to {most}")
    return min(int(text), most)
