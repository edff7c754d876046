"""What both indices store of receipts that are not current now, but may be again: hidden ones, and those with other
bytes (pure).

Receipts of the same bytes differ only in the place of their objects, and in their coercion. A coerced receipt has its
own entry: it is current, or its entry was stored. The entry of any other follows from any entry of its bytes, which has
the object's own values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import msgpack

from gantry.common.dicom.scan.layout import coercion_in, with_coercion
from gantry.common.lifecycle import DeletionState, unpack_coercion
from gantry.common.ports.index import InstanceEntry, KnownReceipt
from gantry.common.telemetry.logs import get_logger

_FIELDS = tuple(field.name for field in fields(InstanceEntry))
logger = get_logger("index")


@dataclass(frozen=True, slots=True)
class PastReceipt:
    """A receipt as it is or was in the index."""

    entry: InstanceEntry
    lost: bool


def pack_entry(entry: InstanceEntry) -> bytes:
    """An entry as bytes."""
    values = [getattr(entry, name) for name in _FIELDS]
    packed: bytes = msgpack.packb([dict(v) if isinstance(v, dict) else v for v in values])
    return packed


def unpack_entry(packed: bytes) -> InstanceEntry:
    """The inverse."""
    return InstanceEntry(*msgpack.unpackb(packed, strict_map_key=False))


def pack_deletion_state(deletion_state: DeletionState) -> bytes:
    """A deletion state as bytes; the same deletion state is the same bytes."""
    packed: bytes = msgpack.packb(deletion_state.packed())
    return packed


def unpack_deletion_state(packed: bytes) -> DeletionState:
    """The inverse."""
    return DeletionState.unpacked(msgpack.unpackb(packed))


def bytes_of(entry: InstanceEntry) -> tuple[str, str]:
    """The key of the bytes of an entry: digest and transfer syntax."""
    return entry.digest, entry.transfer_syntax_uid


def with_entries(receipts: Iterable[KnownReceipt], contents: Iterable[InstanceEntry]) -> list[PastReceipt]:
    """Receipts of one instance, each with its original entry. `contents` are the entries of those that have their own,
    and of its bytes. A receipt whose bytes are not among them, or for which an earlier release did not store the place
    of the object, is left out."""
    every = list(contents)
    of_bytes = {bytes_of(content): uncoerced(content) for content in every}
    own = {(content.receipt, *bytes_of(content)): content for content in every}
    known = []
    for row in receipts:
        key = row.digest, row.transfer_syntax_uid
        content = own.get((row.id, *key)) or of_bytes.get(key)
        if content is None or row.data_set_offset < 0:
            logger.error("a receipt of an earlier release is left out: run `gantry reindex`", key=row.object_key)
            continue
        at = row.id, row.object_key, row.data_set_offset, row.sender
        known.append(PastReceipt(_at(content, *at), row.lost))
    return known


def is_coerced(entry: InstanceEntry) -> bool:
    """Whether a receipt was coerced, so that its entry does not follow from another one."""
    return bool(coercion_in(entry.layout))


def uncoerced(entry: InstanceEntry) -> InstanceEntry:
    """The entry that the same bytes would have without coercion."""
    coercion = unpack_coercion(coercion_in(entry.layout))
    if coercion is None:
        return entry
    own, layout = coercion.undone(entry.attributes), with_coercion(entry.layout, b"")
    return replace(entry, attributes=own, layout=layout)


def _at(content: InstanceEntry, receipt: str, key: str, offset: int, sender: str) -> InstanceEntry:
    """The same bytes of another receipt."""
    return replace(content, receipt=receipt, object_key=key, data_set_offset=offset, sender=sender)
