"""C-STORE sub-operations (PS3.4 C.4.2.2, C.4.3.2): send objects one after the other and count exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from libs.common.dimse import Command, CommandField, Element
from libs.common.dimse.command import Value
from libs.common.errors import AssociationAborted, ContextNotAccepted, GantryError, PeerTimeout
from libs.common.net import Association, Source
from libs.common.ports.blobs import BlobStore
from libs.common.ports.index import Location
from libs.common.ul import AcceptedContext
from services.retrieve.conversion import BytesSource, Converter
from services.retrieve.plan import choose

log = structlog.get_logger("gantry.retrieve")

_MEDIUM = 0


@dataclass(slots=True)
class Counters:
    """The four numbers of PS3.7 9.1.3.1, 9.1.4.1, and the instances that failed."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, location: Location, status: int) -> None:
        """One sub-operation has ended with `status` (PS3.4 B.2.3)."""
        self.remaining -= 1
        if status == 0:
            self.completed += 1
        elif status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116):
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(location.sop_instance_uid)

    def elements(self, *, with_remaining: bool) -> dict[int, Value]:
        """For a response; Remaining only where PS3.7 allows it (Pending and Cancel)."""
        found: dict[int, Value] = {
            Element.COMPLETED_SUB_OPERATIONS: min(self.completed, 0xFFFF),
            Element.FAILED_SUB_OPERATIONS: min(self.failed, 0xFFFF),
            Element.WARNING_SUB_OPERATIONS: min(self.warning, 0xFFFF),
        }
        if with_remaining:
            found[Element.REMAINING_SUB_OPERATIONS] = min(self.remaining, 0xFFFF)
        return found

    @property
    def final_status(self) -> int:
        """PS3.4 C.4.2.1.5, C.4.3.1.4: Success only where nothing failed and nothing warned."""
        if self.failed and not (self.completed or self.warning):
            return 0xA702
        return 0xB000 if self.failed or self.warning else 0x0000


class SubOperations:
    """Sends objects of the store over associations."""

    def __init__(self, store: BlobStore, converter: Converter, *, response_timeout: float = 60.0) -> None:
        self._store = store
        self._converter = converter
        self._timeout = response_timeout

    @asynccontextmanager
    async def over(self, association: Association) -> AsyncIterator[Transfer]:
        """A transfer over one association; what it opened ahead is closed with it."""
        transfer = Transfer(association, self._open, self._timeout)
        try:
            yield transfer
        finally:
            await transfer.close()

    async def _open(self, location: Location, context: AcceptedContext) -> tuple[Source, int]:
        if context.transfer_syntax == location.transfer_syntax_uid:
            reader = await self._store.open(location.object_key, location.data_set_offset, location.data_set_length)
            return reader, location.data_set_length
        part10 = await self._read(location)
        data = await self._converter.convert(part10, context.transfer_syntax)
        return BytesSource(data), len(data)

    async def _read(self, location: Location) -> bytes:
        size = location.data_set_offset + location.data_set_length
        reader = await self._store.open(location.object_key)
        try:
            buffer = bytearray(size)
            filled = await reader.readinto([memoryview(buffer)])
            return bytes(buffer[:filled])
        finally:
            await reader.close()


Opener = Callable[[Location, AcceptedContext], Awaitable[tuple[Source, int]]]


class Transfer:
    """C-STORE sub-operations over one association, one after the other; the next object is opened (and converted, where
    it must be) while the one before is on its way."""

    def __init__(self, association: Association, opener: Opener, response_timeout: float) -> None:
        self._association = association
        self._opener = opener
        self._timeout = response_timeout
        self._ahead: dict[str, asyncio.Task[tuple[Source, int]]] = {}

    def prepare(self, location: Location) -> None:
        """Begin to open an object that will be sent soon."""
        context = choose(self._association, location)
        if context is not None and location.object_key not in self._ahead:
            opening = asyncio.ensure_future(self._opener(location, context))
            self._ahead[location.object_key] = opening

    async def send(self, location: Location, originator: Mapping[int, Value] | None = None) -> int:
        """One C-STORE sub-operation; its status. An object that cannot be read, converted or accepted counts as failed
        (C000H and the like); `AssociationAborted` and `PeerTimeout` say that the association is of no more use."""
        association = self._association
        try:
            context = choose(association, location)
            if context is None:
                raise ContextNotAccepted("no presentation context for this object")
            self.prepare(location)
            source, length = await self._ahead.pop(location.object_key)
            try:
                response = await association.store(
                    context.id, self._command(association, location, originator), source, length, timeout=self._timeout
                )
            finally:
                await source.close()
        except (AssociationAborted, PeerTimeout):
            raise
        except GantryError as error:
            log.warning("sub-operation failed", error=str(error), object_key=location.object_key)
            return error.dicom_status
        return response.status

    async def close(self) -> None:
        """Close what was opened ahead and not sent."""
        while self._ahead:
            _, opening = self._ahead.popitem()
            opened = (await asyncio.gather(opening, return_exceptions=True))[0]
            if not isinstance(opened, BaseException):
                await opened[0].close()

    @staticmethod
    def _command(association: Association, location: Location, originator: Mapping[int, Value] | None) -> Command:
        return Command(
            {
                Element.AFFECTED_SOP_CLASS_UID: location.sop_class_uid,
                Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
                Element.MESSAGE_ID: association.next_message_id(),
                Element.PRIORITY: _MEDIUM,
                Element.AFFECTED_SOP_INSTANCE_UID: location.sop_instance_uid,
                **(originator or {}),
            }
        )
