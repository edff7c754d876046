"""C-ECHO (PS3.4 Annex A), which every DIMSE role answers."""

from __future__ import annotations

from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.net import MemorySink, Request, Sink
from gantry.common.statuses import SUCCESS, UNRECOGNISED_OPERATION
from gantry.common.ul import Abilities, Ability


class VerificationService:
    """The C-ECHO service class provider."""

    def __init__(self, abilities: Abilities | None = None) -> None:
        self.abilities: Abilities = abilities if abilities is not None else {VERIFICATION: Ability()}

    def receive(self, request: Request) -> Sink:
        # PS3.7 9.3.5 defines no data set for C-ECHO; if one arrives, it is read and ignored.
        return MemorySink(1 << 16)

    async def perform(self, request: Request) -> None:
        if request.command.field != 0x0030:
            await request.fail(UNRECOGNISED_OPERATION, "only C-ECHO is served in this context")
            return
        await request.respond(SUCCESS)
