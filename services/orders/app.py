"""Wiring of the orders role."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from gantry.common.config.policy import Permission
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
    MODALITY_WORKLIST_FIND,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.fhir.identifiers import Systems
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import Follower
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.restored_log import RestoredLog
from gantry.common.ul import Ability
from gantry.services.audited import audit_query, audit_step_read
from gantry.services.context import Context, RoleParts
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.erasing import OrderErasing
from gantry.services.orders.hl7 import app as hl7
from gantry.services.orders.linking import StudyLinking
from gantry.services.orders.outliving import Outliving
from gantry.services.orders.steps.completing import StepCompletions
from gantry.services.orders.steps.service import PerformedStepService
from gantry.services.orders.unnamed import UnnamedValues
from gantry.services.orders.web.fhir import ServiceRequests
from gantry.services.orders.web.resource import OrderResource
from gantry.services.orders.web.studies import LinkedStudies
from gantry.services.orders.workitems.channel import EventChannel
from gantry.services.orders.workitems.desk import WorkitemDesk
from gantry.services.orders.workitems.ending import EndedWorkitems
from gantry.services.orders.workitems.happenings import Happenings
from gantry.services.orders.workitems.resource import WorkitemResource
from gantry.services.orders.workitems.service import OPERATIONS, WorkitemService
from gantry.services.orders.workitems.telling import WorkitemTelling
from gantry.services.orders.worklist.c_find import WorklistService

PERFORMED = (MODALITY_PERFORMED_PROCEDURE_STEP, MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE)
WORKITEMS = tuple(OPERATIONS)
_UNNAMED_SECONDS = 3600.0
TRANSFER_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)


async def build(context: Context) -> RoleParts:
    """Orders and workitems over HTTP, the worklist, and procedure steps. Waits until the log has been read to its
    present end."""
    settings = context.settings.orders
    orders, follower = context.orders.begin()
    await follower.caught_up()
    desk = OrderDesk(context.objects, context.log, follower, context.clock, settings.verdict_within)
    http = context.settings.http
    corrections = CorrectionDesk(context.objects, context.log, context.answers, context.clock)
    studies = LinkedStudies(StudyLinking(desk, corrections, orders), orders, http.may_order, http.may_correct)
    erasing = OrderErasing(desk, orders, Protection(context.log, context.answers, context.clock), context.metrics)
    resource = OrderResource(desk, orders, studies, erasing, http.may_order, http.may_delete)
    ability = Ability(frozenset(TRANSFER_SYNTAXES), preferred=TRANSFER_SYNTAXES)
    worklist = WorklistService(
        {MODALITY_WORKLIST_FIND: ability},
        orders,
        context.peers.worklist_view,
        context.clock,
        context.metrics,
        settings.idle_days,
        partial(audit_query, context.audit),
    )
    completion = context.settings.completion
    completions = StepCompletions(context.log, context.answers, context.clock, context.metrics, completion.quiet)
    steps = PerformedStepService(
        dict.fromkeys(PERFORMED, ability), desk, orders, context.clock, context.metrics, completions.begin
    )
    fhir = ServiceRequests(orders, http.url, Systems.read(context.settings.query.fhir_systems))
    messages = await hl7.build(context, desk, orders)
    workitem_desk = WorkitemDesk(desk)
    workitems = WorkitemResource(workitem_desk, orders, http.may_order, http.may_delete, http.url)
    receives = partial(_receives, context)
    happenings = Happenings(context.objects, orders, follower, context.clock)
    restored = RestoredLog(context.objects, context.clock)
    channel = EventChannel(workitem_desk, context.log, happenings, context.clock, http.may_order, http.url, restored)
    unified = WorkitemService(
        dict.fromkeys(WORKITEMS, ability),
        workitem_desk,
        orders,
        context.metrics,
        context.peers.sight_of,
        receives if context.settings.routing.workitems else None,
        partial(audit_query, context.audit),
        partial(audit_step_read, context.audit),
    )
    telling = _telling(context, happenings, receives)
    return RoleParts(
        [worklist, steps, unified],
        {**resource.handlers(), **workitems.handlers(), **channel.handlers(), **fhir.handlers(), **messages.web},
        background=[
            ("orders", context.orders.run()),
            *messages.background,
            *telling.background,
            *_upkeep(context, follower, orders, erasing, workitem_desk),
        ],
        drain=[*messages.drain, *telling.drain],
        close=[*messages.close, completions.close],
    )


def _telling(context: Context, happenings: Happenings, receives: Callable[[str], bool]) -> RoleParts:
    """Makes the routes to subscribers of workitems over DIMSE, if that is configured."""
    settings = context.settings.routing
    if not settings.workitems:
        return RoleParts()
    loop = WorkitemTelling(happenings, context.log, context.clock, receives, settings.give_up).loop(context.metrics)

    async def stop(_: float) -> None:
        loop.stop()

    return RoleParts(background=[("events of workitems", loop.run())], drain=[stop])


def _receives(context: Context, ae_title: str) -> bool:
    """Whether an AE title may be notified of workitems, and the policy has its address."""
    known = next((peer for peer in context.peers.known() if peer.ae_title == ae_title), None)
    may = known is not None and Permission.UPS in known.may and context.peers.sight_of(ae_title).whole
    return may and context.peers.contact(ae_title, context.settings.dimse.ae_title) is not None


def _upkeep(
    context: Context, follower: Follower, orders: OrderIndex, erasing: OrderErasing, workitems: WorkitemDesk
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """The tasks that automatically remove orders and workitems, and their remains."""
    settings, clock = context.settings.orders, context.clock
    yield "values of orders", UnnamedValues(context.objects, context.log, orders, follower, clock).run(_UNNAMED_SECONDS)
    if settings.erase_every:
        outliving = Outliving(
            erasing,
            orders,
            context.answers,
            context.log,
            clock,
            keep_days=settings.keep_days,
            rate=settings.erase_rate,
            erase_after=context.settings.lifecycle.erase_after,
        )
        yield "orders to erase", outliving.run(settings.erase_every)
    if settings.erase_every and settings.workitem_days:
        days, rate = settings.workitem_days, settings.erase_rate
        ended = EndedWorkitems(workitems, orders, clock, context.metrics, days, rate)
        yield "workitems to erase", ended.run(settings.erase_every)
