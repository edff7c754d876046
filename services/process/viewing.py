"""Services and handlers that search and retrieve, each with the caller's view of rejected instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from gantry.common.access.views import showing, view_of_roles
from gantry.common.net import Service
from gantry.common.net.service import Request
from gantry.common.net.sinks import Sink
from gantry.common.ul import Abilities
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, Handler


class ViewingService:
    """A service whose requests are performed with the view of the calling AE title."""

    def __init__(self, service: Service, view_of: Callable[[str], str]) -> None:
        """`view_of` returns the view of an AE title, "" for the default."""
        self._service = service
        self._view_of = view_of

    @property
    def abilities(self) -> Abilities:
        """The abilities of the service."""
        return self._service.abilities

    def receive(self, request: Request) -> Sink:
        """The sink of the service."""
        return self._service.receive(request)

    async def perform(self, request: Request) -> None:
        """Perform the request with the caller's view."""
        with showing(self._view_of(request.association.calling_ae_title)):
            await self._service.perform(request)


def viewing(handlers: Mapping[Resource, Handler], views: Sequence[str]) -> dict[Resource, Handler]:
    """The handlers, each with the view of the caller's roles; `views` are `ROLE=VIEW`."""
    return {resource: _wrap(handler, views) for resource, handler in handlers.items()}


def _wrap(handler: Handler, views: Sequence[str]) -> Handler:
    async def seeing(request: web.BaseRequest, match: Match) -> web.StreamResponse:
        with showing(view_of_roles(views, request[CALLER].identity.roles)):
            return await handler(request, match)

    return seeing
