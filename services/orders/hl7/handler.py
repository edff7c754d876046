"""One message: parsed, compared with earlier answers, planned, applied, published, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import MessageAnswered, MessageQuarantined
from gantry.common.hl7.acknowledgement import AcknowledgementCode, MessageAnswer, acknowledgements, rejection
from gantry.common.hl7.message import Hl7Message
from gantry.common.hl7.mllp import framed
from gantry.common.hl7.orders import MessageOrigin
from gantry.common.hl7.planning import ReceivedMessage, header_of, plan, read
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.orders.hl7.applying import Applier
from gantry.services.orders.hl7.correspondence import Correspondence
from gantry.services.orders.hl7.kinds import kind_label, kind_logged
from gantry.services.requester import Requester

logger = get_logger("hl7")
_AGAIN = MessageProblem(ErrorCode.INTERNAL, "the archive cannot take it now: send it again")


class MessageHandler:
    """For one process; several connections may call it at once, each with one message at a time."""

    def __init__(
        self,
        profiles: Sequence[SenderProfile],
        applier: Applier,
        correspondence: Correspondence,
        clock: Clock,
        metrics: Metrics,
        deadline: float,
    ) -> None:
        """`deadline`: how long a message may take to be applied, in seconds."""
        self._profiles = profiles
        self._applier = applier
        self._correspondence = correspondence
        self._clock = clock
        self._metrics = metrics
        self._deadline = deadline

    async def __call__(self, raw: bytes) -> bytes:
        """The answer, as frames; b"" if the sender wants none. If it is AA or an equivalent, the changes are durable
        and applied, and the answer itself is durable: a repetition of the message gets it again. Never raises for the
        content of a message."""
        begun = self._clock.monotonic()
        try:
            received = read(raw, self._profiles)
        except MessageRefused as refusal:
            reply, kind, code = await self._unreadable(raw, refusal)
        else:
            reply, code = await self._answer(received)
            kind = received.message.kind
        self._metrics.hl7_messages.labels(kind_label(kind), code).inc()
        self._metrics.hl7_seconds.observe(self._clock.monotonic() - begun)
        return reply

    async def _unreadable(self, raw: bytes, refusal: MessageRefused) -> tuple[bytes, str, str]:
        header = header_of(raw)
        code = AcknowledgementCode.REJECT if refusal.rejected else AcknowledgementCode.ERROR
        answer = MessageAnswer(code, refusal.problems)
        kind = kind_logged(header.kind) if header else ""
        logger.warning("message refused", kind=kind, code=code, reason=_logged(refusal))
        if header is None:
            return framed(rejection(answer, self._new_id(), self._now())), "", code
        if not refusal.rejected:
            answer = await self._quarantined(ReceivedMessage(header, raw), refusal, new_trace())
        return self._frames(header, answer), header.kind, answer.code

    async def _answer(self, received: ReceivedMessage) -> tuple[bytes, str]:
        message = received.message
        known = self._correspondence.ledger.answer(message.source, message.control_id, self._clock.now_us())
        if known is not None and known.digest == received.digest:
            logger.info("message repeated: answered as before", source=message.source, control_id=message.control_id)
            return known.reply, AcknowledgementCode.ACCEPT
        trace = new_trace()
        try:
            if known is not None:
                text = "another message of this sender was accepted under this control ID"
                raise MessageRefused(
                    MessageProblem(ErrorCode.DUPLICATE_KEY, text, Spot("MSH", field=10)), rejected=True
                )
            async with asyncio.timeout(self._deadline):
                return await self._accepted(received, trace), AcknowledgementCode.ACCEPT
        except MessageRefused as refusal:
            answer = await self._refused(received, refusal, trace)
        except (DependencyUnavailable, TimeoutError) as error:
            logger.warning("message not taken", source=message.source, control_id=message.control_id, error=error)
            answer = MessageAnswer(AcknowledgementCode.REJECT, (_AGAIN,))
        except Exception as error:  # a mistake of ours ends one message, not the connection or the process
            logger.error("message not applied", source=message.source, control_id=message.control_id, error=error)
            problem = MessageProblem(
                ErrorCode.INTERNAL, "the message could not be applied, and is kept for a person to look at"
            )
            answer = await self._quarantined(received, MessageRefused(problem), trace)
        return self._frames(message, answer), answer.code

    async def _accepted(self, received: ReceivedMessage, trace: str) -> bytes:
        """Apply a message. Returns its answer when both are durable."""
        message = received.message
        attempts = self._correspondence.ledger.attempts(message.source, message.control_id, received.digest)
        # A refused message that comes again is decided anew: with the same event names it would be refused again.
        named = ReceivedMessage(message, received.raw, attempts)
        origin = MessageOrigin.of(message, named.change, trace)
        requester = Requester(origin.source, f"{message.kind} {message.control_id}", trace)
        done = [await self._applier.apply(action, requester, origin) for action in plan(named, self._profiles, trace)]
        await reach(FailPoint.AFTER_APPLY)
        words = "; ".join(dict.fromkeys(done))
        reply = self._frames(message, MessageAnswer(AcknowledgementCode.ACCEPT, text=words))
        at = self._clock.now_us()
        identity = message.source, message.control_id, received.digest, message.kind
        await self._correspondence.note(MessageAnswered(DEFAULT_PARTITION, trace, *identity, reply, at))
        names = {"source": message.source, "control_id": message.control_id, "kind": kind_logged(message.kind)}
        logger.info("message applied", **names, outcome=words)
        await reach(FailPoint.BEFORE_ANSWER)
        return reply

    async def _refused(self, received: ReceivedMessage, refusal: MessageRefused, trace: str) -> MessageAnswer:
        message = received.message
        logger.warning(
            "message refused",
            source=message.source,
            control_id=message.control_id,
            kind=kind_logged(message.kind),
            reason=_logged(refusal),
        )
        if refusal.rejected:
            return MessageAnswer(AcknowledgementCode.REJECT, refusal.problems)
        return await self._quarantined(received, refusal, trace)

    async def _quarantined(self, received: ReceivedMessage, refusal: MessageRefused, trace: str) -> MessageAnswer:
        """AE if the message is in quarantine; AR if it cannot be."""
        message, problems = received.message, tuple(map(str, refusal.problems))
        identity = message.source, message.control_id, received.digest, message.kind
        event = MessageQuarantined(DEFAULT_PARTITION, trace, *identity, received.raw, problems, self._clock.now_us())
        try:
            async with asyncio.timeout(self._deadline):
                await self._correspondence.note(event)
        except (DependencyUnavailable, TimeoutError):
            return MessageAnswer(AcknowledgementCode.REJECT, (_AGAIN,))
        self._metrics.hl7_quarantined.inc()
        return MessageAnswer(AcknowledgementCode.ERROR, refusal.problems)

    def _frames(self, message: Hl7Message, answer: MessageAnswer) -> bytes:
        return b"".join(map(framed, acknowledgements(message, answer, self._new_id(), self._now())))

    def _new_id(self) -> str:
        """Our MSH-10, at most 20 characters (HL7 v2.5 2.15.9.10)."""
        return Receipt.at(self._clock.now_us()).id[:18]

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).strftime("%Y%m%d%H%M%S+0000")


def _logged(refusal: MessageRefused) -> str:
    """Problems name fields and rules, never values of a message."""
    return "; ".join(map(str, refusal.problems[:5]))
