"""Wiring of the sender to the audit repository, in processes of the indexer role."""

from __future__ import annotations

from gantry.common.config.audit_sections import AuditSettings
from gantry.common.config.network_sections import Tls
from gantry.common.config.tls import client_context
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from gantry.services.auditing.reading import TOPIC
from gantry.services.auditing.repository import Repository
from gantry.services.auditing.sending import GROUP, AuditSender
from gantry.services.context import Context, RoleParts

_BATCH = 200


async def build(context: Context) -> RoleParts:
    """What `audit.syslog` asks for; nothing without it. Raises `ConfigError` for certificates that cannot be used."""
    settings = context.settings.audit
    if settings.syslog is None:
        return RoleParts()
    tls = tls_of(settings)
    client_context(tls)
    # A renewed certificate is read for the next connection.
    repository = Repository(settings.syslog, lambda: client_context(tls), context.clock, settings.syslog_timeout)
    limits = ConsumerLimits(_BATCH, delays=Delays(1.0, settings.syslog_retry_longest))
    sender = AuditSender(repository, context.metrics)
    loop = ConsumerLoop(context.log, GROUP, [TOPIC], sender, context.clock, context.metrics, limits)

    async def stop(_: float) -> None:
        loop.stop()

    return RoleParts(background=[(GROUP, loop.run())], groups=[GROUP], drain=[stop], close=[repository.close])


def tls_of(settings: AuditSettings) -> Tls:
    """The certificates of the section as those of a client."""
    return Tls.model_construct(certificate=settings.syslog_certificate, key=settings.syslog_key, ca=settings.syslog_ca)
