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
    ) -> None:
        """`rejects` are the codes with which rejection notes may be stored on an association."""
        self.abilities = abilities
        self._writer = writer
        self._may_store = may_store
        self._rejects = rejects

    def receive(self, request: Request) -> InstanceSink:
        command, association = request.command, request.association
        refused = (
            refuse_command(command, request.context)
            if self._may_store(association)
            else NotAuthorised("this peer may not store")
        )
        rejects = self._rejects(association) if command.sop_class_uid == KEY_OBJECT_SELECTION else ()
        sender = Sender(
            association.trace,
            association.calling_ae_title,
            association.called_ae_title,
            association.peer_address,
            rejects,
        )
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
