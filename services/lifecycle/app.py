"""Wiring of what changes studies over HTTP; it runs in processes of the ingest role."""

from __future__ import annotations

from gantry.services.context import Context, RoleParts
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.web import DeletionService


async def build(context: Context) -> RoleParts:
    """Deleting and restoring studies, series and instances."""
    settings = context.settings
    deletions = Deletions(context.log, context.answers, context.clock, settings.lifecycle.grace)
    return RoleParts(web=DeletionService(deletions, settings.http.may_delete).handlers())
