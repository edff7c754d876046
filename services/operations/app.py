"""Wiring of operations, in processes of the ingest role, as all that is changed over HTTP."""

from __future__ import annotations

from gantry.services.context import Context, RoleParts
from gantry.services.operations.callers import Operators
from gantry.services.operations.turns import Turns
from gantry.services.operations.web import OperationsService
from gantry.services.operations.where import WherePart
from gantry.services.whereabouts.search import Whereabouts


async def build(context: Context) -> RoleParts:
    """Everything below /dicom-web/operations."""
    http = context.settings.http
    operators = Operators(frozenset(http.may_operate), frozenset(http.may_delete), frozenset(http.may_hold))
    turns = Turns()
    where = WherePart(Whereabouts(context.objects, context.log, context.answers, context.clock), turns)
    return RoleParts(web=OperationsService(operators, [where.parts()]).handlers())
