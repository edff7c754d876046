"""C-FIND (PS3.4 C.4.1): matches leave page by page as the peer takes them, so their number costs no memory."""

from __future__ import annotations

from libs.common.dicom.identifiers import decode_identifier
from libs.common.dicom.queries import compile_query, level_of, model_of
from libs.common.dimse import CommandField
from libs.common.errors import GantryError, NotUnderstood
from libs.common.ids import DEFAULT_PARTITION
from libs.common.net import MemorySink, Request, Sink
from libs.common.net.service import CANCELLED, PENDING, PENDING_WARNING, SUCCESS
from libs.common.ports.index import SearchIndex
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Abilities
from services.query.answers import all_supported, answerer

_UNRECOGNISED_OPERATION = 0x0211
_LONGEST_IDENTIFIER = 4 << 20


class FindService:
    """C-FIND SCP of the Patient Root, Study Root and Patient/Study Only models."""

    def __init__(self, abilities: Abilities, index: SearchIndex, ae_title: str, metrics: Metrics) -> None:
        self.abilities = abilities
        self._index = index
        self._ae_title = ae_title
        self._metrics = metrics

    def receive(self, request: Request) -> Sink:
        return MemorySink(_LONGEST_IDENTIFIER)

    async def perform(self, request: Request) -> None:
        if request.command.field != CommandField.C_FIND_RQ:
            await request.fail(_UNRECOGNISED_OPERATION, "only C-FIND is served in this context")
            return
        try:
            status = await self._find(request)
        except GantryError as error:
            self._metrics.find_requests.labels(f"{error.dicom_status:04X}").inc()
            raise
        self._metrics.find_requests.labels(f"{status:04X}").inc()
        await request.respond(status)

    async def _find(self, request: Request) -> int:
        """Send the pending responses; the final status."""
        model = model_of(request.context.abstract_syntax)
        if model is None:
            raise NotUnderstood("not a find sop class")
        transfer_syntax = request.context.transfer_syntax
        identifier = decode_identifier(request.data, transfer_syntax)
        query = compile_query(identifier, model, DEFAULT_PARTITION)
        level = level_of(identifier, model)
        pending = PENDING if all_supported(identifier, level) else PENDING_WARNING
        answer = answerer(identifier, level, transfer_syntax, self._ae_title)
        async for page in self._index.find(query):
            # PS3.7 9.3.2.3: a cancelled request ends with FE00H; matches that were found meanwhile are not sent.
            if request.cancelled:
                return CANCELLED
            await request.respond_pending([answer(document) for document in page], pending)
            self._metrics.find_responses.inc(len(page))
        return CANCELLED if request.cancelled else SUCCESS
