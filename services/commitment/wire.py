"""Action Information and Event Information of storage commitment (PS3.4 tables J.3-1 and J.3-2) as bytes.

A request may name a hundred thousand instances, so this module reads and writes the few elements itself; pydicom is its
oracle in the tests. Presentation contexts are Implicit or Explicit VR Little Endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gantry.common.dicom.encoding.syntax import UNDEFINED, Syntax, read_element, syntax_of
from gantry.common.dicom.query.identifiers import writer_for
from gantry.common.dicom.standard.tags import (
    FAILED_SOP_SEQUENCE,
    FAILURE_REASON,
    ITEM,
    ITEM_DELIMITATION_ITEM,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    RETRIEVE_AE_TITLE,
    SEQUENCE_DELIMITATION_ITEM,
    TRANSACTION_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, encoding_of
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.events import CommitmentFailure, CommitmentReference
from gantry.common.ids import is_uid
from gantry.common.statuses import INVALID_ARGUMENT_VALUE, RESOURCE_LIMITATION

TRANSFER_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)

_MAX_DEPTH = 16


class TooManyReferences(GantryError):
    """PS3.7 C.4.23: resource limitation."""

    dicom_status = RESOURCE_LIMITATION


class InvalidRequest(GantryError):
    """PS3.7 C.5.6: invalid argument value."""

    dicom_status = INVALID_ARGUMENT_VALUE


@dataclass(frozen=True, slots=True)
class ActionInformation:
    """The references of a request, each instance once, in the order given."""

    transaction_uid: str
    references: tuple[CommitmentReference, ...]


def decode_action_information(data: bytes, transfer_syntax_uid: str, max_references: int) -> ActionInformation:
    """Read a request. Raises `InvalidRequest` or `TooManyReferences`."""
    syntax = syntax_of(encoding_of(transfer_syntax_uid))
    transaction = ""
    references: dict[CommitmentReference, None] = {}
    try:
        for tag, _, start, end in _elements(data, 0, len(data), syntax):
            if tag == TRANSACTION_UID:
                transaction = _uid(data, start, end)
            elif tag == REFERENCED_SOP_SEQUENCE:
                for reference in _references(data, start, end, syntax):
                    references[reference] = None
                    if len(references) > max_references:
                        raise TooManyReferences(f"more than {max_references} instances in one request")
    except NotUnderstood as error:
        raise InvalidRequest(str(error)) from error
    if not transaction:
        raise InvalidRequest("transaction uid is missing")
    if not references:
        raise InvalidRequest("no instance is named")
    return ActionInformation(transaction, tuple(references))


def encode_event_information(
    transaction_uid: str,
    retrieve_ae_title: str,
    committed: Sequence[CommitmentReference],
    failed: Sequence[CommitmentFailure],
    transfer_syntax_uid: str,
) -> bytes:
    """Write a report; empty sequences are left out (type 1C)."""
    write = writer_for(encoding_of(transfer_syntax_uid))
    explicit = encoding_of(transfer_syntax_uid).explicit
    parts = [
        write(RETRIEVE_AE_TITLE, _padded(retrieve_ae_title, b" ")),
        write(TRANSACTION_UID, _padded(transaction_uid, b"\0")),
    ]
    if failed:
        items = [
            write(REFERENCED_SOP_CLASS_UID, _padded(failure.sop_class_uid, b"\0"))
            + write(REFERENCED_SOP_INSTANCE_UID, _padded(failure.sop_instance_uid, b"\0"))
            + write(FAILURE_REASON, struct.pack("<H", failure.reason))
            for failure in failed
        ]
        parts += _sequence(FAILED_SOP_SEQUENCE, items, explicit)
    if committed:
        items = [
            write(REFERENCED_SOP_CLASS_UID, _padded(reference.sop_class_uid, b"\0"))
            + write(REFERENCED_SOP_INSTANCE_UID, _padded(reference.sop_instance_uid, b"\0"))
            for reference in committed
        ]
        parts += _sequence(REFERENCED_SOP_SEQUENCE, items, explicit)
    return b"".join(parts)


def _sequence(tag: int, items: Sequence[bytes], explicit: bool) -> list[bytes]:
    """A sequence and its items, with lengths (PS3.5 7.5.2)."""
    body = b"".join([struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items])
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (b"SQ\0\0" if explicit else b"")
    return [head, struct.pack("<I", len(body)), body]


def _padded(text: str, pad: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + pad if len(value) & 1 else value


def _references(data: bytes, start: int, end: int, syntax: Syntax) -> Iterator[CommitmentReference]:
    for tag, _, item_start, item_end in _elements(data, start, end, syntax):
        if tag != ITEM:
            raise NotUnderstood("no item where a sequence wants one")
        names = {REFERENCED_SOP_CLASS_UID: "", REFERENCED_SOP_INSTANCE_UID: ""}
        for inner, _, value_start, value_end in _elements(data, item_start, item_end, syntax):
            if inner in names:
                names[inner] = _uid(data, value_start, value_end)
        if not all(names.values()):
            raise NotUnderstood("a reference without its class or instance uid")
        yield CommitmentReference(names[REFERENCED_SOP_CLASS_UID], names[REFERENCED_SOP_INSTANCE_UID])


def _elements(data: bytes, pos: int, end: int, syntax: Syntax, depth: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Tag, offset, and where the value begins and ends, of each element at one level, without delimiters."""
    while pos < end:
        read = read_element(data, pos, end, syntax)
        if read is None:
            raise NotUnderstood("an element is cut off")
        tag, _, length, start = read
        if length == UNDEFINED:
            after = _end_of_undefined(data, start, end, syntax, depth)
            yield tag, pos, start, after - 8
        else:
            after = start + length
            if after > end:
                raise NotUnderstood("an element is cut off")
            if tag not in (ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM):
                yield tag, pos, start, after
        pos = after


def _end_of_undefined(data: bytes, pos: int, end: int, syntax: Syntax, depth: int) -> int:
    """The offset after the delimiter that closes the value that begins at `pos`."""
    if depth > _MAX_DEPTH:
        raise NotUnderstood("sequences are nested too deep")
    while pos < end:
        read = read_element(data, pos, end, syntax)
        if read is None:
            break
        tag, _, length, start = read
        if tag in (ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM):
            return start
        pos = _end_of_undefined(data, start, end, syntax, depth + 1) if length == UNDEFINED else start + length
    raise NotUnderstood("a delimiter is missing")


def _uid(data: bytes, start: int, end: int) -> str:
    value = data[start:end].rstrip(b" \0").decode("ascii", "replace")
    if not is_uid(value):
        raise NotUnderstood("not a uid")
    return value
