"""Wiring of the MLLP port, in processes of the orders role, if the settings name a port."""

from __future__ import annotations

import asyncio

from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.config.tls import Certificates
from gantry.common.errors import ConfigError
from gantry.common.ports.orders import OrderIndex
from gantry.common.tasks import end_tasks
from gantry.services.context import Context, RoleParts
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.hl7.applying import Applier
from gantry.services.orders.hl7.correspondence import Correspondence
from gantry.services.orders.hl7.handler import MessageHandler
from gantry.services.orders.hl7.listener import MllpLimits, MllpListener
from gantry.services.orders.hl7.profiles import profiles_in
from gantry.services.orders.hl7.web import QuarantineResource


async def build(context: Context, desk: OrderDesk, orders: OrderIndex) -> RoleParts:
    """The port, and the quarantine over HTTP. Waits until earlier answers are known. Raises `ConfigError`."""
    settings, clock = context.settings.hl7, context.clock
    profiles = profiles_in(settings)
    certificates = Certificates(context.settings.tls) if settings.tls else None
    if certificates is not None and not certificates.speaks_tls:
        if not settings.proxy_from:
            raise ConfigError(
                "hl7.tls", None, "needs tls.certificate and tls.key, or a door that speaks TLS (proxy_from)"
            )
        certificates = None
    correspondence = Correspondence(context.log, clock, settings.remembered)
    following = asyncio.create_task(correspondence.run())
    try:
        await correspondence.caught_up()
    except BaseException:
        following.cancel()
        raise
    corrections = CorrectionDesk(context.objects, context.log, context.answers, clock)
    applier = Applier(desk, orders, corrections)
    deadline = settings.apply_deadline
    handler = MessageHandler(profiles, applier, correspondence, clock, context.metrics, deadline)
    resource = QuarantineResource(context.log, handler, correspondence, clock, context.settings.http.may_operate)

    async def follow() -> None:
        await following

    async def end() -> None:
        await end_tasks(following)

    background, drain = [("messages", follow())], []
    if settings.port is not None:
        tls = None if certificates is None else certificates.server
        listener = MllpListener(handler, _limits(settings), clock, context.metrics, tls, context.message_origins)
        try:
            listener.start(settings.host, settings.port, reuse_port=context.shares_ports)
        except OSError as error:
            raise ConfigError("hl7.port", None, f"cannot listen: {error.strerror}") from error
        drain.append(listener.drain)
        background += [] if certificates is None else [("hl7 certificates", certificates.watch(clock))]
    return RoleParts(web=resource.handlers(), background=background, drain=drain, close=[end])


def _limits(settings: Hl7Settings) -> MllpLimits:
    return MllpLimits(
        settings.admitted,
        settings.max_message,
        settings.message_deadline,
        settings.idle_timeout,
        settings.max_connections,
        settings.max_connections_per_address,
        settings.proxy_from,
        settings.tls,
    )
