"""Queries other archives by C-FIND (PS3.4 C.4.1), all at once, each within its deadline.

They cannot make our own answer fail: their faults are in the warnings, the log and the metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from gantry.common.access import SIGHT
from gantry.common.config.federation_sections import FederatedArchiveSettings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import (
    AssociationRejected,
    ContextNotAccepted,
    GantryError,
    NotUnderstood,
    PeerTimeout,
)
from gantry.common.net import Peer
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.breaker import Breakers
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.query.federation.merging import (
    MOST_NAMED,
    Foreign,
    Question,
    merged,
    named_studies,
    questions_of,
)
from gantry.services.query.federation.walking import ArchiveAnswer, ArchiveWalk, Audit, Enough

_HERE_AT_ONCE = 500
_WORDS = {
    "slow": "did not answer within its deadline",
    "away": "could not be reached or broke off",
    "refused": "refused the query",
    "nonsense": "sent answers that were not understood",
    "more": "had more answers than are taken",
    "skipped": "failed just before and was not asked",
    "unasked": "was not asked: too many such queries at once",
    "unaskable": "was not asked: other archives do not match these keys",
    "unnamed": f"was not asked: series and instances are asked for in 1 to {MOST_NAMED} studies that are named",
}
_UNSENT = frozenset(("unaskable", "unnamed"))
_TROUBLE = frozenset(("slow", "away", "refused", "nonsense"))
logger = get_logger("federation")


class FederationPolicy(Protocol):
    """The part of the AE policy that federation needs."""

    def contact(self, ae_title: str, ours: str) -> Peer | None:
        """The address of an archive."""

    def is_federated(self, ae_title: str) -> bool:
        """Whether the queries of a peer span other archives."""


class Asking:
    """One query to other archives under way; our own index is searched meanwhile."""

    def __init__(self, work: asyncio.Task[list[ArchiveAnswer]], ae_title: str, level: Level) -> None:
        self._work = work
        self._level = level
        self._ae_title = ae_title
        self.troubles: tuple[tuple[str, str], ...] = ()
        """Once the answers have arrived: AE title and outcome of those that did not answer in full."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The archives that did not answer in full, in words for a Warning header."""
        return tuple(f"{_plain(title)} {_WORDS[outcome]}." for title, outcome in self.troubles)

    @property
    def comment(self) -> str:
        """The same for an Error Comment, of at most 64 characters (PS3.7 annex E); "" if all answered."""
        if not self.troubles:
            return ""
        if all(outcome == "unnamed" for _, outcome in self.troubles):
            return f"other archives are asked for 1 to {MOST_NAMED} named studies only"
        return ("no or not all answers of " + ", ".join(_plain(title) for title, _ in self.troubles))[:64]

    async def foreign(self) -> Foreign:
        """What they answered."""
        answers = await self._work
        self.troubles = tuple((answer.title, answer.outcome) for answer in answers if answer.outcome != "answered")
        return merged(((answer.title, values) for answer in answers for values in answer.matches), self._level)

    async def pages(self, index: ReadIndex, query: Query) -> AsyncIterator[list[Document]]:
        """Our matches, page by page, with the other archives that have them; then what only others have."""
        foreign: Foreign | None = None
        async for page in index.find(query):
            foreign = foreign or await self.foreign()
            yield foreign.joined(page, self._ae_title)
        rest = await elsewhere(foreign or await self.foreign(), index, query)
        if rest:
            yield rest

    def cancel(self) -> None:
        """Cancel the query: its requester no longer waits."""
        if not self._work.cancel() and not self._work.cancelled():
            self._work.exception()  # what failed meanwhile failed ours, too

    def joined(self, foreign: Foreign, documents: Sequence[Document]) -> list[Document]:
        """Our matches, with the other archives that have them."""
        return foreign.joined(documents, self._ae_title)


async def elsewhere(foreign: Foreign, index: ReadIndex, query: Query) -> list[Document]:
    """Answers about studies that are not here at all. If a study is here and does not match, our own values of it
    prevail. Raises `DependencyUnavailable`."""
    return foreign.elsewhere(await studies_here(index, query, foreign.studies))


async def studies_here(index: ReadIndex, query: Query, uids: Sequence[str]) -> set[str]:
    """The studies, of those given, that are here. Raises `DependencyUnavailable`."""
    studies = set[str]()
    for start in range(0, len(uids), _HERE_AT_ONCE):
        batch = UidList(tuple(uids[start : start + _HERE_AT_ONCE]))
        known = Query(query.partition, Level.STUDY, {STUDY_INSTANCE_UID: batch}, attributes=query.attributes)
        async for page in index.find(known):
            studies.update(str(document.attributes[STUDY_INSTANCE_UID][0]) for document in page)
    return studies


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
        audit: Audit = lambda *_: None,
        breakers: Breakers | None = None,
    ) -> None:
        """`ae_title` is ours. `audit` is called for each query that was sent. `breakers` are shared with others."""
        self._deadlines: Mapping[str, float] = {archive.ae_title: archive.deadline for archive in archives}
        self._breakers = breakers or Breakers()
        self._policy = policy
        self._ae_title = ae_title
        self._metrics = metrics
        self._most_answers = most_answers
        self._at_once = at_once
        self._under_way = 0
        self._audit = audit

    def is_for(self, calling_ae_title: str) -> bool:
        """Whether the C-FINDs of a peer span the archives: the policy allows it, the peer sees every study, and is not
        one of the archives (two archives that query each other would never end)."""
        calling = calling_ae_title.strip()
        return self.is_on and calling not in self._deadlines and self._policy.is_federated(calling) and self.is_seen

    @property
    def is_on(self) -> bool:
        """Whether any archives are configured."""
        return bool(self._deadlines)

    @property
    def is_seen(self) -> bool:
        """Whether the current requester sees every study: others never get answers of other archives, since their right
        to see these cannot be checked. Links to de-identified copies span no archives."""
        sight = SIGHT.get()
        return sight.whole and not sight.copies

    def begin(self, query: Query, tags: Collection[int], trace: str, index: ReadIndex) -> Asking:
        """Ask all archives for what `query`, of level STUDY or below, matches, with `tags` to return. Series and
        instances are requested for studies that `index`, ours, does not have."""
        return Asking(asyncio.create_task(self._ask(query, tags, trace, index)), self._ae_title, query.level)

    async def _ask(self, query: Query, tags: Collection[int], trace: str, index: ReadIndex) -> list[ArchiveAnswer]:
        if query.level is not Level.STUDY:
            named = named_studies(query)
            if not named:
                return self._without("unnamed")
            studies = await studies_here(index, query, named)
            missing = tuple(uid for uid in named if uid not in studies)
            if not missing:
                return []
            query = replace(query, conditions={**query.conditions, STUDY_INSTANCE_UID: UidList(missing)})
        questions = questions_of(query, tags)
        if questions is None or self._under_way >= self._at_once:
            return self._without("unaskable" if questions is None else "unasked")
        self._under_way += 1
        try:
            return list(
                await asyncio.gather(*(self._ask_archive(title, questions, trace) for title in self._deadlines))
            )
        finally:
            self._under_way -= 1

    def _without(self, outcome: str) -> list[ArchiveAnswer]:
        """No archive is asked."""
        return [self._report_outcome(ArchiveAnswer(title, outcome)) for title in self._deadlines]

    async def _ask_archive(self, title: str, questions: Sequence[Question], trace: str) -> ArchiveAnswer:
        clock, breaker = asyncio.get_running_loop().time, self._breakers.of(title)
        answer = ArchiveAnswer(title)
        if not breaker.may_ask(clock()):
            answer.outcome = "skipped"
            return self._report_outcome(answer)
        peer = self._policy.contact(title, self._ae_title)
        if peer is None:
            return self._report_outcome(answer, "the policy does not say where it is")
        deadline = self._deadlines[title]
        peer = replace(peer, connect_timeout=deadline, associate_timeout=deadline)
        why = ""
        try:
            async with asyncio.timeout(deadline):
                await ArchiveWalk(answer, self._most_answers, self._audit, trace).go(peer, questions)
        except TimeoutError:
            answer.outcome, why = "slow", f"not within {deadline:g} s"
        except GantryError as error:
            answer.outcome, why = _outcome_of(error), str(error)
        except Enough:
            answer.outcome = "more"
        if answer.outcome in ("slow", "away") and not answer.is_heard:
            breaker.failed(clock())
        else:
            breaker.answered()
        return self._report_outcome(answer, why)

    def _report_outcome(self, answer: ArchiveAnswer, why: str = "") -> ArchiveAnswer:
        if answer.outcome not in _UNSENT:
            self._metrics.federated_questions.labels(answer.title, answer.outcome).inc()
        if answer.outcome in _TROUBLE or answer.outcome == "more":
            logger.warning("another archive did not answer in full", archive=answer.title, how=answer.outcome, why=why)
        return answer


def _outcome_of(error: GantryError) -> str:
    if isinstance(error, PeerTimeout):
        return "slow"
    if isinstance(error, AssociationRejected | ContextNotAccepted):
        return "refused"
    return "nonsense" if isinstance(error, NotUnderstood) else "away"


def _plain(title: str) -> str:
    """An AE title for a header or a comment: it may hold quotation marks."""
    return "".join([c if (c.isalnum() and c.isascii()) or c in "_-. " else "_" for c in title])
