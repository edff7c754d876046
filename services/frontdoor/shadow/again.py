"""A second query after a delay: an archive that has not yet indexed recently stored objects is not wrong.

If two answers to a query differ, both archives are queried again at the same time, and only these answers are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.dicom.standard.sop_classes import MODALITY_WORKLIST_FIND
from gantry.common.dimse import Command, name_of
from gantry.common.errors import ContextNotAccepted, GantryError
from gantry.common.net.client import connect
from gantry.common.net.proxy import Origin
from gantry.common.tasks import turn
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import AcceptedContext, AssociateRequest, ProposedContext
from gantry.services.frontdoor.shadow.answers import read
from gantry.services.frontdoor.shadow.asking import ComparedArchive, ask
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, FindAnswer, Steps, compare_matches
from gantry.services.frontdoor.shadow.looks import Looks, gather_both
from gantry.services.frontdoor.shadow.overhearing import Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.worklists import compare_worklists

T = TypeVar("T")
logger = get_logger("shadow")
WORKLIST = "C-FIND worklist"
Raw = tuple[int, Sequence[bytes | bytearray]]
"""The final status, and the identifiers of the matches."""


@dataclass(frozen=True, slots=True)
class RepeatedQuestion:
    """A query to repeat, as the peer sent it, on an association for it `alone`."""

    request: AssociateRequest
    origin: Origin
    context: AcceptedContext
    command: Command
    question: bytes


def alone(request: AssociateRequest, context: AcceptedContext) -> AssociateRequest:
    """A request for an association like this one, for one query only."""
    return AssociateRequest(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        extended=request.extended,
        contexts=(ProposedContext(1, context.abstract_syntax, (context.transfer_syntax,)),),
    )


def operation_in(context: AcceptedContext, operation: str) -> str:
    """The name of an operation in the counts: worklist queries count separately."""
    return WORKLIST if context.abstract_syntax == MODALITY_WORKLIST_FIND else operation


async def differences_of(
    question: bytes, context: AcceptedContext, gantry: Raw, other: Raw, may_differ: Collection[str]
) -> list[AnswerDifference]:
    """The differences between two answers to a C-FIND of a context; the answers are bytes. Other tasks of this loop run
    meanwhile: a thread would block the interpreter for longer. Raises `NotUnderstood`."""
    transfer_syntax_uid = context.transfer_syntax
    compare = compare_worklists if context.abstract_syntax == MODALITY_WORKLIST_FIND else compare_matches
    mine, theirs = (
        FindAnswer(status, (read(bytes(match), transfer_syntax_uid) for match in matches))
        for status, matches in (gantry, other)
    )
    return await in_turns(compare(read(question, transfer_syntax_uid), mine, theirs, may_differ))


async def in_turns(steps: Steps[T]) -> T:
    """Run all steps; other tasks get a turn after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        await turn()


class SecondLooks(Looks):
    """Queries that are repeated."""

    def __init__(
        self,
        gantry: ComparedArchive,
        other: ComparedArchive,
        settings: ShadowSettings,
        may_differ: frozenset[str],
        room: Room,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        super().__init__(gantry, other, settings, room, recorder, clock)
        self.may_differ = may_differ
        """Tags of attributes that are not compared."""

    def take(self, look: RepeatedQuestion, seconds: Mapping[str, float]) -> bool:
        """Whether the query will be repeated; then only its second answers count. `seconds` is the time of the first
        answers."""
        return bool(self._settings.again_after) and self._begin(look.question, lambda: self._look(look, seconds))

    async def _look(self, look: RepeatedQuestion, seconds: Mapping[str, float]) -> None:
        rooms = self._rooms()
        calling, operation = look.request.calling_ae_title, operation_in(look.context, name_of(look.command.field))
        try:
            await self._clock.sleep(self._settings.again_after)
            gantry, other = await gather_both(
                self._ask(self._gantry, look, rooms[0]), self._ask(self._other, look, rooms[1])
            )
            differences = await differences_of(look.question, look.context, gantry, other, self.may_differ)
            self._recorder.compared(operation, calling, differences, seconds)
        except asyncio.CancelledError:
            self._recorder.given_up("shutdown", calling)
            raise
        except (GantryError, TimeoutError) as error:
            self._recorder.given_up("second_look", calling, str(error) or "no answer in time")
        except Exception as error:
            logger.error("shadow failed", error=error)
            self._recorder.given_up("fault", calling)
        finally:
            self._room.give(len(look.question))
            for room in rooms:
                room.close()

    async def _ask(self, side: ComparedArchive, look: RepeatedQuestion, room: Room) -> Raw:
        request, limit = look.request, self._settings.timeout
        contexts = [(context.abstract_syntax, context.transfer_syntaxes) for context in request.contexts]
        async with (
            asyncio.timeout(limit),
            connect(side.peer(request, look.origin), contexts, extended=request.extended) as association,
        ):
            context = next(iter(association.contexts.values()), None)
            if context is None:
                raise ContextNotAccepted(f"{side.name} no longer accepts the query")
            final, matches = await ask(association, context, look.command, bytearray(look.question), room, limit)
            return final.status, matches
