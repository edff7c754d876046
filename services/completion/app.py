"""Wiring of the completion of studies, in processes of the indexer role."""

from __future__ import annotations

from gantry.services.completion.watcher import CompletionWatcher
from gantry.services.context import Context, RoleParts


async def build(context: Context) -> RoleParts:
    """The watcher; nothing if `completion.quiet` is 0."""
    settings = context.settings.completion
    if not settings.quiet:
        return RoleParts()
    watcher = CompletionWatcher(
        context.log, context.index, context.clock, context.metrics, quiet=settings.quiet, longest=settings.longest
    )

    async def stop(_: float) -> None:
        watcher.stop()

    return RoleParts(background=[("completion", watcher.run())], drain=[stop])
