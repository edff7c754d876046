"""Wiring of what changes studies over HTTP, in processes of the ingest role, and by rules, beside the indexer."""

from __future__ import annotations

from gantry.common.lifecycle import retention_rules
from gantry.common.runtime.protection import Protection
from gantry.services.context import Context, RoleParts
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.expiry import Expiry
from gantry.services.lifecycle.web import DeletionService


async def build(context: Context) -> RoleParts:
    """Deleting and restoring studies, series and instances."""
    settings = context.settings
    rules = retention_rules(settings.lifecycle.retention, context.attributes)
    deletions = Deletions(context.log, context.answers, context.clock, settings.lifecycle.grace, rules=rules)
    return RoleParts(web=DeletionService(deletions, settings.http.may_delete).handlers())


async def build_expiry(context: Context) -> RoleParts:
    """Deleting what retention rules let go, on a schedule, where the settings ask for it."""
    lifecycle = context.settings.lifecycle
    rules = retention_rules(lifecycle.retention, context.attributes)
    if not lifecycle.expire_every or not any(rule.deletes for rule in rules):
        return RoleParts()
    log, index, clock = context.log, context.answers, context.clock
    deletions = Deletions(log, index, clock, lifecycle.grace, rules=rules)
    expiry = Expiry(index, deletions, Protection(log, index, clock, rules), clock, lifecycle.expire_rate)
    return RoleParts(background=[("expiry", expiry.run(lifecycle.expire_every))])
