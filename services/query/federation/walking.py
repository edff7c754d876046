"""Queries one archive over one association, level by level from the study down (PS3.4 C.4.1.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.net import Association, Peer, scu
from gantry.common.net.background import spawn
from gantry.common.net.client import associate
from gantry.common.statuses import SUCCESS, is_pending
from gantry.common.tasks import turn
from gantry.services.query.federation.merging import Question, Unit, Values, cleaned, unit_of

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
MOST_BYTES = 16 << 20
"""Most bytes of identifiers that are accepted from one archive for one query."""
_TURN = 50
_LATIN = character_set(("ISO_IR 100",))
"""The character set of keys that are not ASCII, if it has their characters, since older archives support it; otherwise
UTF-8."""

Audit = Callable[[tuple[str, str], str, bytes, str], None]
"""AE title and host of the archive, trace, identifier of the C-FIND, and why it failed."""


class Enough(Exception):
    """The limit is reached: no more of this answer is accepted."""


@dataclass(slots=True)
class ArchiveAnswer:
    """The answers of one archive so far."""

    title: str
    outcome: str = "away"
    matches: list[Values] = field(default_factory=list)
    is_heard: bool = False
    """Whether the archive answered a question, or sent a match."""


class ArchiveWalk:
    """The questions of one query to one archive. `answer` is filled as matches come."""

    def __init__(self, answer: ArchiveAnswer, most_answers: int, audit: Audit, trace: str) -> None:
        """At most `most_answers` to one question are accepted. `audit` is called for each question sent."""
        self._answer = answer
        self._most_answers = most_answers
        self._audit = audit
        self._trace = trace
        self._rubbish = self._read = 0

    async def go(self, peer: Peer, questions: Sequence[Question]) -> None:
        """Ask all questions. The outcome is in `answer`. Raises `GantryError`, `Enough`."""
        try:
            association = await associate(peer, [(STUDY_ROOT_FIND, SYNTAXES)])
        except BaseException as error:
            keys = encode_identifier(questions[0].keys, EXPLICIT_LITTLE_ENDIAN, _LATIN)
            why = str(error) if isinstance(error, GantryError) else "it was not answered in time"
            self._audit((self._answer.title, peer.host), self._trace, keys, why)
            raise
        try:
            status = await self._down(association, peer.host, questions, {})
        except BaseException:
            association.abort("the rest of the answer is not wanted")
            raise
        # An archive that is slow to release has answered nevertheless.
        spawn(association.release())
        self._answer.outcome = "refused" if status != SUCCESS else "nonsense" if self._rubbish else "answered"

    async def _down(self, association: Association, host: str, questions: Sequence[Question], above: Values) -> int:
        """Ask the first question, and the others under each of its answers, until one is refused. Returns the last
        status."""
        question, *below = questions
        if not below:
            return await self._ask(association, host, question, above, self._answer.matches)
        matches: list[Values] = []
        status = await self._ask(association, host, question, above, matches)
        units: dict[Unit, Values] = {}
        for match in matches:
            units.setdefault(unit_of(match), match)
        for match in units.values():
            if status != SUCCESS:
                break
            status = await self._down(association, host, below, match)
        return status

    async def _ask(
        self, association: Association, host: str, question: Question, above: Values, matches: list[Values]
    ) -> int:
        """Add the matches to `matches` as they come, each with what is `above` it. Returns the final status. Raises
        `GantryError`, `Enough`."""
        question = question.under(above)
        why = "it was not answered in time"
        keys = encode_identifier(question.keys, EXPLICIT_LITTLE_ENDIAN, _LATIN)
        try:
            syntax = scu.need_context(association, STUDY_ROOT_FIND).transfer_syntax
            keys = encode_identifier(question.keys, syntax, _LATIN)
            status, taken = 0, 0
            async for command, data in scu.find(association, STUDY_ROOT_FIND, keys):
                status = command.status
                if not is_pending(status):
                    break
                taken, self._read = taken + 1, self._read + len(data)
                if taken > self._most_answers or self._read > MOST_BYTES:
                    raise Enough
                self._take(data, syntax, question, above, matches)
                if not taken % _TURN:
                    await turn()
            self._answer.is_heard = True
            why = "" if status == SUCCESS else f"status {status:04X}H"
            return status
        except Enough:
            why = ""
            raise
        except GantryError as error:
            why = str(error)
            raise
        finally:
            self._audit((self._answer.title, host), self._trace, keys, why)

    def _take(self, data: bytes, syntax: str, question: Question, above: Values, matches: list[Values]) -> None:
        """Add one match, if it is valid."""
        try:
            values = cleaned(decode_identifier(data, syntax).keys, question.level)
        except NotUnderstood:
            values = None
        if values is None:
            self._rubbish += 1
        elif question.fits(values):
            self._answer.is_heard = True
            matches.append({**above, **values})
