"""Asks other archives which of them has a study (PS3.4 C.4.1), and one of them to send it here (PS3.4 C.4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gantry.common.dicom.standard.tags import QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Command, Element
from gantry.common.errors import AssociationRejected, ContextNotAccepted, GantryError, NotUnderstood, PeerTimeout
from gantry.common.net import Peer, connect, scu
from gantry.common.runtime.breaker import Breakers
from gantry.common.statuses import SUCCESS, is_pending, status_words
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.fetching.holders import Holder, holder_in, keys_for

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
_MOST_ANSWERS = 100
"""Answers to a C-FIND for one study."""
_SILENT = 120.0
"""Seconds without a response after which a C-MOVE is aborted."""
logger = get_logger("federation")

Audit = Callable[[tuple[str, str], str, bytes, str, str], None]
"""AE title and host of the archive, trace, identifier, why it failed, and the SOP class of the request."""


@dataclass(frozen=True, slots=True)
class MoveResult:
    """How a C-MOVE ended: sub-operations that were made or failed, and `why` it is not a success ("" if it is)."""

    moved: int = 0
    why: str = ""


class Archives:
    """The archives of `federation.archives`, as senders of studies."""

    def __init__(
        self,
        deadlines: Mapping[str, float],
        contact: Callable[[str, str], Peer | None],
        ae_title: str,
        breakers: Breakers,
        metrics: Metrics,
        audit: Audit = lambda *_: None,
    ) -> None:
        """`deadlines` in seconds for a C-FIND, by AE title. `ae_title` is ours. `audit` is called for each request."""
        self._deadlines = deadlines
        self._contact = contact
        self._ae_title = ae_title
        self._breakers = breakers
        self._metrics = metrics
        self._audit = audit

    def __contains__(self, ae_title: str) -> bool:
        return ae_title in self._deadlines

    async def holders(self, study: str, trace: str) -> tuple[list[Holder], list[str]]:
        """The holders of a study, in the order of the settings, and the AE titles of archives that did not answer."""
        answers = await asyncio.gather(*(self._ask_archive(title, study, trace) for title in self._deadlines))
        silent = [title for title, (_, answered) in zip(self._deadlines, answers, strict=True) if not answered]
        return [holder for holder, _ in answers if holder is not None], silent

    async def _ask_archive(self, title: str, study: str, trace: str) -> tuple[Holder | None, bool]:
        breaker, clock = self._breakers.of(title), asyncio.get_running_loop().time
        if not breaker.may_ask(clock()):
            return self._report_outcome(title, None, "skipped")
        peer = self._contact(title, self._ae_title)
        if peer is None:
            return self._report_outcome(title, None, "away", "the policy does not say where it is")
        deadline = self._deadlines[title]
        peer = replace(peer, connect_timeout=deadline, associate_timeout=deadline)
        data = encode_identifier(keys_for(study), EXPLICIT_LITTLE_ENDIAN)
        outcome, why, holder = "answered", "it was not answered in time", None
        try:
            async with asyncio.timeout(deadline):
                holder, why = await self._find(peer, study)
            outcome = "refused" if why else "answered"
        except TimeoutError:
            outcome = "slow"
        except GantryError as error:
            outcome, why = _outcome_of(error), str(error)
        finally:
            self._audit((title, peer.host), trace, data, why, STUDY_ROOT_FIND)
        if outcome in ("slow", "away"):
            breaker.failed(clock())
        else:
            breaker.answered()
        return self._report_outcome(title, holder, outcome, why)

    async def _find(self, peer: Peer, study: str) -> tuple[Holder | None, str]:
        """What the archive says of the study, and why it refused. Raises `GantryError`."""
        answers: list[Mapping[int, Sequence[str]]] = []
        status = SUCCESS
        async with connect(peer, [(STUDY_ROOT_FIND, SYNTAXES)]) as association:
            syntax = scu.need_context(association, STUDY_ROOT_FIND).transfer_syntax
            async for command, data in scu.find(
                association, STUDY_ROOT_FIND, encode_identifier(keys_for(study), syntax)
            ):
                status = command.status
                if is_pending(status) and len(answers) < _MOST_ANSWERS:
                    answers.append(decode_identifier(data, syntax).keys)
        why = "" if status == SUCCESS else f"answered {status_words(status)} to C-FIND"
        return holder_in(peer.called_ae_title, study, answers), why

    def _report_outcome(
        self, title: str, holder: Holder | None, outcome: str, why: str = ""
    ) -> tuple[Holder | None, bool]:
        self._metrics.federated_questions.labels(title, outcome).inc()
        if outcome not in ("answered", "skipped"):
            logger.warning("another archive did not say what it has of a study", archive=title, how=outcome, why=why)
        return holder, outcome == "answered"

    async def send(self, holder: Holder, study: str, trace: str) -> MoveResult:
        """Have a study sent to us. Errors are in the result."""
        title = holder.ae_title
        peer = self._contact(title, self._ae_title)
        if peer is None:
            return MoveResult(why=f"the policy does not say where {title} is")
        keys = {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [study]}
        data, last, why = encode_identifier(keys, EXPLICIT_LITTLE_ENDIAN), None, "it was broken off"
        try:
            async with connect(peer, [(STUDY_ROOT_MOVE, SYNTAXES)]) as association:
                syntax = scu.need_context(association, STUDY_ROOT_MOVE).transfer_syntax
                data = encode_identifier(keys, syntax)
                async for command, _ in scu.move(association, STUDY_ROOT_MOVE, data, self._ae_title, timeout=_SILENT):
                    last = command
                why = "" if last is not None and last.status == SUCCESS else _words(last)
        except GantryError as error:
            # An archive that is slow to release has sent everything.
            why = "" if last is not None and last.status == SUCCESS else str(error)
        finally:
            self._audit((title, peer.host), trace, data, why, STUDY_ROOT_MOVE)
        moved = _operations(last)
        if not why and last is not None and last.number(Element.FAILED_SUB_OPERATIONS):
            why = "it did not send all of it"
        return MoveResult(moved, why and f"{title}: {why}")


def _operations(command: Command | None) -> int:
    """The sub-operations that a response counts."""
    elements = (
        *(Element.COMPLETED_SUB_OPERATIONS, Element.WARNING_SUB_OPERATIONS),
        *(Element.FAILED_SUB_OPERATIONS, Element.REMAINING_SUB_OPERATIONS),
    )
    return 0 if command is None else sum(command.number(element) or 0 for element in elements)


def _words(command: Command | None) -> str:
    return "it did not answer C-MOVE" if command is None else f"answered {status_words(command.status)} to C-MOVE"


def _outcome_of(error: GantryError) -> str:
    if isinstance(error, PeerTimeout):
        return "slow"
    if isinstance(error, AssociationRejected | ContextNotAccepted):
        return "refused"
    return "nonsense" if isinstance(error, NotUnderstood) else "away"
