"""Repeats one association of a peer at the shadow, the archive that does not answer the peer.

`observe_request_bytes` and `observe_response_bytes` are called with the bytes that the door forwards; they never raise
and never wait. A separate task sends the requests to the shadow, one by one in the peer's order, and compares the
answers.

With a spool, an association that is given up is put off: the objects that it stores go to the spool, to be sent later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.dimse import Command, Element
from gantry.common.errors import AssociationRejected, ConnectionFailed, GantryError, PeerError, PeerTimeout
from gantry.common.net.association import Association
from gantry.common.net.proxy import Origin
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import AcceptedContext, AssociateRequest
from gantry.services.frontdoor.shadow.again import (
    Raw,
    RepeatedQuestion,
    SecondLooks,
    alone,
    differences_of,
    operation_in,
)
from gantry.services.frontdoor.shadow.asking import AnswersTooLong, ComparedArchive, Likeness, ask, size_of
from gantry.services.frontdoor.shadow.comparing import (
    AnswerDifference,
    DifferenceKind,
    compare_associations,
    compare_objects,
    compare_statuses,
    compare_sub_operations,
    named_uids,
)
from gantry.services.frontdoor.shadow.moves import MOVE, MoveLook, Moves
from gantry.services.frontdoor.shadow.overhearing import NOT_MIRRORED, STORE, TOO_MANY, Exchange, Overheard, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.spool import Line
from gantry.services.frontdoor.shadow.spooling.stores import SpilledStore

T = TypeVar("T")
logger = get_logger("shadow")
ASSOCIATION = "A-ASSOCIATE"
_GET_TIMEOUTS = 10
"""A C-GET may take so many timeouts, since each response has its own."""


@dataclass(frozen=True, slots=True)
class Sides:
    """`answering` is the archive that answers the peer, `shadow` the other one."""

    answering: ComparedArchive
    shadow: ComparedArchive

    def sorted(self, answering: T, shadow: T) -> tuple[T, T]:
        """The two values in the order Gantry, other archive."""
        return (answering, shadow) if self.answering.name == "gantry" else (shadow, answering)


class Mirror:
    """The mirror of one association. `run` is its task, and ends after the peer's association. The caller then calls
    `close`."""

    def __init__(
        self,
        request: AssociateRequest,
        origin: Origin,
        sides: Sides,
        is_mirrored: Callable[[str, str], bool],
        settings: ShadowSettings,
        room: Room,
        looks: SecondLooks,
        moves: Moves,
        recorder: Recorder,
        clock: Clock,
        line: Line | None = None,
        put_off: str = "",
    ) -> None:
        """`line` is its line of the spool, or None. `put_off` is why requests only go to the spool, "" if they do
        not."""
        self._request = request
        self._origin = origin
        self._sides = sides
        self._settings = settings
        self._room = Room(settings.memory << 20, room)
        self._looks = looks
        self._moves = moves
        self._recorder = recorder
        self._clock = clock
        self._calling = request.calling_ae_title
        self._line = line
        self._spilled: dict[int, SpilledStore] = {}
        spill = self._spill if line is not None else None
        self._heard: Overheard | None = Overheard(request, is_mirrored, self._room, spill)
        self._waiting: deque[Exchange] = deque()
        self._news = asyncio.Event()
        self._association: Association | None = None
        self._accepted_yet = False
        self._ended = False
        self._stopped = put_off
        self._words = ""
        self._current: Exchange | None = None
        self._has_lost = False
        self.task: asyncio.Task[None] | None = None

    @property
    def is_put_off(self) -> bool:
        """Whether its requests only go to the spool from now on."""
        return bool(self._stopped)

    # ---- what passes by

    def observe_request_bytes(self, data: memoryview) -> None:
        """Bytes from the peer."""
        heard = self._heard
        if heard is None:
            return
        try:
            for exchange in heard.take_requests(data, self._clock.monotonic()):
                if exchange.why_not == NOT_MIRRORED:
                    self._recorder.not_mirrored(exchange.operation or "other")
                else:
                    self._waiting.append(exchange)
                    self._news.set()
            self._look_at(heard)
        except Exception as error:
            self._fault(error)

    def observe_response_bytes(self, data: memoryview) -> None:
        """Bytes for the peer."""
        heard = self._heard
        if heard is None:
            return
        try:
            if heard.take_responses(data, self._clock.monotonic()) or not self._accepted_yet:
                self._news.set()
            self._look_at(heard)
        except Exception as error:
            self._fault(error)

    def ended(self) -> None:
        """The peer's association has ended."""
        self._ended = True
        self._news.set()

    def _look_at(self, heard: Overheard) -> None:
        if heard.fell_behind and not self._stopped:
            self.stop("fell_behind", listen_on=self._line is not None)
        elif heard.broken:
            self._ended = True
            self._news.set()

    def _fault(self, error: Exception) -> None:
        logger.error("shadow failed", error=error)
        self.stop("fault")

    def stop(self, reason: str, *, listen_on: bool = False) -> None:
        """Give the association up: no more requests are sent, and bytes are only decoded for the spool."""
        self._stopped = self._stopped or reason
        if not listen_on:
            self._heard = None
        if self.task is not None:
            self.task.cancel()

    def _spill(self, exchange: Exchange) -> SpilledStore | None:
        entry = self._line.begin(exchange.number) if self._line is not None else None
        if entry is None:
            return None
        spilled = self._spilled[exchange.number] = SpilledStore(entry)
        return spilled

    # ---- what is asked again

    async def run(self) -> None:
        """Repeat the association at the shadow. Raises nothing except `CancelledError`."""
        heard = self._heard
        if heard is not None and not self._stopped:
            await self._play_or_stop(heard)
        # After a fault in decoding, nothing more can be decoded.
        if self._stopped and self._heard is not None and self._line is not None:
            await self._put_off(self._heard, self._line)

    async def _play_or_stop(self, heard: Overheard) -> None:
        try:
            await self._play(heard)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        except (PeerTimeout, TimeoutError) as error:
            self._stopped, self._words = "timeout", str(error)
        except ConnectionFailed as error:
            self._stopped, self._words = "unreachable", str(error)
            self._recorder.reached(False)
        except AnswersTooLong as error:
            self._stopped, self._words = TOO_MANY, str(error)
        except AssociationRejected as error:
            self._stopped, self._words = "rejected", str(error)
        except PeerError as error:
            self._stopped, self._words = self._stopped or "aborted", str(error)
        except GantryError as error:
            self._stopped, self._words = "unreadable", str(error)
        except Exception as error:
            logger.error("shadow failed", error=error)
            self._stopped = "fault"

    async def _put_off(self, heard: Overheard, line: Line) -> None:
        """Decode until the end of the association, for the spool."""
        self._recorder.put_off(self._stopped, self._calling, self._words)
        self._leave(heard)
        line.hand_over()
        while not self._ended:
            await self._next_news()
            self._pass_over(heard)

    def _leave(self, heard: Overheard) -> None:
        """Send no waiting requests; the objects that they store go to the spool."""
        if self._current is not None:
            self._waiting.appendleft(self._current)
            self._current = None
        heard.put_off(self._waiting)
        self._pass_over(heard)

    def _pass_over(self, heard: Overheard) -> None:
        while self._waiting:
            exchange = self._waiting.popleft()
            spilled = self._spilled.pop(exchange.number, None)
            if why := exchange.why_not or (spilled.why if spilled is not None else ""):
                if spilled is None or not spilled.entry.is_told:
                    self._recorder.given_up(why, self._calling, exchange.operation)
            elif spilled is None:
                self._has_lost = True
            heard.done_with(exchange)

    def close(self) -> None:
        """Count the reason if the association was given up, and release its room. Also for a task that was cancelled
        before it began."""
        heard, self._heard = self._heard, None
        if self.task is not None and self.task.cancelled():
            self._stopped = self._stopped or "shutdown"
        if self._line is not None:
            if heard is not None and self._stopped:
                self._leave(heard)
            for _ in self._line.end():
                self._recorder.given_up("unanswered", self._calling, STORE)
        if self._stopped and (self._has_lost or self._line is None or self._stopped == "fault"):
            self._recorder.given_up(self._stopped, self._calling, self._words)
        self._room.close()

    async def _play(self, heard: Overheard) -> None:
        while heard.accept is None and heard.reject is None:
            if self._ended:
                return  # nobody answered the peer
            await self._next_news()
        self._accepted_yet = True
        likeness = Likeness(self._request, heard.contexts, self._room)
        association = await self._opened(heard, likeness)
        if association is None:
            return
        self._association = association
        try:
            await self._replay_all(heard, likeness, association)
        except BaseException:
            if self._association is not None:
                self._association.abort("the comparison was given up")
            raise
        await self._association.release()

    async def _opened(self, heard: Overheard, likeness: Likeness) -> Association | None:
        """Open the association with the shadow; None if it is rejected. Compares the answers of both archives to the
        request."""
        association: Association | None = None
        rejected = ""
        peer = self._sides.shadow.peer(self._request, self._origin)
        try:
            async with asyncio.timeout(self._settings.timeout):
                association = await likeness.open(peer)
        except AssociationRejected as error:
            rejected = str(error)
            if error.retryable and self._line is not None and heard.reject is None:
                raise  # a transient rejection: objects stored meanwhile are put off
        self._recorder.reached(True)
        if association is not None and heard.reject is None:
            accepted = self._sides.sorted(heard.contexts, likeness.accepted(association))
            differences = compare_associations(self._request, *accepted)
        elif (association is None) == (heard.reject is not None):
            differences = []
        else:
            archive = self._sides.shadow.name if association is None else self._sides.answering.name
            differences = [
                AnswerDifference(
                    DifferenceKind.REJECTED, 1, f"by {archive}: {rejected or (heard.reject and heard.reject.words)}"
                )
            ]
        self._recorder.compared(ASSOCIATION, self._calling, differences, {})
        return association

    async def _reopen(self, likeness: Likeness) -> Association:
        async with asyncio.timeout(self._settings.timeout):
            return await likeness.open(self._sides.shadow.peer(self._request, self._origin))

    async def _replay_all(self, heard: Overheard, likeness: Likeness, association: Association) -> None:
        while True:
            while not self._waiting:
                if self._ended:
                    return
                await self._next_news()
            self._current = exchange = self._waiting.popleft()
            if not association.is_open:
                # The shadow closes idle associations, but the peer may continue after a pause.
                self._association = association = await self._reopen(likeness)
            await self._replay(heard, likeness, association, exchange)
            self._current = None
            heard.done_with(exchange)

    async def _replay(self, heard: Overheard, likeness: Likeness, association: Association, exchange: Exchange) -> None:
        if exchange.operation == MOVE:
            await self._compare_move(exchange)
            return
        context = likeness.context(association, exchange)
        if not exchange.why_not and context is None:
            exchange.why_not = "context"
        if exchange.why_not or context is None:
            if exchange.spilled is not None:
                exchange.spilled.drop(exchange.why_not)
            self._recorder.given_up(exchange.why_not, self._calling, exchange.operation)
            return
        if exchange.spilled is not None:
            await self._replay_spilled(self._spilled[exchange.number], association, context, exchange)
            return
        started = self._clock.monotonic()
        likeness.receiver.clear()
        limit = self._settings.timeout
        async with asyncio.timeout(limit * (_GET_TIMEOUTS if exchange.operation == "C-GET" else 1)):
            final, matches = await ask(association, context, exchange.command, exchange.data, self._room, limit)
        took = self._clock.monotonic() - started
        exchange.held += size_of(matches)
        while exchange.status is None and not exchange.why_not and not self._ended:
            await self._next_news()
        if exchange.why_not or exchange.status is None:
            self._recorder.given_up(exchange.why_not or "unanswered", self._calling, exchange.operation)
            return
        seconds = {self._sides.answering.name: exchange.seconds, self._sides.shadow.name: took}
        if exchange.operation == "C-GET" and exchange.final is not None:
            finals = self._sides.sorted(exchange.final, final)
            objects = self._sides.sorted(exchange.objects, likeness.receiver.objects)
            differences = [*compare_sub_operations(*finals), *compare_objects(*objects)]
            self._recorder.compared(exchange.operation, self._calling, differences, seconds)
            return
        await self._compare(exchange, exchange.status, final.status, matches, seconds)

    async def _compare_move(self, exchange: Exchange) -> None:
        """Compare a C-MOVE without repeating it, which would send everything twice: query what both would send."""
        while exchange.status is None and not exchange.why_not and not self._ended:
            await self._next_news()
        why = exchange.why_not or ("unanswered" if exchange.status is None else "")
        look = MoveLook(self._request, self._origin, exchange.context, bytes(exchange.data))
        if not why and not self._moves.take(look):
            why = "busy"
        if why:
            self._recorder.given_up(why, self._calling, MOVE)

    async def _replay_spilled(
        self, spilled: SpilledStore, association: Association, context: AcceptedContext, exchange: Exchange
    ) -> None:
        """Send an object of the spool, once the peer has its answer."""
        while exchange.status is None and not exchange.why_not and not self._ended:
            await self._next_news()
        if exchange.status is None or exchange.why_not:
            why = exchange.why_not or "unanswered"
            spilled.drop(why)
            self._recorder.given_up(why, self._calling, exchange.operation)
            return
        entry = spilled.entry
        await entry.settled()
        opened = await entry.line.spool.opened(entry) if entry.is_ready else None
        if opened is None:
            self._recorder.given_up(entry.why, self._calling, exchange.operation)
            return
        source, length = opened
        again = Command({**exchange.command.elements, Element.MESSAGE_ID: association.next_message_id()})
        started = self._clock.monotonic()
        try:
            response = await association.store(context.id, again, source, length, timeout=self._settings.timeout)
        finally:
            await source.close()
        took = self._clock.monotonic() - started
        spilled.drop("sent")
        del self._spilled[exchange.number]
        seconds = {self._sides.answering.name: exchange.seconds, self._sides.shadow.name: took}
        await self._compare(exchange, exchange.status, response.status, [], seconds)

    async def _compare(
        self, exchange: Exchange, heard: int, status: int, matches: list[bytes], seconds: dict[str, float]
    ) -> None:
        uids = named_uids([exchange.command.sop_instance_uid])
        if exchange.operation != "C-FIND":
            differences = compare_statuses(*self._sides.sorted(heard, status))
            self._recorder.compared(exchange.operation, self._calling, differences, seconds, uids)
            return
        question = bytes(exchange.data)
        answered: Raw = heard, list(exchange.answers)
        gantry, other = self._sides.sorted(answered, (status, matches))
        may_differ = self._looks.may_differ
        differences = await differences_of(question, exchange.context, gantry, other, may_differ)
        if differences:
            request = alone(self._request, exchange.context)
            look = RepeatedQuestion(request, self._origin, exchange.context, exchange.command, question)
            if self._looks.take(look, seconds):
                return
        operation = operation_in(exchange.context, exchange.operation)
        self._recorder.compared(operation, self._calling, differences, seconds)

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()
