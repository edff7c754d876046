"""The coercion of objects whose events do not carry it any more: it is read from the objects themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.events import InstanceStored
from gantry.common.lifecycle import unpack_coercion
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.telemetry.logs import get_logger

_ELEMENT_BYTES = 8
logger = get_logger("coercion")


def coercion_of_meta(meta: bytes, key: str) -> bytes:
    """What was coerced of the object under `key` whose file begins with `meta`, its file meta information and the first
    bytes of its data set; b"" if that is damaged: then the object's own values apply, which is logged."""
    try:
        private = parse_meta(meta).private
        unpack_coercion(private)
    except NotUnderstood as error:
        logger.error("coerced values cannot be read: the object is shown as it was stored", key=key, error=error)
        return b""
    return private


async def with_coercion(objects: BlobStore, events: Sequence[InstanceStored]) -> list[InstanceStored]:
    """The events, each with its coercion. One whose object is missing has none. Raises `DependencyUnavailable`."""
    bare_events = [event for event in events if event.coercion is None]
    if not bare_events:
        return list(events)
    metas = dict(zip([event.receipt for event in bare_events], await _metas(objects, bare_events), strict=True))
    return [
        event if event.coercion is not None else replace(event, coercion=_coercion(event, metas[event.receipt]))
        for event in events
    ]


def _coercion(event: InstanceStored, meta: bytes | None) -> bytes:
    return b"" if meta is None else coercion_of_meta(meta, event.object_key)


async def _metas(objects: BlobStore, events: Sequence[InstanceStored]) -> list[bytes | None]:
    try:
        return [*await objects.read([_part(event) for event in events])]
    except GantryError as error:
        if error.retryable:
            raise
        # One that is missing, or too short, fails the whole read: reading each by itself shows which one it is.
        return [await _meta(objects, event) for event in events]


async def _meta(objects: BlobStore, event: InstanceStored) -> bytes | None:
    try:
        (meta,) = await objects.read([_part(event)])
    except GantryError as error:
        if error.retryable:
            raise
        return None
    return meta


def _part(event: InstanceStored) -> Part:
    # The first element after it shows where file meta information ends (PS3.10 7.1).
    return Part(event.object_key, 0, event.data_set_offset + _ELEMENT_BYTES)
