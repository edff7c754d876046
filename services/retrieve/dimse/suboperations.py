"""C-STORE sub-operations (PS3.4 C.4.2.2, C.4.3.2): send objects and count exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gantry.common.dimse import Command, CommandField, Element
from gantry.common.dimse.command import Value
from gantry.common.errors import (
    Archived,
    AssociationAborted,
    ContextNotAccepted,
    DependencyUnavailable,
    GantryError,
    NotDeidentified,
    PeerTimeout,
)
from gantry.common.net import Association
from gantry.common.ports.index import Location
from gantry.common.statuses import SUB_OPERATIONS_FAILED, SUCCESS, UNABLE_TO_PERFORM_SUB_OPERATIONS, is_warning
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import AcceptedContext
from gantry.services.retrieve.budget import Budget, Unavailable
from gantry.services.retrieve.dimse.contexts import choose
from gantry.services.retrieve.dimse.read_ahead import Opened, ReadAhead
from gantry.services.retrieve.opening import Opened as OpenedObject
from gantry.services.retrieve.opening import Openings

logger = get_logger("retrieve")

_MEDIUM = 0
_ARCHIVED = "OFFLINE: asked for from an archive, try again in some hours"
"""An Error Comment has at most 64 characters (PS3.7 annex E)."""


@dataclass(slots=True)
class Counters:
    """The four numbers of PS3.7 9.1.3.1, 9.1.4.1, and the instances that failed."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    taken: list[Location] = field(default_factory=list)
    """What has arrived, in the order of the responses."""
    sent_bytes: int = 0
    """Bytes of the data sets that were sent, in their stored length."""
    why: str = ""
    """What is wrong with the destination, if sub-operations failed because of it."""
    unable: str = ""
    """Why objects could not be read or prepared, if the fault is ours and temporary."""
    deidentified_by: str = ""
    """The profile by which objects are de-identified before they are sent."""
    withheld: dict[str, str] = field(default_factory=dict)
    """Why objects must not be sent, since they cannot be de-identified: by SOP Instance UID. Each counts as failed,
    too."""
    _counted: set[str] = field(default_factory=set)

    def count(self, location: Location, status: int) -> None:
        """One sub-operation has ended with `status` (PS3.4 B.2.3)."""
        self.remaining -= 1
        self._counted.add(location.object_key)
        if status == 0 or is_warning(status):
            self.taken.append(location)
            self.sent_bytes += location.data_set_length
        if status == 0:
            self.completed += 1
        elif is_warning(status):
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(location.sop_instance_uid)

    def uncounted(self, locations: Sequence[Location]) -> list[Location]:
        """The objects for which no sub-operation has been counted."""
        return (
            [location for location in locations if location.object_key not in self._counted] if self.remaining else []
        )

    def elements(self, *, with_remaining: bool) -> dict[int, Value]:
        """The command elements for a response; Remaining only if PS3.7 allows it (Pending and Cancel)."""
        values: dict[int, Value] = {
            Element.COMPLETED_SUB_OPERATIONS: min(self.completed, 0xFFFF),
            Element.FAILED_SUB_OPERATIONS: min(self.failed, 0xFFFF),
            Element.WARNING_SUB_OPERATIONS: min(self.warning, 0xFFFF),
        }
        if with_remaining:
            values[Element.REMAINING_SUB_OPERATIONS] = min(self.remaining, 0xFFFF)
        return values

    @property
    def final_status(self) -> int:
        """PS3.4 C.4.2.1.5, C.4.3.1.4: Success only if no sub-operation failed or ended with a warning."""
        if self.failed and not (self.completed or self.warning):
            return UNABLE_TO_PERFORM_SUB_OPERATIONS
        return SUB_OPERATIONS_FAILED if self.failed or self.warning else SUCCESS


class Deidentifies(Protocol):
    """De-identifies objects before they are sent."""

    @property
    def profile(self) -> str:
        """The name of the profile."""

    def uid(self, uid: str) -> str:
        """The SOP Instance UID under which an object is sent."""

    async def deidentified(self, opened: OpenedObject, client: str, *, ahead: bool) -> OpenedObject:
        """The opened object, de-identified; the original is closed. Raises `NotDeidentified` if it must not be sent,
        and `Unavailable`."""


class SubOperations:
    """Sends objects of the store over associations. `per_association` and `per_process` bound reading ahead, in
    bytes."""

    def __init__(
        self,
        openings: Openings,
        *,
        response_timeout: float = 60.0,
        per_association: int = 32 << 20,
        per_process: int = 128 << 20,
    ) -> None:
        self.openings = openings
        self._timeout = response_timeout
        self._per_association = per_association
        self.budget = Budget(per_process)

    @asynccontextmanager
    async def over(
        self, association: Association, through: Deidentifies | None = None
    ) -> AsyncIterator[StoreSubOperations]:
        """A transfer over one association, of objects that pass `through` de-identification if that is set; objects
        that it opened ahead are closed with it."""
        client = f"{association.peer_ae_title} {association.peer_address}"

        async def opened(location: Location, context: AcceptedContext, ahead: bool) -> Opened:
            content = await self.openings.data_set(location, context.transfer_syntax, client, ahead=ahead)
            if through is not None:
                content = await through.deidentified(content, client, ahead=ahead)
            return content.source, content.size

        ahead = ReadAhead(opened, Budget(self._per_association, self.budget), converts=through is not None)
        try:
            yield StoreSubOperations(association, ahead, self._timeout, str if through is None else through.uid)
        finally:
            ahead.close()


Done = Callable[[int, int], Awaitable[None]]
"""Called with the place and the status of each object that was sent, in the order of the responses."""


class StoreSubOperations:
    """C-STORE sub-operations over one association: as many outstanding as the peer granted, while the next one is
    prepared and those after it are opened ahead."""

    def __init__(
        self,
        association: Association,
        ahead: ReadAhead,
        response_timeout: float,
        uid_of: Callable[[str], str] = str,
    ) -> None:
        """`uid_of` maps a SOP Instance UID to that under which it is sent."""
        self._uid_of = uid_of
        self._association = association
        self._ahead = ahead
        self._timeout = response_timeout
        self._slots = asyncio.Semaphore(association.may_invoke)
        self._contexts: dict[tuple[str, str], AcceptedContext | None] = {}
        self._next = self._next_to_open = 0
        self.why = ""
        """Why objects were not sent, if their store is at fault."""
        self.unable = ""
        """Why objects could not be read or prepared, if that is temporary."""
        self.withheld: dict[str, str] = {}
        """Why objects must not be sent, by SOP Instance UID."""

    async def send(
        self,
        locations: Sequence[Location],
        done: Done,
        is_wanted: Callable[[], bool] = lambda: True,
        originator: Mapping[int, Value] | None = None,
    ) -> None:
        """Send objects while they are wanted, in order except for those that are ready at the same time.

        An object that cannot be read, converted or accepted counts as failed (C000H and the like). `AssociationAborted`
        and `PeerTimeout` mean that the association is unusable; `done` is not called for objects that were in transit.
        """
        self._next = self._next_to_open = 0
        workers = min(self._association.may_invoke + 1, len(locations))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(locations, done, is_wanted, originator or {}))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def _work(
        self, locations: Sequence[Location], done: Done, is_wanted: Callable[[], bool], originator: Mapping[int, Value]
    ) -> None:
        while self._next < len(locations) and is_wanted():
            place, self._next = self._next, self._next + 1
            self._open_ahead(locations)
            status = await self._send(place, locations, is_wanted, originator)
            if status is not None:
                await done(place, status)

    def _open_ahead(self, locations: Sequence[Location]) -> None:
        self._next_to_open = max(self._next_to_open, self._next)
        while self._next_to_open < len(locations):
            location = locations[self._next_to_open]
            context = self._context(location)
            if context is not None and not self._ahead.begin(self._next_to_open, location, context):
                return
            self._next_to_open += 1

    async def _send(
        self, place: int, locations: Sequence[Location], is_wanted: Callable[[], bool], originator: Mapping[int, Value]
    ) -> int | None:
        """One C-STORE sub-operation. Returns its status, or None if it was no longer wanted when its turn came."""
        association, location = self._association, locations[place]
        try:
            context = self._context(location)
            if context is None:
                raise ContextNotAccepted("no presentation context for this object")
            source, length = await self._ahead.take(place, location, context)
            self._open_ahead(locations)
            try:
                command = self._command(association, location, originator)
                staged = await association.stage(context.id, command, source, length)
                async with self._slots:
                    if not is_wanted():
                        staged.close()
                        return None
                    return (await association.store_staged(staged, timeout=self._timeout)).status
            finally:
                await source.close()
        except (AssociationAborted, PeerTimeout):
            raise
        except asyncio.CancelledError:
            # A TaskGroup treats a cancelled task as one that ended well: an object would not be counted.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            logger.error("sub-operation was cancelled by somebody else", object_key=location.object_key)
            return Unavailable.dicom_status
        except GantryError as error:
            if isinstance(error, Archived):
                self.why = _ARCHIVED
            if isinstance(error, DependencyUnavailable):
                self.unable = self.unable or str(error)
            if isinstance(error, NotDeidentified):
                self.withheld[location.sop_instance_uid] = str(error)
            logger.warning("sub-operation failed", error=str(error), object_key=location.object_key)
            return error.dicom_status

    def _context(self, location: Location) -> AcceptedContext | None:
        kind = location.sop_class_uid, location.transfer_syntax_uid
        if kind not in self._contexts:
            self._contexts[kind] = choose(self._association, location)
        return self._contexts[kind]

    def _command(self, association: Association, location: Location, originator: Mapping[int, Value]) -> Command:
        return Command(
            {
                Element.AFFECTED_SOP_CLASS_UID: location.sop_class_uid,
                Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
                Element.MESSAGE_ID: association.next_message_id(),
                Element.PRIORITY: _MEDIUM,
                Element.AFFECTED_SOP_INSTANCE_UID: self._uid_of(location.sop_instance_uid),
                **originator,
            }
        )
