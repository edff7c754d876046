"""Our requests to peers, as service class user: one function per operation.

All raise a `PeerError` if the association fails; a status is a result, not an exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, VERIFICATION
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import ContextNotAccepted
from gantry.common.net.association import Association
from gantry.common.net.sinks import Source
from gantry.common.ul import AcceptedContext

_MEDIUM = 0


def need_context(association: Association, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext:
    """The accepted context for an abstract syntax; raises `ContextNotAccepted`."""
    context = association.context_for(abstract_syntax, transfer_syntax)
    if context is None:
        raise ContextNotAccepted(f"the peer accepted no presentation context for {abstract_syntax}")
    return context


def _request(association: Association, field: CommandField, sop_class: str) -> Command:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: sop_class,
            Element.COMMAND_FIELD: int(field),
            Element.MESSAGE_ID: association.next_message_id(),
        }
    )


def _request_of(association: Association, field: CommandField, sop_class: str, sop_instance_uid: str) -> Command:
    """A request about an existing instance (PS3.7 10.3): its class and UID are "requested", not "affected"."""
    return Command(
        {
            Element.REQUESTED_SOP_CLASS_UID: sop_class,
            Element.COMMAND_FIELD: int(field),
            Element.MESSAGE_ID: association.next_message_id(),
            Element.REQUESTED_SOP_INSTANCE_UID: sop_instance_uid,
        }
    )


async def echo(association: Association, *, timeout: float = 30.0) -> int:
    """C-ECHO (PS3.7 9.1.5). Returns the status."""
    context = need_context(association, VERIFICATION)
    command = _request(association, CommandField.C_ECHO_RQ, VERIFICATION)
    response, _ = await association.request(context.id, command, timeout=timeout)
    return response.status


async def store(
    association: Association,
    context: AcceptedContext,
    sop_instance_uid: str,
    source: Source,
    length: int,
    *,
    timeout: float = 120.0,
) -> Command:
    """C-STORE (PS3.7 9.1.1) of a data set of `length` bytes. Returns the response."""
    command = _request(association, CommandField.C_STORE_RQ, context.abstract_syntax)
    command.elements[Element.PRIORITY] = _MEDIUM
    command.elements[Element.AFFECTED_SOP_INSTANCE_UID] = sop_instance_uid
    return await association.store(context.id, command, source, length, timeout=timeout)


async def _query(
    association: Association,
    field: CommandField,
    abstract_syntax: str,
    identifier: bytes,
    timeout: float,
    destination: str | None = None,
) -> AsyncIterator[tuple[Command, bytes]]:
    context = need_context(association, abstract_syntax)
    command = _request(association, field, abstract_syntax)
    command.elements[Element.PRIORITY] = _MEDIUM
    if destination is not None:
        command.elements[Element.MOVE_DESTINATION] = destination
    async for answer in association.exchange(
        lambda: association.send(context.id, command, identifier), command, timeout
    ):
        yield answer


def find(
    association: Association, abstract_syntax: str, identifier: bytes, *, timeout: float = 60.0
) -> AsyncIterator[tuple[Command, bytes]]:
    """C-FIND (PS3.7 9.1.2): every response with its identifier, the final one last."""
    return _query(association, CommandField.C_FIND_RQ, abstract_syntax, identifier, timeout)


def move(
    association: Association, abstract_syntax: str, identifier: bytes, destination: str, *, timeout: float = 600.0
) -> AsyncIterator[tuple[Command, bytes]]:
    """C-MOVE (PS3.7 9.1.4): every response, the final one last."""
    return _query(association, CommandField.C_MOVE_RQ, abstract_syntax, identifier, timeout, destination)


def get(
    association: Association, abstract_syntax: str, identifier: bytes, *, timeout: float = 600.0
) -> AsyncIterator[tuple[Command, bytes]]:
    """C-GET (PS3.7 9.1.3): every response, the final one last; objects go to the association's services."""
    return _query(association, CommandField.C_GET_RQ, abstract_syntax, identifier, timeout)


async def create(
    association: Association, sop_class: str, sop_instance_uid: str, data_set: bytes, *, timeout: float = 60.0
) -> Command:
    """N-CREATE (PS3.7 10.1.5). Returns the response."""
    context = need_context(association, sop_class)
    command = _request(association, CommandField.N_CREATE_RQ, sop_class)
    command.elements[Element.AFFECTED_SOP_INSTANCE_UID] = sop_instance_uid
    response, _ = await association.request(context.id, command, data_set, timeout=timeout)
    return response


async def set_attributes(
    association: Association,
    sop_class: str,
    sop_instance_uid: str,
    data_set: bytes,
    *,
    over: str = "",
    timeout: float = 60.0,
) -> Command:
    """N-SET (PS3.7 10.1.3). `over` is the abstract syntax of the context if it differs from the SOP class. Returns the
    response."""
    context = need_context(association, over or sop_class)
    command = _request_of(association, CommandField.N_SET_RQ, sop_class, sop_instance_uid)
    response, _ = await association.request(context.id, command, data_set, timeout=timeout)
    return response


async def act(
    association: Association,
    sop_class: str,
    sop_instance_uid: str,
    action_type: int,
    action_information: bytes,
    *,
    over: str = "",
    timeout: float = 60.0,
) -> Command:
    """N-ACTION (PS3.7 10.1.4); `over` as in `set_attributes`. Returns the response."""
    context = need_context(association, over or sop_class)
    command = _request_of(association, CommandField.N_ACTION_RQ, sop_class, sop_instance_uid)
    command.elements[Element.ACTION_TYPE_ID] = action_type
    response, _ = await association.request(context.id, command, action_information, timeout=timeout)
    return response


async def request_commitment(association: Association, action_information: bytes, *, timeout: float = 60.0) -> Command:
    """N-ACTION of the Storage Commitment Push Model (PS3.4 J.3.2). Returns the response."""
    about = STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    return await act(association, *about, 1, action_information, timeout=timeout)


async def report_commitment(
    association: Association, event_type: int, event_information: bytes, *, timeout: float = 60.0
) -> Command:
    """N-EVENT-REPORT of the Storage Commitment Push Model (PS3.4 J.3.3): event type 1 success, 2 failures."""
    return await report_event(
        association, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, event_type, event_information, timeout=timeout
    )


def any_context(association: Association, sop_class: str) -> AcceptedContext:
    """The context of an abstract syntax, whatever roles the peer answered. Raises `ContextNotAccepted`."""
    context = next((cx for cx in association.contexts.values() if cx.abstract_syntax == sop_class), None)
    if context is None:
        raise ContextNotAccepted(f"the peer accepted no presentation context for {sop_class}")
    return context


async def report_event(
    association: Association,
    sop_class: str,
    sop_instance_uid: str,
    event_type: int,
    event_information: bytes | None = None,
    *,
    about: str = "",
    timeout: float = 60.0,
) -> Command:
    """N-EVENT-REPORT (PS3.7 10.1.1), even if the peer did not accept us as SCP. `about` is the SOP class of the
    instance if it differs from the abstract syntax `sop_class`. Returns the response."""
    context = any_context(association, sop_class)
    command = _request(association, CommandField.N_EVENT_REPORT_RQ, about or sop_class)
    command.elements[Element.AFFECTED_SOP_INSTANCE_UID] = sop_instance_uid
    command.elements[Element.EVENT_TYPE_ID] = event_type
    response, _ = await association.request(context.id, command, event_information, timeout=timeout)
    return response
