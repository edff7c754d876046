"""Index entries (pure): an event and its header become an entry."""

from __future__ import annotations

from gantry.common.dicom.encoding.inflate import inflate_head
from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable
from gantry.common.dicom.scan.layout import Layout, pack_layout
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.events import InstanceConflictFound, InstanceStored, NamesakeFound
from gantry.common.lifecycle import unpack_coercion
from gantry.common.ports.index import Applied, InstanceEntry

MAX_HEAD = 4 << 20
"""Bytes of a data set that are read for the index if the event does not carry the header. Indexed attributes are in the
low groups; values beyond this limit are not indexed."""
_LONG = 64 << 10
"""Bulk values of at least this many bytes are skipped, not read."""


def head_parts(event: InstanceStored) -> list[tuple[int, int]]:
    """The parts of the stored data set to read if the event carries no header, as offsets and lengths: everything up to
    the pixel data and up to `MAX_HEAD`, without long bulk values. Deflated data is hardly ever longer than the inflated
    data (RFC 1951 3.2.4: five bytes more for each 64 KiB)."""
    encoding = encoding_of(event.transfer_syntax_uid)
    if encoding.deflated:
        return [(0, min(event.data_set_length, min(event.header_length, MAX_HEAD) + 4096))]
    parts: list[tuple[int, int]] = []
    begin, left = 0, MAX_HEAD
    for element in event.bulk:
        # PS3.5 7.1.2: tag, VR, two bytes that are reserved, and four of length.
        place = element.offset - (12 if encoding.explicit else 8)
        if element.length >= _LONG and begin <= place and element.offset + element.length <= event.header_length:
            parts.append((begin, min(place - begin, left)))
            left -= parts[-1][1]
            begin = element.offset + element.length
    parts.append((begin, min(event.header_length - begin, left)))
    return [(offset, length) for offset, length in parts if length > 0]


def head_length(event: InstanceStored) -> int:
    """The total length of `head_parts`, in bytes."""
    return sum(length for _, length in head_parts(event))


def entry_of(event: InstanceStored, head: bytes | None = None, attributes: AttributeTable = STANDARD) -> InstanceEntry:
    """The entry of an event, with `attributes`; `head` is the joined `head_parts` of the data set if the event carries
    no header. Coerced values replace those of the object; the event must carry them (`gantry.common.runtime.coercion`).

    Raises `NotUnderstood` if the header cannot be read.
    """
    header, partial = event.header, False
    if header is None:
        header, partial = _header_of(event, head or b"")
    own = header_values(
        header, event.transfer_syntax_uid, attributes.stored, private=attributes.private, partial=partial
    )
    # Once for all: rules that change later do not change what was received before.
    coercion = unpack_coercion(event.coercion or b"")
    coercion = None if coercion is None else coercion.indexed(own)
    layout = Layout(event.header_length, event.bulk, event.pixel_data, b"" if coercion is None else coercion.pack())
    return InstanceEntry(
        partition=event.partition,
        receipt=event.receipt,
        study_instance_uid=event.study_instance_uid,
        series_instance_uid=event.series_instance_uid,
        sop_instance_uid=event.sop_instance_uid,
        sop_class_uid=event.sop_class_uid,
        transfer_syntax_uid=event.transfer_syntax_uid,
        object_key=event.object_key,
        data_set_offset=event.data_set_offset,
        data_set_length=event.data_set_length,
        digest=event.digest,
        layout=pack_layout(layout),
        sender=event.calling_ae_title,
        attributes=own if coercion is None else coercion.applied(own),
    )


def _header_of(event: InstanceStored, head: bytes) -> tuple[bytes, bool]:
    """The header, and whether it may be cut off."""
    if not encoding_of(event.transfer_syntax_uid).deflated:
        return head, len(head) < head_length(event) or len(head) >= MAX_HEAD
    length = min(event.header_length, MAX_HEAD)
    header = inflate_head(head, length)
    return header, len(header) < event.header_length


def conflict_of(event: InstanceStored, applied: Applied, found_at: int) -> InstanceConflictFound | None:
    """The conflict that applying the event revealed, or None."""
    if not applied.aside_receipt:
        return None
    return InstanceConflictFound(
        partition=event.partition,
        trace=event.trace,
        study_instance_uid=event.study_instance_uid,
        sop_instance_uid=event.sop_instance_uid,
        kept_receipt=applied.kept_receipt,
        kept_digest=applied.kept_digest,
        aside_receipt=applied.aside_receipt,
        aside_digest=applied.aside_digest,
        found_at=found_at,
        calling_ae_title=event.calling_ae_title,
    )


def namesake_of(event: InstanceStored, applied: Applied, found_at: int) -> NamesakeFound | None:
    """The namesake that applying the event revealed (another instance with the same SOP Instance UID), or None."""
    other = applied.namesake
    if other is None:
        return None
    return NamesakeFound(
        partition=event.partition,
        trace=event.trace,
        sop_instance_uid=event.sop_instance_uid,
        study_instance_uid=event.study_instance_uid,
        series_instance_uid=event.series_instance_uid,
        receipt=event.receipt,
        digest=event.digest,
        other_study_instance_uid=other.study_instance_uid,
        other_series_instance_uid=other.series_instance_uid,
        other_receipt=other.receipt,
        other_digest=other.digest,
        found_at=found_at,
        calling_ae_title=event.calling_ae_title,
    )
