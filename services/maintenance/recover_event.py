"""The event of an object, recovered from the object itself: the one that ingest would have published."""

from __future__ import annotations

import asyncio

from blake3 import blake3

from gantry.common.dicom.encoding.part10 import MAX_META_LENGTH, FileMeta, needed, parse_meta
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.events import InstanceStored
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobReader, BlobStore
from gantry.common.runtime.coercion import coercion_of_meta

_CHUNK = 1 << 20


async def fact_of(objects: BlobStore, key: str, partition: str, receipt: Receipt, trace: str) -> InstanceStored:
    """The event of an object in the store, digested and scanned again; memory use does not depend on its size.

    Raises `NotUnderstood` or `MismatchedDataSet` if the object is not a data set that ingest accepts.
    """
    reader = await objects.open(key)
    try:
        head, meta = await _meta(reader)
        scanner, digest = Scanner(meta.transfer_syntax_uid), blake3()
        length = 0
        piece = head[meta.data_set_offset :]
        buffer = bytearray(_CHUNK)
        while piece:
            await asyncio.to_thread(_absorb, scanner, digest, piece)
            length += len(piece)
            count = await reader.readinto([memoryview(buffer)])
            piece = bytes(buffer[:count])
        scan = scanner.finish()
        return InstanceStored(
            partition=partition,
            trace=trace,
            receipt=receipt.id,
            stored_at=receipt.milliseconds * 1000,
            study_instance_uid=scan.study_instance_uid,
            series_instance_uid=scan.series_instance_uid,
            sop_class_uid=scan.sop_class_uid,
            sop_instance_uid=scan.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            object_key=key,
            object_size=reader.size,
            data_set_offset=meta.data_set_offset,
            data_set_length=length,
            digest=f"blake3:{digest.hexdigest()}",
            header=scan.header,
            header_length=scan.header_length,
            bulk=scan.bulk,
            pixel_data=scan.pixel_data,
            coercion=coercion_of_meta(head, key) if meta.private else b"",
        )
    finally:
        await reader.close()


async def _meta(reader: BlobReader) -> tuple[bytes, FileMeta]:
    """The first bytes of a file, and its file meta information."""
    buffer = bytearray(MAX_META_LENGTH + 1024)
    filled = await reader.readinto([memoryview(buffer)])
    head = bytes(buffer[:filled])  # a copy: the reader's thread may hold the buffer a moment longer
    needed(head)
    return head, parse_meta(head)


def _absorb(scanner: Scanner, digest: blake3, piece: bytes) -> None:
    digest.update(piece)
    scanner.feed(piece)
