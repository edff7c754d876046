"""Other archives are asked by C-FIND (PS3.4 C.4.1), all at once, each within its deadline.

Nothing that they do makes our own answer fail: what was at fault is in the warnings, the log and the metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gantry.common.access import SIGHT
from gantry.common.config.federation_sections import FederatedArchiveSettings
from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.dicom.query.matching import Document, Query, UidList
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import (
    AssociationRejected,
    ContextNotAccepted,
    GantryError,
    NotUnderstood,
    PeerTimeout,
)
from gantry.common.net import Association, Peer, scu
from gantry.common.net.background import spawn
from gantry.common.net.client import associate
from gantry.common.ports.index import ReadIndex
from gantry.common.statuses import SUCCESS, is_pending
from gantry.common.tasks import turn
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.query.federation.breaker import Breaker
from gantry.services.query.federation.merging import Foreign, Question, Values, cleaned, merged, question_of

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
_MOST_BYTES = 16 << 20
"""Of the identifiers that one archive answers to one question."""
_TURN = 50
_HERE_AT_ONCE = 500
_LATIN = character_set(("ISO_IR 100",))
"""Keys with other characters than ASCII are written so where it has them, since older archives know it; else UTF-8."""
_WORDS = {
    "slow": "did not answer within its deadline",
    "away": "could not be reached or broke off",
    "refused": "refused the query",
    "nonsense": "sent answers that were not understood",
    "more": "had more answers than are taken",
    "skipped": "failed just before and was not asked",
    "unasked": "was not asked: too many such queries at once",
    "unaskable": "was not asked: other archives do not match these keys",
}
_TROUBLE = frozenset(("slow", "away", "refused", "nonsense"))
logger = get_logger("federation")

Asked = Callable[[tuple[str, str], str, bytes, str], None]
"""AE title and host of who is asked, trace, identifier of the C-FIND, and why it failed."""


class FederationPolicy(Protocol):
    """The AE policy, as far as federation asks it."""

    def contact(self, ae_title: str, ours: str) -> Peer | None:
        """Where to call an archive."""

    def is_federated(self, ae_title: str) -> bool:
        """Whether the queries of a peer span other archives."""


class _Enough(Exception):
    """No more of this answer is taken."""


@dataclass(slots=True)
class _Answer:
    """What one archive said so far."""

    title: str
    outcome: str = "away"
    matches: list[Values] | None = None


class Asking:
    """Other archives being asked one question; our own index is searched meanwhile."""

    def __init__(self, work: asyncio.Task[list[_Answer]], ae_title: str) -> None:
        self._work = work
        self._ae_title = ae_title
        self.troubles: tuple[tuple[str, str], ...] = ()
        """Once the answers are there: AE title and outcome of those that did not answer in full."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Who did not answer in full, in words for a Warning header."""
        return tuple(f"{_plain(title)} {_WORDS[outcome]}." for title, outcome in self.troubles)

    @property
    def comment(self) -> str:
        """The same for an Error Comment, of at most 64 characters (PS3.7 annex E); "" if all answered."""
        if not self.troubles:
            return ""
        return ("no or not all answers of " + ", ".join(_plain(title) for title, _ in self.troubles))[:64]

    async def foreign(self) -> Foreign:
        """What they answered."""
        answers = await self._work
        self.troubles = tuple((one.title, one.outcome) for one in answers if one.outcome != "answered")
        return merged((one.title, values) for one in answers for values in one.matches or ())

    async def pages(self, index: ReadIndex, query: Query) -> AsyncIterator[list[Document]]:
        """Our studies, page by page, with who else has them; then those that only others have."""
        foreign: Foreign | None = None
        async for page in index.find(query):
            foreign = foreign or await self.foreign()
            yield foreign.joined(page, self._ae_title)
        rest = await elsewhere(foreign or await self.foreign(), index, query)
        if rest:
            yield rest

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._work.cancel()

    def joined(self, foreign: Foreign, documents: Sequence[Document]) -> list[Document]:
        """Studies of ours, with who else has them."""
        return foreign.joined(documents, self._ae_title)


async def elsewhere(foreign: Foreign, index: ReadIndex, query: Query) -> list[Document]:
    """The studies that are not here at all. One that is here and does not match is not the other archive's to answer:
    what we say of it is right. Raises `DependencyUnavailable`."""
    uids, here = sorted(foreign.studies), set[str]()
    for start in range(0, len(uids), _HERE_AT_ONCE):
        some = UidList(tuple(uids[start : start + _HERE_AT_ONCE]))
        known = Query(query.partition, Level.STUDY, {STUDY_INSTANCE_UID: some}, attributes=query.attributes)
        async for page in index.find(known):
            here.update(str(one.attributes[STUDY_INSTANCE_UID][0]) for one in page)
    return foreign.elsewhere(here)


class Federation:
    """The archives of `federation.archives`, of one process."""

    def __init__(
        self,
        archives: Iterable[FederatedArchiveSettings],
        policy: FederationPolicy,
        ae_title: str,
        metrics: Metrics,
        *,
        most_answers: int = 2000,
        at_once: int = 16,
        asked: Asked = lambda *_: None,
    ) -> None:
        """`ae_title` is ours. `asked` is told of each question that was sent."""
        self._deadlines: Mapping[str, float] = {one.ae_title: one.deadline for one in archives}
        self._breakers = {title: Breaker() for title in self._deadlines}
        self._policy = policy
        self._ae_title = ae_title
        self._metrics = metrics
        self._most_answers = most_answers
        self._at_once = at_once
        self._under_way = 0
        self._asked = asked

    def is_for(self, calling_ae_title: str) -> bool:
        """Whether the C-FINDs of a peer span the archives: the policy says so, it is not one of them (two that ask each
        other would do so for ever), and sees every study."""
        calling = calling_ae_title.strip()
        return self.is_on and calling not in self._deadlines and self._policy.is_federated(calling) and self.is_seen

    @property
    def is_on(self) -> bool:
        """Whether there are any."""
        return bool(self._deadlines)

    @property
    def is_seen(self) -> bool:
        """Whether the one for whom something is asked sees every study: others never get answers of other archives,
        since nobody could say whether these are for them. Links to de-identified copies see no archive."""
        sight = SIGHT.get()
        return sight.whole and not sight.copies

    def begin(self, query: Query, tags: Collection[int], trace: str) -> Asking:
        """Ask all archives for the studies of `query`, of level STUDY, with `tags` to return."""
        return Asking(asyncio.create_task(self._ask(query, tags, trace)), self._ae_title)

    async def _ask(self, query: Query, tags: Collection[int], trace: str) -> list[_Answer]:
        question = question_of(query, tags)
        if question is None or self._under_way >= self._at_once:
            outcome = "unaskable" if question is None else "unasked"
            return [self._told(_Answer(title, outcome)) for title in self._deadlines]
        self._under_way += 1
        try:
            return list(await asyncio.gather(*(self._one(title, question, trace) for title in self._deadlines)))
        finally:
            self._under_way -= 1

    async def _one(self, title: str, question: Question, trace: str) -> _Answer:
        clock, breaker = asyncio.get_running_loop().time, self._breakers[title]
        answer = _Answer(title, matches=[])
        if not breaker.may_ask(clock()):
            answer.outcome = "skipped"
            return self._told(answer)
        peer = self._policy.contact(title, self._ae_title)
        if peer is None:
            return self._told(answer, "the policy does not say where it is")
        deadline = self._deadlines[title]
        peer = replace(peer, connect_timeout=deadline, associate_timeout=deadline)
        why = ""
        try:
            async with asyncio.timeout(deadline):
                await self._find(peer, question, answer, trace)
        except TimeoutError:
            answer.outcome, why = "slow", f"not within {deadline:g} s"
        except GantryError as error:
            answer.outcome, why = _outcome_of(error), str(error)
        except _Enough:
            answer.outcome = "more"
        if answer.outcome in ("slow", "away") and not answer.matches:
            breaker.failed(clock())
        else:
            breaker.answered()
        return self._told(answer, why)

    async def _find(self, peer: Peer, question: Question, answer: _Answer, trace: str) -> None:
        """Ask one archive. `answer` is filled as its matches come. Raises `GantryError`, `_Enough`."""
        why = "it was not answered in time"
        keys = encode_identifier(question.keys, EXPLICIT_LITTLE_ENDIAN, _LATIN)
        try:
            association = await associate(peer, [(STUDY_ROOT_FIND, SYNTAXES)])
            try:
                syntax = scu.need_context(association, STUDY_ROOT_FIND).transfer_syntax
                keys = encode_identifier(question.keys, syntax, _LATIN)
                status = await self._matches(association, keys, syntax, question, answer)
            except BaseException:
                association.abort("the rest of the answer is not wanted")
                raise
            # One that is slow to release has answered nevertheless.
            spawn(association.release())
            why = "" if status == SUCCESS else f"status {status:04X}H"
        except _Enough:
            why = ""
            raise
        except GantryError as error:
            why = why and str(error)
            raise
        finally:
            self._asked((answer.title, peer.host), trace, keys, why)

    async def _matches(
        self, association: Association, keys: bytes, syntax: str, question: Question, answer: _Answer
    ) -> int:
        """Add the matches to `answer` as they come. Returns the final status. Raises `GantryError`, `_Enough`."""
        rubbish = taken = read = status = 0
        async for command, data in scu.find(association, STUDY_ROOT_FIND, keys):
            status = command.status
            if not is_pending(status):
                break
            taken, read = taken + 1, read + len(data)
            if taken > self._most_answers or read > _MOST_BYTES:
                raise _Enough
            rubbish += not _take(data, syntax, question, answer)
            if not taken % _TURN:
                await turn()
        answer.outcome = "refused" if status != SUCCESS else "nonsense" if rubbish else "answered"
        return status

    def _told(self, answer: _Answer, why: str = "") -> _Answer:
        if answer.outcome != "unaskable":
            self._metrics.federated_questions.labels(answer.title, answer.outcome).inc()
        if answer.outcome in _TROUBLE or answer.outcome == "more":
            logger.warning("another archive did not answer in full", archive=answer.title, how=answer.outcome, why=why)
        return answer


def _take(data: bytes, syntax: str, question: Question, answer: _Answer) -> bool:
    """Add one match, if it is one; whether it was understood."""
    try:
        values = cleaned(decode_identifier(data, syntax).keys)
    except NotUnderstood:
        return False
    if values is None:
        return False
    if question.fits(values):
        assert answer.matches is not None
        answer.matches.append(values)
    return True


def _outcome_of(error: GantryError) -> str:
    if isinstance(error, PeerTimeout):
        return "slow"
    if isinstance(error, AssociationRejected | ContextNotAccepted):
        return "refused"
    return "nonsense" if isinstance(error, NotUnderstood) else "away"


def _plain(title: str) -> str:
    """An AE title for a header or a comment: it may hold quotation marks."""
    return "".join([c if (c.isalnum() and c.isascii()) or c in "_-. " else "_" for c in title])
