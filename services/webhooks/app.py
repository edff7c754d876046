"""Wiring of webhooks: a consumer group for each, in processes of the indexer role."""

from __future__ import annotations

from pathlib import Path

from gantry.common.config.settings import WebhookSettings
from gantry.common.errors import ConfigError
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from gantry.common.runtime.feed import FEED_TOPICS
from gantry.services.context import Context, RoleParts
from gantry.services.webhooks.delivery import Webhook

_SHORTEST_SECRET = 16


async def build(context: Context) -> RoleParts:
    """The consumers of the configured webhooks. Raises `ConfigError` for a secret that cannot be read."""
    webhooks, loops = [], []
    for settings in context.settings.webhooks:
        webhook = Webhook(settings, secret_of(settings), context.clock, context.metrics)
        limits = ConsumerLimits(settings.batch, delays=Delays(settings.retry_first, settings.retry_longest))
        loops.append(
            ConsumerLoop(context.log, group_of(settings), FEED_TOPICS, webhook, context.clock, context.metrics, limits)
        )
        webhooks.append(webhook)

    async def stop(_: float) -> None:
        for loop in loops:
            loop.stop()

    return RoleParts(
        background=[
            (group_of(webhook), loop.run()) for webhook, loop in zip(context.settings.webhooks, loops, strict=True)
        ],
        groups=[group_of(webhook) for webhook in context.settings.webhooks],
        drain=[stop],
        close=[webhook.close for webhook in webhooks],
    )


def group_of(settings: WebhookSettings) -> str:
    """The consumer group of a webhook: a new name is a new group, which begins at the start of the log."""
    return f"webhook-{settings.name}"


def secret_of(settings: WebhookSettings) -> bytes:
    """The secret of a webhook. Raises `ConfigError`."""
    file: Path = settings.secret_file
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"webhooks.{settings.name}.secret_file", None, f"{file} cannot be read") from error
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigError(f"webhooks.{settings.name}.secret_file", None, f"shorter than {_SHORTEST_SECRET} bytes")
    return secret
