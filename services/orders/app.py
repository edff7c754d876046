"""Wiring of the orders role."""

from __future__ import annotations

import asyncio

from gantry.services.context import Context, RoleParts
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.follower import Follower
from gantry.services.orders.web.resource import OrderResource


async def build(context: Context) -> RoleParts:
    """Orders over HTTP. Waits for the log: it reads first what there is."""
    settings, orders = context.settings.orders, context.open_orders()
    follower = Follower(context.log, orders, context.clock, context.metrics)
    following = asyncio.create_task(follower.run())
    try:
        await follower.caught_up()
    except BaseException:
        following.cancel()
        raise

    async def follow() -> None:
        await following

    desk = OrderDesk(context.log, follower, context.clock, settings.verdict_within)
    resource = OrderResource(desk, orders, context.settings.http.may_order)
    return RoleParts(web=resource.handlers(), background=[("orders", follow())], close=[orders.close])
