"""What both indices keep of receipts that answer for nothing now, and may again: hidden ones, and other bytes (pure).

Receipts of the same bytes differ only in where their objects are. So the entry of each follows from any entry of its
bytes: that of the current object, or one that was kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import msgpack

from gantry.common.lifecycle import Fate
from gantry.common.ports.index import InstanceEntry, KnownReceipt
from gantry.common.telemetry.logs import get_logger

_FIELDS = tuple(field.name for field in fields(InstanceEntry))
logger = get_logger("index")


@dataclass(frozen=True, slots=True)
class Known:
    """A receipt as it is in the index, or was."""

    entry: InstanceEntry
    lost: bool


def pack_entry(entry: InstanceEntry) -> bytes:
    """An entry as bytes."""
    values = [getattr(entry, name) for name in _FIELDS]
    packed: bytes = msgpack.packb([dict(v) if isinstance(v, dict) else v for v in values])
    return packed


def unpack_entry(packed: bytes) -> InstanceEntry:
    """The other way round."""
    return InstanceEntry(*msgpack.unpackb(packed, strict_map_key=False))


def pack_fate(fate: Fate) -> bytes:
    """A fate as bytes; the same fate is the same bytes."""
    packed: bytes = msgpack.packb(fate.packed())
    return packed


def unpack_fate(packed: bytes) -> Fate:
    """The other way round."""
    return Fate.unpacked(msgpack.unpackb(packed))


def bytes_of(entry: InstanceEntry) -> tuple[str, str]:
    """What tells the bytes of an entry from others: digest and transfer syntax."""
    return entry.digest, entry.transfer_syntax_uid


def with_entries(receipts: Iterable[KnownReceipt], contents: Iterable[InstanceEntry]) -> list[Known]:
    """Receipts of one instance, each with the entry that it came with. `contents` are entries of its bytes, of
    whichever receipt. One whose bytes are not among them, or of which an earlier release did not write where its object
    is, is left out."""
    of_bytes = {bytes_of(content): content for content in contents}
    known = []
    for one in receipts:
        content = of_bytes.get((one.digest, one.transfer_syntax_uid))
        if content is None or one.data_set_offset < 0:
            logger.error("a receipt of an earlier release is left out: run `gantry reindex`", key=one.object_key)
            continue
        at = one.receipt, one.object_key, one.data_set_offset, one.sender
        known.append(Known(_at(content, *at), one.lost))
    return known


def _at(content: InstanceEntry, receipt: str, key: str, offset: int, sender: str) -> InstanceEntry:
    """The same bytes of another receipt."""
    return replace(content, receipt=receipt, object_key=key, data_set_offset=offset, sender=sender)
