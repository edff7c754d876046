"""Wiring of changes to studies: over HTTP, in processes of the ingest role, and by rules, beside the indexer."""

from __future__ import annotations

from gantry.common.config.network_sections import rejecting_tokens
from gantry.common.lifecycle import retention_rules
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.rejections import RejectionAction, rejection_rules
from gantry.services.context import Context, RoleParts
from gantry.services.corrections import CorrectionDesk
from gantry.services.lifecycle.correcting_web import CorrectionService
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.expiry import Expiry
from gantry.services.lifecycle.moves import MoveDesk
from gantry.services.lifecycle.moving_web import MoveService
from gantry.services.lifecycle.web import DeletionService


async def build(context: Context) -> RoleParts:
    """Deleting, restoring and moving studies, series and instances; correcting studies and patients."""
    settings, http = context.settings, context.settings.http
    rules = retention_rules(settings.lifecycle.retention, context.attributes)
    elsewhere = CommittedElsewhere(context.objects)
    deletions = Deletions(
        context.log, context.answers, context.clock, settings.lifecycle.grace, rules=rules, elsewhere=elsewhere
    )
    desk = CorrectionDesk(context.objects, context.log, context.answers, context.clock)
    others = {"correct": http.may_correct, "hold": http.may_hold, "operate": http.may_operate, "order": http.may_order}
    if settings.sharing.key_file is not None:
        others["share"] = http.may_share
    overrides = settings.access.override_key_file is not None
    confidential = bool(settings.access.confidential)
    actions = rejection_rules(settings.lifecycle).actions
    deleting = DeletionService(
        *(deletions, http.may_delete, others, rejecting_tokens(http)),
        hiding=[code for code, action in actions.items() if action is not RejectionAction.SHOW],
        overrides=overrides,
        confidential=confidential,
        profiles=[profile.name for profile in settings.deidentification.profiles],
        may_share=http.may_share,
    )
    correcting = CorrectionService(desk, context.answers, http.may_correct)
    moves = MoveDesk(context.objects, context.log, context.answers, context.clock, rules=rules)
    moving = MoveService(moves, http.may_correct)
    return RoleParts(web={**deleting.handlers(), **correcting.handlers(), **moving.handlers()})


async def build_expiry(context: Context) -> RoleParts:
    """Scheduled deletion of studies whose retention is over, if the settings ask for it."""
    lifecycle = context.settings.lifecycle
    rules = retention_rules(lifecycle.retention, context.attributes)
    if not lifecycle.expire_every or not any(rule.deletes for rule in rules):
        return RoleParts()
    log, index, clock = context.log, context.answers, context.clock
    elsewhere = CommittedElsewhere(context.objects)
    deletions = Deletions(log, index, clock, lifecycle.grace, rules=rules, elsewhere=elsewhere)
    protection = Protection(log, index, clock, rules, elsewhere)
    expiry = Expiry(index, deletions, protection, clock, lifecycle.expire_rate)
    return RoleParts(background=[("expiry", expiry.run(lifecycle.expire_every))])
