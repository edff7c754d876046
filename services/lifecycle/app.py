"""Wiring of what changes studies over HTTP; it runs in processes of the ingest role."""

from __future__ import annotations

from gantry.services.context import Context, RoleParts
from gantry.services.lifecycle.correcting_web import CorrectionService
from gantry.services.lifecycle.corrections import CorrectionDesk
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.web import DeletionService


async def build(context: Context) -> RoleParts:
    """Deleting and restoring studies, series and instances; correcting studies and patients."""
    settings, http = context.settings, context.settings.http
    deletions = Deletions(context.log, context.answers, context.clock, settings.lifecycle.grace)
    desk = CorrectionDesk(context.objects, context.log, context.answers, context.clock)
    deleting = DeletionService(deletions, http.may_delete, http.may_correct)
    correcting = CorrectionService(desk, context.answers, http.may_correct)
    return RoleParts(web={**deleting.handlers(), **correcting.handlers()})
