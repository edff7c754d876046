"""C-FIND (PS3.4 C.4.1): decode, search, answer page by page at the peer's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import Identifier, decode_identifier
from gantry.common.dicom.query.matching import Document, Query
from gantry.common.dicom.query.queries import Model, compile_query, extended_of, lacks_patient, model_of
from gantry.common.dicom.query.repository import RepositoryQuery, invalid_record_key, repository_query
from gantry.common.dicom.standard.sop_classes import REPOSITORY_QUERY
from gantry.common.dimse import CommandField, Element
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.availability import Availability
from gantry.common.statuses import (
    CANCELLED,
    PENDING,
    PENDING_WARNING,
    RESPONSE_LIMIT_REACHED,
    SUCCESS,
    UNRECOGNISED_OPERATION,
)
from gantry.common.tasks import turn
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Abilities
from gantry.services.query.answers import Answers
from gantry.services.query.federation.asking import Asking, Federation

_MAX_IDENTIFIER = 8 << 20
_AT_ONCE = 100
"""Responses encoded and written together; between two such batches C-CANCEL and other associations get their turn."""
_NO_PATIENT = "no single PatientID was given: all patients were searched"
"""An Error Comment has at most 64 characters (PS3.7 annex E)."""


class FindService:
    """C-FIND SCP of the Patient Root, Study Root and Patient/Study Only models, and of Repository Query."""

    def __init__(
        self,
        abilities: Abilities,
        index: ReadIndex,
        ae_title: str,
        metrics: Metrics,
        *,
        strict: bool = False,
        availability: Availability | None = None,
        audit: Callable[[Request, str], None] = lambda *_: None,
        federation: Federation | None = None,
    ) -> None:
        """`ae_title` is returned as Retrieve AE Title. `strict` refuses a Patient Root search that names no patient.
        Without `availability` everything is in one store. `audit` is called when a request ends, with why it failed.
        `federation` has the archives that some requests span.
        """
        self._federation = federation
        self._audit = audit
        self._strict = strict
        self._availability = availability or Availability(index)
        self.abilities = abilities
        self._index = index
        self._ae_title = ae_title
        self._metrics = metrics

    def receive(self, request: Request) -> Sink:
        return MemorySink(_MAX_IDENTIFIER)

    async def perform(self, request: Request) -> None:
        """Answer one C-FIND request. A raised error becomes the final status: A700H if the index is unavailable, A900H
        or C000H if the identifier is at fault."""
        if request.command.field != CommandField.C_FIND_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "not a C-FIND request")
            return
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            status, comment = await self._answer(request)
        except GantryError as error:
            self._metrics.find_requests.labels(f"{error.dicom_status:04X}").inc()
            self._audit(request, str(error))
            raise
        self._audit(request, "")
        await request.respond(status, extra={Element.ERROR_COMMENT: comment} if comment else None)
        self._metrics.find_requests.labels(f"{status:04X}").inc()
        self._metrics.find_seconds.observe(clock() - begun)

    async def _answer(self, request: Request) -> tuple[int, str]:
        """Send the pending responses. Returns the final status, and a comment on any deviation from the request."""
        context = request.context
        model = model_of(context.abstract_syntax)
        if model is None:
            raise NotUnderstood("not a find sop class")
        attributes = await self._index.attributes()
        identifier = decode_identifier(request.data, context.transfer_syntax, attributes)
        extended = extended_of(context.extended)
        repository = None
        if context.abstract_syntax == REPOSITORY_QUERY:
            repository = repository_query(identifier)
            identifier = repository.identifier
        query = compile_query(identifier, model, DEFAULT_PARTITION, extended, attributes, strict=self._strict)
        comment = _NO_PATIENT if not extended.relational and lacks_patient(identifier, model) else ""
        keyed = repository is not None and repository.keyed
        answers = Answers(identifier, query, context.transfer_syntax, self._ae_title, keyed=keyed)
        status = PENDING if answers.complete else PENDING_WARNING
        if repository is not None:
            return await self._records(request, answers, query, repository, status), comment
        others = self._others(request, model, query, identifier)
        if others is None:
            return await self._pages(request, answers, query.level, self._index.find(query), lambda: status), comment
        try:
            pages = others.pages(self._index, query)
            # PS3.4 C.4.1.1.4 has no status for an unavailable other archive: FF01H is the one with a warning.
            final = await self._pages(
                *(request, answers, query.level, pages, lambda: PENDING_WARNING if others.troubles else status)
            )
            return final, others.comment or comment
        finally:
            others.cancel()

    def _others(self, request: Request, model: Model, query: Query, identifier: Identifier) -> Asking | None:
        """The same query to the other archives, if it spans them."""
        association = request.association
        if self._federation is None or query.level is Level.PATIENT or model is Model.PATIENT_STUDY_ONLY:
            return None
        if not self._federation.is_for(association.calling_ae_title):
            return None
        return self._federation.begin(query, list(identifier.keys), association.trace, self._index)

    async def _pages(
        self,
        request: Request,
        answers: Answers,
        level: Level,
        pages: AsyncIterator[list[Document]],
        status: Callable[[], int],
    ) -> int:
        """Send the matches, with the `status` of pending responses. Returns the final status."""
        async for page in pages:
            for start in range(0, len(page), _AT_ONCE):
                await turn()
                if request.cancelled:
                    return CANCELLED
                batch = page[start : start + _AT_ONCE]
                await request.respond_pending(await self._encoded(answers, level, batch), status())
                self._metrics.find_responses.inc(len(batch))
        return CANCELLED if request.cancelled else SUCCESS

    async def _records(
        self, request: Request, answers: Answers, query: Query, repository: RepositoryQuery, pending: int
    ) -> int:
        """Send records in the order of their keys, as many as are wanted. Returns the final status."""
        most = repository.most
        left = most
        try:
            wanted = query if most is None else replace(query, limit=most + 1)
            async for page in self._index.find(wanted, repository.after):
                for start in range(0, len(page), _AT_ONCE):
                    await turn()
                    if request.cancelled:
                        return CANCELLED
                    batch = page[start : start + _AT_ONCE]
                    sent = batch if left is None else batch[:left]
                    await request.respond_pending(await self._encoded(answers, query.level, sent), pending)
                    self._metrics.find_responses.inc(len(sent))
                    if left is not None:
                        if len(sent) < len(batch):
                            return RESPONSE_LIMIT_REACHED
                        left -= len(sent)
        except NotUnderstood:
            raise invalid_record_key() from None
        return CANCELLED if request.cancelled else SUCCESS

    async def _encoded(self, answers: Answers, level: Level, documents: Sequence[Document]) -> list[bytes]:
        if not answers.tells_availability:
            return [answers.encode(document) for document in documents]
        words = await self._availability.of(level, documents)
        return [answers.encode(document, word) for document, word in zip(documents, words, strict=True)]
