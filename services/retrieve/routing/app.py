"""Wiring of routes, in processes of the retrieve role."""

from __future__ import annotations

from gantry.common.events import TOPICS, StudyCompleted
from gantry.common.runtime.availability import Availability
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLoop
from gantry.services.context import Context, RoleParts
from gantry.services.retrieve.dimse.moving import Mover
from gantry.services.retrieve.dimse.service import Delivered
from gantry.services.retrieve.routing.attempt import RouteSender
from gantry.services.retrieve.routing.availability import AvailabilityNotifier
from gantry.services.retrieve.routing.requesting import GROUP, RouteRequests, route_rules
from gantry.services.retrieve.routing.router import Router, RouterLimits
from gantry.services.retrieve.unindexed import Locating


def build_routing(context: Context, mover: Mover, index: Locating, delivered: Delivered) -> RoleParts:
    """What the settings of `routing` ask for; nothing without rules. Raises `ConfigError`."""
    settings, peers, ours = context.settings.routing, context.peers, context.settings.dimse.ae_title
    if not settings.rules:
        return RoleParts()
    handler = RouteRequests(
        route_rules(settings.rules, context.attributes), context.log, context.answers, context.clock
    )
    topics = [TOPICS[StudyCompleted].name]
    requesting = ConsumerLoop(context.log, GROUP, topics, handler, context.clock, context.metrics)
    sender = RouteSender(
        mover,
        index,
        lambda title: peers.destination(title, ours),
        peers.gets_originals,
        context.metrics,
        delivered,
        AvailabilityNotifier(
            Availability(context.answers, {one.name: one.availability for one in context.settings.tiers.stores}),
            ours,
            context.settings.retrieve.response_timeout,
        ),
        lambda title: peers.contact(title, ours),
    )
    limits = RouterLimits(Delays(settings.retry_first, settings.retry_longest), settings.give_up, settings.refused)
    router = Router(sender, context.log, context.clock, context.metrics, limits)

    async def stop(_: float) -> None:
        requesting.stop()
        router.stop()

    return RoleParts(background=[("routing", requesting.run()), ("router", router.run())], drain=[stop])
