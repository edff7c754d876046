"""C-FIND of the Modality Worklist (PS3.4 K.4.1): decode, look up, answer page by page at the peer's pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gantry.common.clock import Clock
from gantry.common.config.policy import WorklistView
from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.dicom.query.matching import Condition
from gantry.common.dicom.query.worklists import worklist_conditions
from gantry.common.dimse import CommandField
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.orders import StepState
from gantry.common.orders.questions import StepQuery
from gantry.common.ports.orders import OrderIndex
from gantry.common.statuses import CANCELLED, PENDING, PENDING_WARNING, SUCCESS, UNRECOGNISED_OPERATION
from gantry.common.tasks import turn
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.orders.worklist.answers import WorklistAnswers

_MAX_IDENTIFIER = 1 << 20
_AT_ONCE = 100
"""Responses encoded and written together; between two such batches C-CANCEL and other associations get their turn."""


class WorklistService:
    """C-FIND SCP of the Modality Worklist Information Model."""

    def __init__(
        self,
        abilities: Abilities,
        orders: OrderIndex,
        view: Callable[[str], WorklistView],
        clock: Clock,
        metrics: Metrics,
        idle_days: int,
        audit: Callable[[Request, str], None] = lambda *_: None,
    ) -> None:
        """`view` is what an AE title sees; steps that should have begun `idle_days` ago are not shown, 0: all are.
        `audit` is called when a request ends, with why it failed."""
        self._audit = audit
        self.abilities = abilities
        self._orders = orders
        self._view = view
        self._clock = clock
        self._metrics = metrics
        self._idle_days = idle_days

    def receive(self, request: Request) -> Sink:
        return MemorySink(_MAX_IDENTIFIER)

    async def perform(self, request: Request) -> None:
        """Answer one C-FIND request. A raised error becomes the final status: A700H while orders cannot be read, A900H
        or C000H if the identifier is at fault."""
        if request.command.field != CommandField.C_FIND_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "not a C-FIND request")
            return
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            status = await self._answer(request)
        except GantryError as error:
            self._metrics.worklist_requests.labels(f"{error.dicom_status:04X}").inc()
            self._audit(request, str(error))
            raise
        self._audit(request, "")
        await request.respond(status)
        self._metrics.worklist_requests.labels(f"{status:04X}").inc()
        self._metrics.worklist_seconds.observe(clock() - begun)

    async def _answer(self, request: Request) -> int:
        """Send the pending responses. Returns the final status."""
        syntax = request.context.transfer_syntax
        identifier = decode_identifier(request.data, syntax)
        conditions = worklist_conditions(identifier)
        answers = WorklistAnswers(identifier, conditions, syntax)
        status = PENDING if answers.complete else PENDING_WARNING
        async for page in self._orders.find(self._query(request.association.calling_ae_title, conditions)):
            for start in range(0, len(page), _AT_ONCE):
                await turn()
                if request.cancelled:
                    return CANCELLED
                batch = page[start : start + _AT_ONCE]
                await request.respond_pending([answers.encode(step) for step in batch], status)
                self._metrics.worklist_responses.inc(len(batch))
        return CANCELLED if request.cancelled else SUCCESS

    def _query(self, ae_title: str, conditions: dict[int, Condition]) -> StepQuery:
        view = self._view(ae_title)
        states = frozenset(state for state in StepState if state.value not in view.hides)
        station = ae_title.strip() if view.own else ""
        return StepQuery(DEFAULT_PARTITION, conditions, states, self._idle_since(), station)

    def _idle_since(self) -> str:
        """The first day whose steps are still expected."""
        if not self._idle_days:
            return ""
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        return f"{now - timedelta(days=self._idle_days):%Y%m%d}"
