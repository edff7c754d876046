"""Action Information and Event Information of storage commitment (PS3.4 tables J.3-1 and J.3-2) as bytes.

A request may name a hundred thousand instances, so this module reads and writes the few elements itself; pydicom is its
oracle in the tests. Presentation contexts are Implicit or Explicit VR Little Endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
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
from gantry.common.statuses import INVALID_ARGUMENT_VALUE, PROCESSING_FAILURE, RESOURCE_LIMITATION

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
                    _count(len(references), max_references)
    except NotUnderstood as error:
        raise InvalidRequest(str(error)) from error
    if not transaction:
        raise InvalidRequest("transaction uid is missing")
    if not references:
        raise InvalidRequest("no instance is named")
    return ActionInformation(transaction, tuple(references))


@dataclass(frozen=True, slots=True)
class EventInformation:
    """A report: what its sender takes responsibility for, and what not. An instance may be in both, or in none."""

    transaction_uid: str
    committed: frozenset[CommitmentReference]
    failed: tuple[CommitmentFailure, ...]


def encode_action_information(
    transaction_uid: str, references: Sequence[CommitmentReference], transfer_syntax_uid: str
) -> bytes:
    """Write a request."""
    encoding = encoding_of(transfer_syntax_uid)
    write = writer_for(encoding)
    items = [
        write(REFERENCED_SOP_CLASS_UID, _padded(reference.sop_class_uid, b"\0"))
        + write(REFERENCED_SOP_INSTANCE_UID, _padded(reference.sop_instance_uid, b"\0"))
        for reference in references
    ]
    sequence = _sequence(REFERENCED_SOP_SEQUENCE, items, encoding.explicit)
    return b"".join([write(TRANSACTION_UID, _padded(transaction_uid, b"\0")), *sequence])


def decode_event_information(data: bytes, transfer_syntax_uid: str, max_references: int) -> EventInformation:
    """Read a report. Raises `InvalidRequest` or `TooManyReferences`."""
    syntax = syntax_of(encoding_of(transfer_syntax_uid))
    transaction = ""
    committed: set[CommitmentReference] = set()
    failed: dict[CommitmentFailure, None] = {}
    try:
        for tag, _, start, end in _elements(data, 0, len(data), syntax):
            if tag == TRANSACTION_UID:
                transaction = _uid(data, start, end)
            elif tag == REFERENCED_SOP_SEQUENCE:
                for reference in _references(data, start, end, syntax):
                    committed.add(reference)
                    _count(len(committed), max_references)
            elif tag == FAILED_SOP_SEQUENCE:
                for failure in _failures(data, start, end, syntax):
                    failed[failure] = None
                    _count(len(failed), max_references)
    except NotUnderstood as error:
        raise InvalidRequest(str(error)) from error
    if not transaction:
        raise InvalidRequest("transaction uid is missing")
    return EventInformation(transaction, frozenset(committed), tuple(failed))


def _count(references: int, max_references: int) -> None:
    if references > max_references:
        raise TooManyReferences(f"more than {max_references} instances in one message")


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
    for values in _items(data, start, end, syntax):
        yield CommitmentReference(*_instance(data, values))


def _failures(data: bytes, start: int, end: int, syntax: Syntax) -> Iterator[CommitmentFailure]:
    for values in _items(data, start, end, syntax):
        first, last = values.get(FAILURE_REASON, (0, 0))
        # PS3.3 C.14: type 1, but what is not committed is not committed without it, too.
        reason = struct.unpack_from("<H", data, first)[0] if last - first == 2 else PROCESSING_FAILURE
        yield CommitmentFailure(*_instance(data, values), reason)


def _items(data: bytes, start: int, end: int, syntax: Syntax) -> Iterator[Mapping[int, tuple[int, int]]]:
    """Of each item of a sequence, where the values of its elements begin and end."""
    for tag, _, item_start, item_end in _elements(data, start, end, syntax):
        if tag != ITEM:
            raise NotUnderstood("no item where a sequence wants one")
        yield {inner: (first, last) for inner, _, first, last in _elements(data, item_start, item_end, syntax)}


def _instance(data: bytes, values: Mapping[int, tuple[int, int]]) -> tuple[str, str]:
    if REFERENCED_SOP_CLASS_UID not in values or REFERENCED_SOP_INSTANCE_UID not in values:
        raise NotUnderstood("a reference without its class or instance uid")
    return _uid(data, *values[REFERENCED_SOP_CLASS_UID]), _uid(data, *values[REFERENCED_SOP_INSTANCE_UID])


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
