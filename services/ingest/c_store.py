"""C-STORE (PS3.4 Annex B): adds the command, the status and the response to `commit`."""

from __future__ import annotations

from collections.abc import Callable, Container

from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.dimse import CommandField
from gantry.common.errors import GantryError, NotAuthorised
from gantry.common.net import Association, Request
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.statuses import UNRECOGNISED_OPERATION
from gantry.common.ul import Abilities
from gantry.services.ingest.checks import refuse_command
from gantry.services.ingest.commit import Announced, InstanceSink, InstanceWriter, Sender


class StorageService:
    """The C-STORE service class provider."""

    def __init__(
        self,
        abilities: Abilities,
        writer: InstanceWriter,
        may_store: Callable[[Association], bool],
        rejects: Callable[[Association], Container[str]] = lambda _: (),
        sent_by: tuple[str, str] | None = None,
    ) -> None:
        """`rejects` are the codes with which rejection notes may be stored on an association. On an association that we
        opened for C-GET, `sent_by` is the AE title of the sender and the trace of the fetch."""
        self.abilities = abilities
        self._writer = writer
        self._may_store = may_store
        self._rejects = rejects
        self._sent_by = sent_by

    def receive(self, request: Request) -> InstanceSink:
        command, association = request.command, request.association
        refused = (
            refuse_command(command, request.context)
            if self._may_store(association)
            else NotAuthorised("this peer may not store")
        )
        rejects = self._rejects(association) if command.sop_class_uid == KEY_OBJECT_SELECTION else ()
        sender = self._sender(association, rejects)
        announced = Announced(command.sop_class_uid, command.sop_instance_uid, request.context.transfer_syntax)
        return self._writer.receive(sender, announced, refused)

    async def perform(self, request: Request) -> None:
        sink = request.sink
        if request.command.field != CommandField.C_STORE_RQ or not isinstance(sink, InstanceSink):
            await request.fail(UNRECOGNISED_OPERATION, "only C-STORE is served in this context")
            return
        try:
            await self._writer.commit(sink)
        except GantryError as error:
            self._writer.answered(sink, error.dicom_status)
            raise
        await reach(FailPoint.BEFORE_ANSWER)
        status = self._writer.status_of(sink)
        await request.respond(status)
        self._writer.answered(sink, status)

    def _sender(self, association: Association, rejects: Container[str]) -> Sender:
        calling, called, trace = association.calling_ae_title, association.called_ae_title, association.trace
        if self._sent_by is not None:
            # The sender is the peer that we called, as if it had called us.
            called, (calling, trace) = calling, self._sent_by
        return Sender(trace, calling, called, association.peer_address, rejects)
